//! What all outputs of a run have dropped together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::batch::Amount;

/// Grows only, also when outputs come and go.
#[derive(Debug, Default)]
pub struct Counters {
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Counters {
    pub(super) fn add(&self, amount: Amount) {
        self.events.fetch_add(amount.events, Relaxed);
        self.bytes.fetch_add(amount.bytes, Relaxed);
    }

    /// What they have dropped so far.
    pub fn amount(&self) -> Amount {
        Amount { events: self.events.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}
