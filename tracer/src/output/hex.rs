//! Bytes as people read them.

use std::io::Write as _;

/// Bytes of a short preview.
const PREVIEW: usize = 24;

/// Appends a dump as `tcpdump -X` prints it: offset, pairs of bytes, ASCII.
pub(super) fn dump(bytes: &[u8], buffer: &mut Vec<u8>) {
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let mut pairs = String::with_capacity(40);
        for (i, byte) in chunk.iter().enumerate() {
            let space = if i % 2 == 0 && i > 0 { " " } else { "" };
            pairs.push_str(&format!("{space}{byte:02x}"));
        }
        let result = write!(buffer, "\n\t0x{:04x}:  {pairs:<39}  {}", row * 16, ascii(chunk));
        debug_assert!(result.is_ok(), "a Vec takes everything");
    }
}

/// Appends the first bytes, in hexadecimal and ASCII.
pub(super) fn preview(bytes: &[u8], buffer: &mut Vec<u8>) {
    let shown = &bytes[..bytes.len().min(PREVIEW)];
    for (i, byte) in shown.iter().enumerate() {
        let space = if i > 0 { " " } else { "" };
        let result = write!(buffer, "{space}{byte:02x}");
        debug_assert!(result.is_ok(), "a Vec takes everything");
    }
    if shown.len() < bytes.len() {
        buffer.extend_from_slice(" …".as_bytes());
    }
    if !shown.is_empty() {
        buffer.extend_from_slice(format!("  |{}|", ascii(shown)).as_bytes());
    }
}

fn ascii(bytes: &[u8]) -> String {
    let visible = |&byte: &u8| if matches!(byte, b' '..=b'~') { char::from(byte) } else { '.' };
    bytes.iter().map(visible).collect()
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
