//! Fingerprints of the segments delivered last, to notice a retransmission that says something else.
//!
//! Bytes that were delivered are not kept: comparing every overlap would take a copy of all
//! traffic. A sender that retransmits mostly sends the same segment again, so that is what is
//! recognised: same place, same length, of the latest few, up to the size of a wire segment.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::FixedState;

/// Segments remembered.
const SEGMENTS: usize = 4;
/// Longer segments were put together by offloading and are not sent again as they are.
const MAX_LEN: usize = 2048;
/// Bits that tell how long a segment was.
const LEN_BITS: u32 = 12;
const _: () = assert!(MAX_LEN < 1 << LEN_BITS);

/// The latest segments of one direction, each in twelve bytes: every connection has two of these.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// As [`place`] has them; 0: none.
    places: [u64; SEGMENTS],
    hashes: [u32; SEGMENTS],
    next: u8,
}

impl Recent {
    /// Remembers a segment that was delivered.
    // Inlined, it keeps what calls it from being so, which takes 6% more instructions a segment.
    #[inline(never)]
    pub(super) fn remember(&mut self, offset: u64, data: &[u8]) {
        if data.len() <= MAX_LEN {
            let next = usize::from(self.next);
            self.places[next] = place(offset, data.len());
            self.hashes[next] = hash(data);
            self.next = (self.next + 1) % SEGMENTS as u8;
        }
    }

    /// Whether `data` was at this place with other bytes.
    pub(super) fn contradicts(&self, offset: u64, data: &[u8]) -> bool {
        let here = place(offset, data.len());
        data.len() <= MAX_LEN
            && self
                .places
                .iter()
                .zip(self.hashes)
                .any(|(&known, known_hash)| known == here && known_hash != hash(data))
    }
}

/// Where a segment was, and how long: not 0, as segments without payload are not remembered. Streams
/// longer than four pebibytes begin anew.
fn place(offset: u64, len: usize) -> u64 {
    offset << LEN_BITS | len as u64
}

/// Half of it: one contradiction in four billion goes unnoticed.
fn hash(data: &[u8]) -> u32 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(data);
    hasher.finish() as u32
}
