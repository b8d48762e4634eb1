//! Gives memory back: how much a decoder holds comes in. What it has let go of stays with the
//! allocator, in pieces between others, unless that is told to return them.

use crate::segment::{Nanos, SECOND};

/// Less than this is not worth looking through all that is free at once.
const WORTH: usize = 16 << 20;
/// So often it is, while there is traffic: what small bursts leave behind adds up.
const OFTEN: Nanos = 60 * SECOND;

/// What a decoder held at most since memory was last given back, and when it is again at the latest.
#[derive(Default)]
pub(super) struct Heap {
    peak: usize,
    due: Option<Nanos>,
}

impl Heap {
    /// Takes note of what it holds within a turn: a burst may come and go in one.
    pub(super) fn note_held(&mut self, held: usize) {
        self.peak = self.peak.max(held);
    }

    /// Takes note of what it holds at the end of a turn.
    pub(super) fn note(&mut self, held: usize, now: Nanos) {
        self.note_held(held);
        let due = *self.due.get_or_insert(now + OFTEN);
        if self.is_mostly_free(held) || due <= now {
            give_back();
            *self = Self { peak: held, due: Some(now + OFTEN) };
        }
    }

    fn is_mostly_free(&self, held: usize) -> bool {
        self.peak >= WORTH && held < self.peak / 4
    }
}

/// `malloc_trim(3)`.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a function of the C library")]
fn give_back() {
    // SAFETY: takes no pointers, and may be called by any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do it by themselves.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_a_burst_is_given_back_once() {
        let mut heap = Heap::default();
        heap.note(WORTH * 4, 1);
        heap.note(WORTH + 1, 2);
        assert_eq!(heap.peak, WORTH * 4, "still much is held");
        heap.note(WORTH - 1, 3);
        assert_eq!((heap.peak, heap.due), (WORTH - 1, Some(3 + OFTEN)));
        heap.note(0, 4);
        assert_eq!(heap.peak, WORTH - 1, "too little to look for");
    }

    #[test]
    fn what_comes_and_goes_within_a_turn_is_given_back() {
        let mut heap = Heap::default();
        heap.note_held(WORTH);
        heap.note(0, 1);
        assert_eq!((heap.peak, heap.due), (0, Some(1 + OFTEN)));
    }

    #[test]
    fn what_little_there_is_is_given_back_now_and_then() {
        let mut heap = Heap::default();
        heap.note(7, SECOND);
        heap.note(5, OFTEN);
        assert_eq!(heap.peak, 7, "it is not yet time");
        heap.note(5, SECOND + OFTEN);
        assert_eq!((heap.peak, heap.due), (5, Some(SECOND + 2 * OFTEN)));
    }
}
