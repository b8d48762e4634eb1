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
    push_with(text, |_| false, buffer, push_char);
}

/// Appends `text` as the inside of a JSON string (RFC 8259 section 7), unsafe characters escaped too.
pub(super) fn push_json(text: &str, buffer: &mut Vec<u8>) {
    push_with(text, |c| matches!(c, '"' | '\\'), buffer, push_json_char);
}

/// Appends `text`; `push` appends what is unsafe or `is_special`.
fn push_with(
    text: &str,
    is_special: impl Fn(char) -> bool,
    buffer: &mut Vec<u8>,
    push: impl Fn(char, &mut Vec<u8>),
) {
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = next_suspect(rest.as_bytes(), from) {
        let Some(c) = rest[at..].chars().next() else { break };
        if is_unsafe(c) || is_special(c) {
            buffer.extend_from_slice(&rest.as_bytes()[..at]);
            push(c, buffer);
            rest = &rest[at + c.len_utf8()..];
            from = 0;
        } else {
            from = at + c.len_utf8();
        }
    }
    buffer.extend_from_slice(rest.as_bytes());
}

/// The first byte from `from` on that may begin a character to be escaped.
fn next_suspect(bytes: &[u8], from: usize) -> Option<usize> {
    const BLOCK: usize = 32;
    let mut at = from;
    // Without an early exit compilers make vector instructions of it.
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>)
        && !block.iter().fold(false, |any, &byte| any | is_suspect(byte))
    {
        at += BLOCK;
    }
    bytes[at..].iter().position(|&byte| is_suspect(byte)).map(|found| at + found)
}

/// Whether a byte is, or begins, a character that [`is_unsafe`] or JSON may want escaped. The six
/// first bytes of UTF-8 sequences are those of U+0080, U+061C, U+180E, U+200B, U+FEFF and U+E0000.
#[inline(always)]
fn is_suspect(byte: u8) -> bool {
    let ascii = (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0x7f);
    ascii
        | (byte == 0xc2)
        | (byte == 0xd8)
        | (byte == 0xe1)
        | (byte == 0xe2)
        | (byte == 0xef)
        | (byte == 0xf3)
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
        '"' => "\\\"",
        '\\' => "\\\\",
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
        for c in ('\0'..=char::MAX).filter(|&c| is_unsafe(c) || matches!(c, '"' | '\\')) {
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
