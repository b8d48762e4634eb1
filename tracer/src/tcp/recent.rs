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

/// The latest segments of one direction.
#[derive(Debug, Default)]
pub(super) struct Recent {
    segments: [Option<(u64, u32, u64)>; SEGMENTS],
    next: u8,
}

impl Recent {
    /// Remembers a segment that was delivered.
    pub(super) fn remember(&mut self, offset: u64, data: &[u8]) {
        if data.len() <= MAX_LEN {
            self.segments[usize::from(self.next)] = Some((offset, data.len() as u32, hash(data)));
            self.next = (self.next + 1) % SEGMENTS as u8;
        }
    }

    /// Whether `data` was at this place with other bytes.
    pub(super) fn contradicts(&self, offset: u64, data: &[u8]) -> bool {
        self.segments.iter().flatten().any(|&(known, len, known_hash)| {
            (known, len as usize) == (offset, data.len()) && known_hash != hash(data)
        })
    }
}

fn hash(data: &[u8]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(data);
    hasher.finish()
}
