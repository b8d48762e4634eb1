//! Bytes as people read them.

use std::io::Write as _;

/// Bytes of a short preview.
const PREVIEW: usize = 24;
/// Bytes in a row of a dump, and the characters that they take.
const ROW: usize = 16;
const ROW_WIDTH: usize = 39;

/// Appends a dump as `tcpdump -X` prints it: offset, pairs of bytes, ASCII.
pub(super) fn dump(bytes: &[u8], buffer: &mut Vec<u8>) {
    for (row, chunk) in bytes.chunks(ROW).enumerate() {
        let result = write!(buffer, "\n\t0x{:04x}:  ", row * ROW);
        debug_assert!(result.is_ok(), "a Vec takes everything");
        let start = buffer.len();
        for (i, &byte) in chunk.iter().enumerate() {
            if i % 2 == 0 && i > 0 {
                buffer.push(b' ');
            }
            push_digits(byte, buffer);
        }
        buffer.resize(start + ROW_WIDTH, b' ');
        buffer.extend_from_slice(b"  ");
        push_ascii(chunk, buffer);
    }
}

/// Appends the first bytes, in hexadecimal and ASCII.
pub(super) fn preview(bytes: &[u8], buffer: &mut Vec<u8>) {
    let shown = &bytes[..bytes.len().min(PREVIEW)];
    for (i, &byte) in shown.iter().enumerate() {
        if i > 0 {
            buffer.push(b' ');
        }
        push_digits(byte, buffer);
    }
    if shown.len() < bytes.len() {
        buffer.extend_from_slice(" …".as_bytes());
    }
    if !shown.is_empty() {
        buffer.extend_from_slice(b"  |");
        push_ascii(shown, buffer);
        buffer.push(b'|');
    }
}

fn push_digits(byte: u8, buffer: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    buffer.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
}

fn push_ascii(bytes: &[u8], buffer: &mut Vec<u8>) {
    let visible = |&byte: &u8| if matches!(byte, b' '..=b'~') { byte } else { b'.' };
    buffer.extend(bytes.iter().map(visible));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_look_as_tcpdump_prints_them() {
        let mut buffer = Vec::new();
        dump(b"E..<.h@.@.HQ....\x00\x1b", &mut buffer);
        assert_eq!(
            String::from_utf8(buffer).unwrap(),
            "\n\t0x0000:  452e 2e3c 2e68 402e 402e 4851 2e2e 2e2e  E..<.h@.@.HQ....\
             \n\t0x0010:  001b                                     .."
        );
    }

    #[test]
    fn previews_are_short() {
        let mut buffer = Vec::new();
        preview(&[0; 30], &mut buffer);
        let text = String::from_utf8(buffer).unwrap();
        assert_eq!(text, format!("{} …  |{}|", ["00"; 24].join(" "), ".".repeat(24)));
    }
}
