//! Masking (RFC 6455 section 5.3): XOR with a four-byte key that repeats.

/// Unmasks (or masks: it is the same) `data` in place. `phase` is how many bytes of the frame's
/// payload came before `data`: the key goes on where it was.
pub fn unmask(data: &mut [u8], key: [u8; 4], phase: u64) {
    let key = rotated(key, phase);
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    // Eight bytes at a time, which compilers turn into vector instructions; no alignment needed.
    let (chunks, rest) = data.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The key as it is `phase` bytes into the payload.
fn rotated(mut key: [u8; 4], phase: u64) -> [u8; 4] {
    key.rotate_left((phase & 3) as usize);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455_section_5_7() {
        let mut data = *b"\x7f\x9f\x4d\x51\x58";
        unmask(&mut data, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&data, b"Hello");
    }

    #[test]
    fn any_length_alignment_and_phase_equals_the_definition() {
        let mut random = crate::test_random::Random::new(2);
        let original = random.bytes(300);
        let key = [0xde, 0xad, 0xbe, 0xef];
        for start in 0..20 {
            for end in start..original.len() {
                for phase in [0, 1, 2, 3, 4, u64::MAX] {
                    let mut data = original.clone();
                    unmask(&mut data[start..end], key, phase);
                    for (i, (got, from)) in
                        data[start..end].iter().zip(&original[start..]).enumerate()
                    {
                        let at = (phase % 4) as usize + i;
                        assert_eq!(*got, from ^ key[at % 4]);
                    }
                }
            }
        }
    }
}
