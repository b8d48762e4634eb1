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
    let mut rest = text;
    while let Some(at) = rest.find(is_unsafe) {
        let (safe, found) = rest.split_at(at);
        buffer.extend_from_slice(safe.as_bytes());
        let mut chars = found.chars();
        if let Some(c) = chars.next() {
            push_char(c, buffer);
        }
        rest = chars.as_str();
    }
    buffer.extend_from_slice(rest.as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

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
