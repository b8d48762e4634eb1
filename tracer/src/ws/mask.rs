//! Masking (RFC 6455 section 5.3): XOR with a four-byte key that repeats.

/// Unmasks (or masks: it is the same) `data` into `room`, and gives back what came of it. `phase` is
/// how many bytes of the frame's payload came before `data`: the key goes on where it was.
pub fn unmask<'r>(data: &[u8], key: [u8; 4], phase: u64, room: &'r mut Vec<u8>) -> &'r [u8] {
    if room.len() < data.len() {
        room.resize(data.len(), 0);
    }
    let out = &mut room[..data.len()];
    let key = twice(key, phase);
    // Eight bytes at a time, which compilers turn into vector instructions; no alignment needed.
    for (to, from) in out.as_chunks_mut::<WORD>().0.iter_mut().zip(data.as_chunks().0) {
        *to = (u64::from_le_bytes(*from) ^ key).to_le_bytes();
    }
    // The last eight once more, up to the end: that takes less than the rest byte by byte.
    if let (Some(to), Some(from)) = (out.last_chunk_mut(), data.last_chunk::<WORD>()) {
        let key = key.rotate_right(8 * (data.len() as u32 & 3));
        *to = (u64::from_le_bytes(*from) ^ key).to_le_bytes();
    } else {
        for ((to, from), key) in out.iter_mut().zip(data).zip(key.to_le_bytes()) {
            *to = from ^ key;
        }
    }
    out
}

const WORD: usize = 8;

/// The key twice, as it is `phase` bytes into the payload; its next byte is lowest.
fn twice(key: [u8; 4], phase: u64) -> u64 {
    let key = u32::from_le_bytes(key).rotate_right(8 * (phase & 3) as u32);
    u64::from(key) << 32 | u64::from(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455_section_5_7() {
        let masked = b"\x7f\x9f\x4d\x51\x58";
        assert_eq!(unmask(masked, [0x37, 0xfa, 0x21, 0x3d], 0, &mut Vec::new()), b"Hello");
    }

    #[test]
    fn any_length_alignment_and_phase_equals_the_definition() {
        let mut random = crate::test_random::Random::new(2);
        let original = random.bytes(300);
        let key = [0xde, 0xad, 0xbe, 0xef];
        let mut room = Vec::new();
        for start in 0..20 {
            for end in start..original.len() {
                for phase in [0, 1, 2, 3, 4, u64::MAX] {
                    let plain = unmask(&original[start..end], key, phase, &mut room);
                    assert_eq!(plain.len(), end - start);
                    for (i, (got, from)) in plain.iter().zip(&original[start..]).enumerate() {
                        let at = (phase % 4) as usize + i;
                        assert_eq!(*got, from ^ key[at % 4]);
                    }
                }
            }
        }
    }
}
