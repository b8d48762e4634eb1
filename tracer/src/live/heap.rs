//! Gives memory back: how much a decoder holds comes in. What it has let go of after a burst stays
//! with the allocator, in pieces between others, unless that is told to return them.

/// Less than this is not worth looking through all that is free.
const WORTH: usize = 16 << 20;

/// What a decoder held at most since memory was last given back.
#[derive(Default)]
pub(super) struct Heap {
    peak: usize,
}

impl Heap {
    /// Takes note of what it holds now.
    pub(super) fn note(&mut self, held: usize) {
        self.peak = self.peak.max(held);
        if self.is_mostly_free(held) {
            give_back();
            self.peak = held;
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
        heap.note(WORTH * 4);
        heap.note(WORTH + 1);
        assert_eq!(heap.peak, WORTH * 4, "still much is held");
        heap.note(WORTH - 1);
        assert_eq!(heap.peak, WORTH - 1);
        heap.note(0);
        assert_eq!(heap.peak, WORTH - 1, "too little to look for");
    }
}
