//! Frames for tests, legal or not.

use super::mask;

/// A frame with this first byte; masked with `key` where there is one.
pub(crate) fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(mask_bit | len as u8),
        len @ ..65536 => {
            frame.push(mask_bit | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(mask_bit | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    let mut room = Vec::new();
    let mut payload = payload;
    if let Some(key) = key {
        frame.extend(key);
        payload = mask::unmask(payload, key, 0, &mut room);
    }
    frame.extend(payload);
    frame
}

/// A client's frame. As clients do, it has another key for another payload.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    // FNV-1a.
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let key = payload.iter().fold(0x811c_9dc5, mix).to_be_bytes();
    frame(first, Some(key), payload)
}

/// A server's frame.
pub(crate) fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, None, payload)
}
