//! Counts what Rust code has allocated, to hold it against the bound that the code promises.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Bytes allocated now, and the most since the latest [`Watch`] began.
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted. libFuzzer's own memory does not pass through here.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn add(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(held, Relaxed);
}

#[expect(unsafe_code, reason = "a global allocator is an unsafe trait")]
// SAFETY: every call goes to the system's allocator with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `at` came from `alloc` above, so from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size(), Relaxed);
        add(new_size);
        // SAFETY: `at` came from `alloc` above, so from the system's allocator.
        unsafe { System.realloc(at, layout, new_size) }
    }
}

/// Watches the memory from its creation on; one at a time.
pub struct Watch {
    before: usize,
}

impl Watch {
    /// Begins.
    #[expect(clippy::new_without_default, reason = "creating one has an effect")]
    pub fn new() -> Self {
        let before = HELD.load(Relaxed);
        PEAK.store(before, Relaxed);
        Self { before }
    }

    /// The most bytes that were allocated at a time since.
    pub fn peak(&self) -> usize {
        PEAK.load(Relaxed).saturating_sub(self.before)
    }

    /// Panics when more than `bound` bytes were allocated at a time.
    pub fn check(&self, bound: usize) {
        let peak = self.peak();
        assert!(peak <= bound, "{peak} bytes were allocated at a time; the bound is {bound}");
    }
}
