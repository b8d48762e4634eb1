//! Makes untrusted text safe to look at: no control character and nothing that reorders the line
//! reaches a terminal as it is.

use std::io::Write as _;

/// Whether a terminal, or a reader's eye, could be led astray by the character: controls (C0, DEL,
/// C1), line separators, and the characters that change the direction of writing (Unicode TR 9,
/// TR 36) or cannot be seen.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Appends `text`, unsafe characters as `\n`, `\r`, `\t`, `\u{1b}`.
pub(super) fn push(text: &str, buffer: &mut Vec<u8>) {
    push_with(text, buffer, |run, buffer| buffer.extend_from_slice(run), push_char);
}

/// Appends `text` as the inside of a JSON string (RFC 8259 section 7), unsafe characters escaped too.
pub(super) fn push_json(text: &str, buffer: &mut Vec<u8>) {
    push_with(text, buffer, push_quoted, push_json_char);
}

/// Whether all of `text` may stand in a JSON string as it is. When in doubt, it may not.
pub(super) fn is_plain_json(text: &str) -> bool {
    !text.bytes().any(|byte| is_suspect(byte) | is_quoted(byte))
}

/// Appends `text`: its runs of safe characters by `push_run`, the unsafe ones by `push_unsafe`.
fn push_with(
    text: &str,
    buffer: &mut Vec<u8>,
    push_run: impl Fn(&[u8], &mut Vec<u8>),
    push_unsafe: impl Fn(char, &mut Vec<u8>),
) {
    let bytes = text.as_bytes();
    let (mut run, mut from) = (0, 0);
    while let Some(at) = next_suspect(bytes, from) {
        let Some(c) = text[at..].chars().next() else { break };
        from = at + c.len_utf8();
        if is_unsafe(c) {
            push_run(&bytes[run..at], buffer);
            push_unsafe(c, buffer);
            run = from;
        }
    }
    push_run(&bytes[run..], buffer);
}

/// Bytes looked at together.
const BLOCK: usize = 32;

/// The first byte from `from` on that may begin an unsafe character.
fn next_suspect(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    // Without an early exit compilers make vector instructions of it.
    while let Some(block) = bytes[at..].first_chunk::<BLOCK>()
        && !block.iter().fold(false, |any, &byte| any | is_suspect(byte))
    {
        at += BLOCK;
    }
    bytes[at..].iter().position(|&byte| IS_SUSPECT[usize::from(byte)]).map(|found| at + found)
}

/// [`is_suspect`] of every byte, for one byte at a time.
static IS_SUSPECT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_suspect(byte as u8);
        byte += 1;
    }
    table
};

/// Whether a byte begins a character that [`is_unsafe`] may find so. The six first bytes of UTF-8
/// sequences are those of U+0080, U+061C, U+180E, U+200B, U+FEFF and U+E0000.
#[inline(always)]
const fn is_suspect(byte: u8) -> bool {
    (byte < 0x20)
        | (byte == 0x7f)
        | (byte == 0xc2)
        | (byte == 0xd8)
        | (byte == 0xe1)
        | (byte == 0xe2)
        | (byte == 0xef)
        | (byte == 0xf3)
}

/// Whether JSON wants a backslash before the byte.
#[inline(always)]
fn is_quoted(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\')
}

/// Appends bytes, with a backslash before some.
fn push_quoted(run: &[u8], buffer: &mut Vec<u8>) {
    for mut block in run.chunks(2 * BLOCK) {
        let (mut out, mut len) = ([0; 4 * BLOCK + 8], 0);
        while let Some(word) = block.first_chunk::<8>() {
            // All eight are written, and those before the first quoted one kept.
            out[len..len + 8].copy_from_slice(word);
            let plain = plain_bytes(*word);
            len += plain;
            block = &block[plain..];
            if plain < 8 {
                out[len..len + 2].copy_from_slice(&[b'\\', block[0]]);
                len += 2;
                block = &block[1..];
            }
        }
        buffer.extend_from_slice(&out[..len]);
        for &byte in block {
            if is_quoted(byte) {
                buffer.push(b'\\');
            }
            buffer.push(byte);
        }
    }
}

/// How many bytes come before the first that [`is_quoted`], eight when none is.
#[inline(always)]
fn plain_bytes(word: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_le_bytes(word);
    // The highest bit of each zero byte; above the lowest zero byte it may be of others, too.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let quoted = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
    quoted.trailing_zeros() as usize / 8
}

fn push_char(c: char, buffer: &mut Vec<u8>) {
    let short = match c {
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => {
            let result = write!(buffer, "\\u{{{:x}}}", u32::from(c));
            debug_assert!(result.is_ok(), "a Vec takes everything");
            return;
        }
    };
    buffer.extend_from_slice(short.as_bytes());
}

fn push_json_char(c: char, buffer: &mut Vec<u8>) {
    let short = match c {
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let result = write!(buffer, "\\u{unit:04x}");
                debug_assert!(result.is_ok(), "a Vec takes everything");
            }
            return;
        }
    };
    buffer.extend_from_slice(short.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_to_be_escaped_is_suspect() {
        for c in ('\0'..=char::MAX).filter(|&c| is_unsafe(c)) {
            assert!(is_suspect(c.encode_utf8(&mut [0; 4]).as_bytes()[0]), "{c:?}");
        }
    }

    #[test]
    fn json_strings_read_back_the_same() {
        let text: String = ('\0'..'\u{3000}').chain("👩\u{e0041}猪".chars()).collect();
        for start in 0..40 {
            let text: String = text.chars().skip(start).collect();
            let mut json = vec![b'"'];
            push_json(&text, &mut json);
            json.push(b'"');
            assert_eq!(serde_json::from_slice::<String>(&json).unwrap(), text);
            assert!(!String::from_utf8(json).unwrap().contains(is_unsafe));
        }
    }

    fn escaped(text: &str) -> String {
        let mut buffer = Vec::new();
        push(text, &mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["¡Hola a todos!", "{\"a\":\"\\u732a\"}", "猪 é שלום", "👩🇪🇸", ""]
        {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn what_moves_the_cursor_does_not_pass() {
        assert_eq!(escaped("a\r\n\tb"), "a\\r\\n\\tb");
        assert_eq!(escaped("\x1b[31mred\x07\x7f"), "\\u{1b}[31mred\\u{7}\\u{7f}");
        assert_eq!(escaped("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(escaped("\u{202e}txt.exe\u{2066}"), "\\u{202e}txt.exe\\u{2066}");
    }
}
