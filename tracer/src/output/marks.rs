//! Which bytes of text cannot be copied as they are: a block goes in, a bit for each byte comes out.

/// Bytes looked at together.
pub(super) const BLOCK: usize = 16;

/// Bits of a block's bytes, the lowest for the first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// JSON wants a backslash before them.
    pub(super) quoted: u32,
    /// They begin characters that may be unsafe.
    pub(super) suspect: u32,
}

/// First bytes of the UTF-8 sequences of U+0080, U+061C, U+180E, U+200B, U+FEFF and U+E0000.
const LEADS: [u8; 6] = [0xc2, 0xd8, 0xe1, 0xe2, 0xef, 0xf3];

/// The marks of a block.
#[inline(always)]
pub(super) fn marks(block: &[u8; BLOCK]) -> Marks {
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "instructions that not every processor has are unsafe to use")]
    // SAFETY: every x86-64 has SSE2.
    return unsafe { marks_by_sse2(block) };
    #[cfg(not(target_arch = "x86_64"))]
    marks_by_bytes(block)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn marks_by_sse2(block: &[u8; BLOCK]) -> Marks {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8,
    };
    let [first, second] = words(block).map(u64::cast_signed);
    let block = _mm_set_epi64x(second, first);
    let same = |byte: u8| _mm_cmpeq_epi8(block, _mm_set1_epi8(byte.cast_signed()));
    let bits = |bytes| _mm_movemask_epi8(bytes).cast_unsigned();
    let quoted = bits(_mm_or_si128(same(b'"'), same(b'\\')));
    // Signed: whatever is not ASCII is less, too.
    let mut suspect = bits(_mm_or_si128(_mm_cmplt_epi8(block, _mm_set1_epi8(0x20)), same(0x7f)));
    if suspect != 0 {
        let control = _mm_cmpeq_epi8(block, _mm_min_epu8(block, _mm_set1_epi8(0x1f)));
        let control = _mm_or_si128(control, same(0x7f));
        let or_same = |any, &lead: &u8| _mm_or_si128(any, same(lead));
        suspect = bits(LEADS.iter().fold(control, or_same));
    }
    Marks { quoted, suspect }
}

/// The same, one byte after the other.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn marks_by_bytes(block: &[u8; BLOCK]) -> Marks {
    let mut marks = Marks { quoted: 0, suspect: 0 };
    for (n, &byte) in block.iter().enumerate() {
        marks.quoted |= u32::from(matches!(byte, b'"' | b'\\')) << n;
        marks.suspect |= u32::from(byte.is_ascii_control() || LEADS.contains(&byte)) << n;
    }
    marks
}

/// A block's words, their first bytes lowest.
#[inline]
pub(super) fn words(block: &[u8; BLOCK]) -> [u64; 2] {
    let both = u128::from_le_bytes(*block);
    [both as u64, (both >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_marked_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = *b"plain text, \xc3\xa9!!";
                block[at] = byte;
                assert_eq!(marks(&block), marks_by_bytes(&block), "{byte:#x} at {at}");
            }
        }
    }
}
