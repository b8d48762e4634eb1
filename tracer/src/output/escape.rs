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
    push_with(text, &IN_TEXT, buffer, push_char);
}

/// Appends `text` as the inside of a JSON string (RFC 8259 section 7), unsafe characters escaped too.
pub(super) fn push_json(text: &str, buffer: &mut Vec<u8>) {
    push_with(text, &IN_JSON, buffer, push_json_char);
}

/// Whether all of `text` may stand in a JSON string as it is. When in doubt, it may not.
pub(super) fn is_plain_json(text: &str) -> bool {
    text.bytes().all(|byte| IN_JSON[usize::from(byte)] == Class::Plain)
}

/// What a byte of UTF-8 means for escaping.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself.
    Plain,
    /// Wants a backslash before it.
    Quoted,
    /// Begins a character that [`is_unsafe`] has to look at.
    Suspect,
}

static IN_TEXT: [Class; 256] = classes(false);
static IN_JSON: [Class; 256] = classes(true);

const fn classes(is_json: bool) -> [Class; 256] {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < classes.len() {
        if is_suspect(byte as u8) {
            classes[byte] = Class::Suspect;
        }
        byte += 1;
    }
    if is_json {
        classes[b'"' as usize] = Class::Quoted;
        classes[b'\\' as usize] = Class::Quoted;
    }
    classes
}

/// Whether a byte is, or begins, a character that [`is_unsafe`] may want escaped. The six first bytes
/// of UTF-8 sequences are those of U+0080, U+061C, U+180E, U+200B, U+FEFF and U+E0000.
#[inline(always)]
const fn is_suspect(byte: u8) -> bool {
    let ascii = (byte < 0x20) | (byte == 0x7f);
    ascii
        | (byte == 0xc2)
        | (byte == 0xd8)
        | (byte == 0xe1)
        | (byte == 0xe2)
        | (byte == 0xef)
        | (byte == 0xf3)
}

/// Bytes looked at together.
const BLOCK: usize = 32;

/// Appends `text`, its bytes being of these classes; `push` appends unsafe characters.
fn push_with(
    text: &str,
    classes: &[Class; 256],
    buffer: &mut Vec<u8>,
    push: impl Fn(char, &mut Vec<u8>),
) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(block) = bytes[at..].first_chunk::<BLOCK>()
            && is_plain(block)
        {
            buffer.extend_from_slice(block);
            at += BLOCK;
            continue;
        }
        at += push_block(&bytes[at..], classes, buffer);
        // What stopped it, if not the block's end, is the first byte of a character.
        if let Some(c) = suspect_at(text, at, classes) {
            at += c.len_utf8();
            if is_unsafe(c) {
                push(c, buffer);
            } else {
                buffer.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

/// Whether a block can be copied, whatever it is copied to. Without an early exit compilers make
/// vector instructions of it.
fn is_plain(block: &[u8; BLOCK]) -> bool {
    let is_special = |byte| is_suspect(byte) | (byte == b'"') | (byte == b'\\');
    !block.iter().fold(false, |any, &byte| any | is_special(byte))
}

/// Appends a block's bytes up to the first suspect one, and returns how many.
fn push_block(bytes: &[u8], classes: &[Class; 256], buffer: &mut Vec<u8>) -> usize {
    let mut out = [0; 2 * BLOCK];
    let (mut taken, mut written) = (0, 0);
    for &byte in bytes.iter().take(BLOCK) {
        match classes[usize::from(byte)] {
            Class::Plain => {}
            Class::Quoted => {
                out[written] = b'\\';
                written += 1;
            }
            Class::Suspect => break,
        }
        out[written] = byte;
        written += 1;
        taken += 1;
    }
    buffer.extend_from_slice(&out[..written]);
    taken
}

fn suspect_at(text: &str, at: usize, classes: &[Class; 256]) -> Option<char> {
    let &first = text.as_bytes().get(at)?;
    if classes[usize::from(first)] == Class::Suspect { text[at..].chars().next() } else { None }
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
