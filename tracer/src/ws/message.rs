//! A message in the making: its frames' payloads, unmasked and inflated, as far as they are wanted.

use std::str::Utf8Error;

use super::{
    frame::Opcode,
    utf8::{self, Validator},
};

/// Why a message could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Undecoded {
    /// Compressed, and it refers to earlier messages that were not captured.
    ContextLost,
    /// Compressed, and the data is not DEFLATE.
    Corrupt,
    /// Compressed, and some of it was not captured.
    Gap,
    /// Compressed, and too many others are in progress at once.
    Limit,
    /// Its beginning was not captured, or never sent.
    Midstream,
}

impl Undecoded {
    /// The stable name, as events have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ContextLost => "context-lost",
            Self::Corrupt => "corrupt",
            Self::Gap => "gap",
            Self::Limit => "limit",
            Self::Midstream => "midstream",
        }
    }
}

/// What is shown of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// A text message's, cut between code points.
    Text(&'a str),
    /// A binary message's, or a text message's that is not UTF-8.
    Data(&'a [u8]),
    /// Nothing: it could not be decoded.
    Undecoded(Undecoded),
}

impl<'a> Payload<'a> {
    /// What is shown, up to `limit` bytes, of a whole message that is all in `bytes`; where it is no
    /// text, its beginning is enough.
    pub(super) fn of(opcode: Opcode, bytes: &'a [u8], limit: usize) -> Self {
        if opcode == Opcode::TEXT
            && let Ok(text) = utf8::text(bytes)
        {
            return Self::Text(&text[..text.floor_char_boundary(limit)]);
        }
        Self::Data(&bytes[..bytes.len().min(limit)])
    }

    /// Bytes shown.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Data(data) => data.len(),
            Self::Undecoded(_) => 0,
        }
    }

    /// Whether nothing is shown.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A complete data message, or what is known of a damaged one.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `TEXT` or `BINARY`; `CONTINUATION` where the first frame was not seen.
    pub opcode: Opcode,
    /// The payload, up to the limit.
    pub payload: Payload<'a>,
    /// Length of the whole payload, after inflation; `None` where it could not be inflated.
    pub len: Option<u64>,
    /// Length of the payloads of its frames.
    pub wire_len: u64,
    /// How many frames it had.
    pub frames: u32,
    /// Compressed by permessage-deflate.
    pub compressed: bool,
    /// Bytes on the wire that were not captured.
    pub missing: u64,
    /// Its last frame was not captured: there may have been more.
    pub unfinished: bool,
}

impl Message<'_> {
    /// Whether `payload` is less than all of it.
    pub fn is_truncated(&self) -> bool {
        self.unfinished
            || self.missing > 0
            || self.len.is_some_and(|len| len > self.payload.len() as u64)
    }

    /// Whether it breaks the rule that text is UTF-8.
    pub fn is_invalid_text(&self) -> bool {
        self.opcode == Opcode::TEXT && matches!(self.payload, Payload::Data(_))
    }
}

/// Collects one message.
#[derive(Debug)]
pub struct Builder {
    opcode: Opcode,
    compressed: bool,
    undecoded: Option<Undecoded>,
    frames: u32,
    wire_len: u64,
    len: u64,
    missing: u64,
    /// The beginning of the payload, up to the limit or the first missing byte.
    shown: Vec<u8>,
    /// Checks text, from when it is longer than what is shown.
    utf8: Option<Validator>,
    /// `utf8` has seen what came; otherwise `shown` has all of it.
    is_checked: bool,
}

impl Builder {
    /// Begins a message.
    pub fn new(opcode: Opcode, compressed: bool) -> Self {
        Self {
            opcode,
            compressed,
            undecoded: (opcode == Opcode::CONTINUATION).then_some(Undecoded::Midstream),
            frames: 0,
            wire_len: 0,
            len: 0,
            missing: 0,
            shown: Vec::new(),
            utf8: (opcode == Opcode::TEXT).then(Validator::default),
            is_checked: false,
        }
    }

    /// Bytes of payload that it holds.
    pub fn memory(&self) -> usize {
        self.shown.capacity()
    }

    /// Counts a frame with its payload length.
    pub fn frame(&mut self, len: u64) {
        self.frames = self.frames.saturating_add(1);
        self.wire_len = self.wire_len.saturating_add(len);
    }

    /// Whether its bytes are to be inflated.
    pub fn is_inflating(&self) -> bool {
        self.compressed && self.undecoded.is_none()
    }

    /// Says that it cannot be decoded, and why; the first reason stays.
    pub fn give_up(&mut self, why: Undecoded) {
        self.undecoded.get_or_insert(why);
        self.shown = Vec::new();
    }

    /// Whether the content of further bytes makes a difference, or only their number.
    pub fn wants_content(&self, limit: usize) -> bool {
        self.utf8.is_some() || (self.missing == 0 && self.shown.len() < limit)
    }

    /// Adds plain payload whose content nobody wants.
    pub fn count(&mut self, bytes: u64) {
        self.len = self.len.saturating_add(bytes);
    }

    /// Adds plain payload.
    pub fn push(&mut self, bytes: &[u8], limit: usize) {
        self.count(bytes.len() as u64);
        // What follows a hole is not shown: it would look as if it belonged to what is before.
        if self.missing == 0 {
            let free = limit.saturating_sub(self.shown.len());
            if let Some(utf8) = &mut self.utf8
                && (self.is_checked || bytes.len() > free)
            {
                if !self.is_checked {
                    utf8.feed(&self.shown);
                    self.is_checked = true;
                }
                utf8.feed(bytes);
            }
            self.shown.extend_from_slice(&bytes[..bytes.len().min(free)]);
        }
    }

    /// Counts payload bytes that were not captured.
    pub fn miss(&mut self, bytes: u64) {
        self.missing = self.missing.saturating_add(bytes);
        if self.compressed {
            self.give_up(Undecoded::Gap);
        } else {
            self.count(bytes);
        }
    }

    /// Ends the message with its last piece of plain payload. A message that comes in one piece is
    /// not copied.
    pub fn finish<'a>(&'a mut self, last: &'a [u8], limit: usize) -> Message<'a> {
        let payload = if self.undecoded.is_none() && self.len == 0 && self.missing == 0 {
            self.len = last.len() as u64;
            Payload::of(self.opcode, last, limit)
        } else {
            self.push(last, limit);
            self.collected(self.missing > 0)
        };
        self.message(payload)
    }

    /// Ends a message whose last frame has not ended.
    pub fn cut(&mut self) -> Message<'_> {
        self.message(self.collected(true))
    }

    fn message<'a>(&self, payload: Payload<'a>) -> Message<'a> {
        Message {
            opcode: self.opcode,
            payload,
            len: (!self.compressed || self.undecoded.is_none()).then_some(self.len),
            wire_len: self.wire_len,
            frames: self.frames,
            compressed: self.compressed,
            missing: self.missing,
            unfinished: false,
        }
    }

    fn collected(&self, is_cut: bool) -> Payload<'_> {
        if let Some(why) = self.undecoded {
            return Payload::Undecoded(why);
        }
        let Some(utf8) = &self.utf8 else { return Payload::Data(&self.shown) };
        let (shown, is_plausible, is_valid) = match utf8::text(&self.shown) {
            Ok(text) => (text, true, true),
            // A code point that is cut at the end has no length.
            Err(error) => (prefix(&self.shown, &error), error.error_len().is_none(), false),
        };
        let (is_plausible, is_valid) = match self.is_checked {
            true => (utf8.is_plausible(), utf8.is_valid()),
            false => (is_plausible, is_valid),
        };
        // Before a hole or an early end, text may end inside a code point.
        let is_text = if is_cut { is_plausible } else { is_valid };
        if is_text { Payload::Text(shown) } else { Payload::Data(&self.shown) }
    }
}

/// What of `bytes` is before the error.
fn prefix<'a>(bytes: &'a [u8], error: &Utf8Error) -> &'a str {
    std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[&str], limit: usize) -> Builder {
        let mut builder = Builder::new(Opcode::TEXT, false);
        for piece in pieces {
            builder.push(piece.as_bytes(), limit);
        }
        builder
    }

    #[test]
    fn one_piece_and_many_give_the_same() {
        for limit in 0..=12 {
            let mut whole = Builder::new(Opcode::TEXT, false);
            let mut pieces = text(&["¡Ho", "la "], limit);
            assert_eq!(
                whole.finish("¡Hola 猪".as_bytes(), limit),
                pieces.finish("猪".as_bytes(), limit),
                "limit {limit}"
            );
        }
    }

    #[test]
    fn text_in_pieces_is_judged_as_a_whole() {
        for whole in ["¡Hola 猪".as_bytes(), b"abc\xffdef", b"abcd\xe7\x8c", "猪猪".as_bytes()]
        {
            for limit in 0..=12 {
                for cut in 0..=whole.len() {
                    let mut builder = Builder::new(Opcode::TEXT, false);
                    builder.push(&whole[..cut], limit);
                    let message = builder.finish(&whole[cut..], limit);
                    let expected = Payload::of(Opcode::TEXT, whole, limit);
                    assert_eq!(message.payload, expected, "limit {limit}, cut at {cut}");
                    assert_eq!(message.len, Some(whole.len() as u64));
                }
            }
        }
    }

    #[test]
    fn text_is_checked_beyond_what_is_shown() {
        let mut builder = text(&["abcdef"], 3);
        let message = builder.finish(b"\xff", 3);
        assert!(message.is_invalid_text() && message.is_truncated());
        assert_eq!(message.payload, Payload::Data(b"abc"));
    }

    #[test]
    fn nothing_is_shown_after_a_hole() {
        let mut builder = text(&["ab\u{732a}"], 100);
        builder.shown.truncate(4);
        builder.miss(3);
        let message = builder.finish(b"xyz", 100);
        assert_eq!(message.payload, Payload::Text("ab"));
        assert_eq!((message.len, message.missing), (Some(11), 3));
        assert!(message.is_truncated() && !message.is_invalid_text());
    }

    #[test]
    fn a_damaged_compressed_message_has_no_length() {
        let mut builder = Builder::new(Opcode::TEXT, true);
        builder.push(b"some", 100);
        builder.miss(3);
        let message = builder.finish(b"", 100);
        assert_eq!(message.payload, Payload::Undecoded(Undecoded::Gap));
        assert_eq!(message.len, None);
    }
}
