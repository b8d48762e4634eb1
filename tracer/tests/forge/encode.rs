//! Frames as bytes (RFC 6455 section 5.2), legal or not: the first byte is the caller's.

/// A frame; with a masking key it is a client's.
pub(crate) fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, mask, payload.len() as u64);
    // XOR with 0 is what a server does: nothing.
    let key = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The header of a frame with so many bytes of payload, which may be more than ever come.
pub(crate) fn header(first: u8, mask: Option<[u8; 4]>, len: u64) -> Vec<u8> {
    let masked = u8::from(mask.is_some()) << 7;
    let mut header = vec![first];
    match len {
        ..126 => header.push(masked | len as u8),
        126..65_536 => {
            header.push(masked | 126);
            header.extend((len as u16).to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend(len.to_be_bytes());
        }
    }
    header.extend(mask.iter().flatten());
    header
}
