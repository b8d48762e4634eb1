//! UTF-8 over a message that comes in pieces: code points straddle them (RFC 6455 section 8.1).

use std::str::Utf8Error;

/// `bytes` as text, if it is UTF-8. By vector instructions where the processor has them; where it is
/// not UTF-8 `core` says.
pub fn text(bytes: &[u8]) -> Result<&str, Utf8Error> {
    simdutf8::basic::from_utf8(bytes).or_else(|_| std::str::from_utf8(bytes))
}

/// Checks a stream of bytes piece by piece.
#[derive(Clone, Debug, Default)]
pub struct Validator {
    /// The beginning of a code point that the last piece ended in.
    partial: [u8; 4],
    partial_len: u8,
    invalid: bool,
}

impl Validator {
    /// Takes the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        while self.partial_len > 0 && !self.invalid {
            let Some((&next, rest)) = piece.split_first() else { return };
            piece = rest;
            self.complete(next);
        }
        if !self.invalid {
            self.check(piece);
        }
    }

    /// Whether all of it was UTF-8, no code point cut at the end.
    pub fn is_valid(&self) -> bool {
        !self.invalid && self.partial_len == 0
    }

    /// Whether what came so far can still become UTF-8.
    pub fn is_plausible(&self) -> bool {
        !self.invalid
    }

    /// Adds a byte to the code point begun in an earlier piece.
    fn complete(&mut self, next: u8) {
        let len = usize::from(self.partial_len);
        self.partial[len] = next;
        let bytes = self.partial;
        self.partial_len = 0;
        self.check(&bytes[..=len]);
    }

    fn check(&mut self, bytes: &[u8]) {
        let Err(error) = text(bytes) else { return };
        let rest = &bytes[error.valid_up_to()..];
        // `error_len` is `None` for an unexpected end only; such a rest is at most 3 bytes long.
        if error.error_len().is_some() || rest.len() > 3 {
            self.invalid = true;
        } else {
            self.partial[..rest.len()].copy_from_slice(rest);
            self.partial_len = rest.len() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(pieces: &[&[u8]]) -> bool {
        let mut validator = Validator::default();
        for piece in pieces {
            validator.feed(piece);
        }
        validator.is_valid()
    }

    #[test]
    fn code_points_straddle_pieces() {
        let text = "¡Hola! 猪猪 👩‍👩‍👧‍👦".as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                assert!(valid(&[&text[..first], &text[first..second], &text[second..]]));
            }
        }
        let mut validator = Validator::default();
        text.iter().for_each(|byte| validator.feed(&[*byte]));
        assert!(validator.is_valid());
    }

    #[test]
    fn a_cut_code_point_at_the_end_is_not_valid_but_plausible() {
        let mut validator = Validator::default();
        validator.feed(b"ab\xe7\x8c");
        assert!(!validator.is_valid());
        assert!(validator.is_plausible());
    }

    #[test]
    fn split_anywhere_equals_whole() {
        let mut random = crate::test_random::Random::new(3);
        for _ in 0..100_000 {
            let mut bytes = random.bytes(6);
            if random.below(2) == 0 {
                bytes.splice(0..0, "é猪👩".bytes());
            }
            let cut = random.below(bytes.len() as u64 + 1) as usize;
            let whole = std::str::from_utf8(&bytes).is_ok();
            assert_eq!(valid(&[&bytes[..cut], &bytes[cut..]]), whole, "{bytes:x?} cut at {cut}");
        }
    }
}
