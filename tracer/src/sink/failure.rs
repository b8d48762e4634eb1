//! That an output has failed which the run cannot go on without: threads that write say so, all others
//! may ask, and one is told at once.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering::SeqCst},
};

/// What is done when it happens.
type Tell = Box<dyn Fn() + Send + Sync>;

/// Whether it has happened, and who wants to know.
#[derive(Default)]
pub(super) struct Failure {
    has_been: AtomicBool,
    tell: OnceLock<Tell>,
}

impl Failure {
    /// It has happened.
    pub(super) fn note(&self) {
        self.has_been.store(true, SeqCst);
        if let Some(tell) = self.tell.get() {
            tell();
        }
    }

    /// Whether it has happened.
    pub(super) fn has_been(&self) -> bool {
        self.has_been.load(SeqCst)
    }

    /// Has this done when it happens, and now if it has happened already. Only the first one counts.
    #[cfg(feature = "live")]
    pub(super) fn tell_by(&self, tell: Tell) {
        let tell = self.tell.get_or_init(|| tell);
        if self.has_been() {
            tell();
        }
    }
}
