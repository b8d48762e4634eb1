//! Makes untrusted text safe to look at: no control character and nothing that reorders the line
//! reaches a terminal as it is.

use std::{io::Write as _, ops::Range};

use super::marks::{BLOCK, Marks, marks, words};

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
    push_with::<false>(text, buffer, push_char);
}

/// Appends `text` as the inside of a JSON string (RFC 8259 section 7), unsafe characters escaped too.
pub(super) fn push_json(text: &str, buffer: &mut Vec<u8>) {
    push_with::<true>(text, buffer, push_json_char);
}

/// Bytes that the buffer is given room for at once.
const STRETCH: usize = 16 * BLOCK;
/// Room that a block takes: a backslash before each byte, and what is too much of a copied word.
const ROOM: usize = 2 * BLOCK + WORD;
const WORD: usize = 8;

/// Appends `text`: with backslashes where it is `QUOTED`, unsafe characters by `push_unsafe`.
fn push_with<const QUOTED: bool>(
    text: &str,
    buffer: &mut Vec<u8>,
    push_unsafe: impl Fn(char, &mut Vec<u8>),
) {
    let mut from = 0;
    while from < text.len() {
        let part = from..text.len().min(from + STRETCH);
        let start = buffer.len();
        buffer.resize(start + 2 * part.len() + ROOM, 0);
        let copied = copy_safe::<QUOTED>(text, part, &mut buffer[start..]);
        buffer.truncate(start + copied.written);
        from += copied.taken;
        if let Some(c) = copied.found {
            push_unsafe(c, buffer);
            from += c.len_utf8();
        }
    }
}

/// How far copying came.
struct Copied {
    /// Bytes of the text.
    taken: usize,
    /// The same with backslashes.
    written: usize,
    /// The unsafe character behind them.
    found: Option<char>,
}

/// Copies a part of `text`, up to an unsafe character.
fn copy_safe<const QUOTED: bool>(text: &str, part: Range<usize>, out: &mut [u8]) -> Copied {
    let (mut taken, mut written, mut found) = (0, 0, None);
    let bytes = &text.as_bytes()[part.clone()];
    while taken < bytes.len()
        && found.is_none()
        && let Some(room) = out[written..].first_chunk_mut()
    {
        let rest = &bytes[taken..];
        let padded;
        let (block, mut len) = match rest.first_chunk() {
            Some(block) => (block, BLOCK),
            None => {
                padded = pad(rest);
                (&padded, rest.len())
            }
        };
        let Marks { mut quoted, suspect } = marks(block);
        if suspect != 0
            && let Some((before, c)) = first_unsafe(text, part.start + taken, suspect)
        {
            quoted &= (1 << before) - 1;
            len = before;
            found = Some(c);
        }
        taken += len;
        written += len + copy_block(block, if QUOTED { quoted } else { 0 }, room);
    }
    Copied { taken, written, found }
}

/// Less than a block, with blanks behind.
fn pad(bytes: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    block
}

/// Copies a block with a backslash before each byte that has a bit. Gives back how many that are.
#[inline(always)]
fn copy_block(block: &[u8; BLOCK], quoted: u32, room: &mut [u8; ROOM]) -> usize {
    if quoted == 0 {
        room[..BLOCK].copy_from_slice(block);
        return 0;
    }
    let [first, second] = words(block);
    let backslashes = copy_word(first, quoted & 0xff, room, 0);
    backslashes + copy_word(second, quoted >> WORD, room, WORD + backslashes)
}

/// Copies a word to `start`, and gives back how many backslashes were written.
#[inline(always)]
fn copy_word(word: u64, mut quoted: u32, room: &mut [u8; ROOM], start: usize) -> usize {
    // No place is higher anyhow: this only tells the compiler so.
    const LAST: usize = 2 * BLOCK - 1;
    room[start & LAST..][..WORD].copy_from_slice(&word.to_le_bytes());
    let mut backslashes = 0;
    while quoted != 0 {
        let byte = quoted.trailing_zeros();
        let at = start + byte as usize + backslashes;
        room[at & LAST] = b'\\';
        // All that is left of the word: behind its next backslash it is overwritten.
        let rest = word >> (8 * byte);
        room[(at + 1) & LAST..][..WORD].copy_from_slice(&rest.to_le_bytes());
        backslashes += 1;
        quoted &= quoted - 1;
    }
    backslashes
}

/// The first of the characters marked in the block at `from` that is unsafe, and how many bytes of the
/// block are before it.
fn first_unsafe(text: &str, from: usize, mut suspect: u32) -> Option<(usize, char)> {
    while suspect != 0 {
        let before = suspect.trailing_zeros() as usize;
        let c = text[from + before..].chars().next()?;
        if is_unsafe(c) {
            return Some((before, c));
        }
        suspect &= suspect - 1;
    }
    None
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
    fn an_unsafe_character_is_found_wherever_it_is() {
        for c in ('\0'..=char::MAX).filter(|&c| is_unsafe(c)) {
            let text = format!("{c}\"");
            let mut escaped = Vec::new();
            push_char(c, &mut escaped);
            escaped.push(b'"');
            let mut buffer = Vec::new();
            push(&text, &mut buffer);
            assert_eq!(buffer, escaped, "{c:?}");
        }
        for before in 0..600 {
            let text = format!("{}\u{202e}\"", "\"é".repeat(before));
            assert_eq!(escaped(&text), format!("{}\\u{{202e}}\"", "\"é".repeat(before)));
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
