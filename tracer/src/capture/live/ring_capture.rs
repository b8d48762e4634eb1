//! The records of one ring, and the classifier's counters, as a live run wants them.

use std::{
    ops::ControlFlow,
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
};

use anyhow::Result;

use super::{counters::KernelCounters, level::RingLevel, ring::Records, wishes::Wishes};
use crate::{
    capture::{Answer, Capture},
    event::Stats,
    segment::Segment,
};

/// Capture by the classifier.
pub struct RingCapture {
    /// The segments.
    pub records: Records,
    /// What was lost, and not understood, of all rings.
    pub counters: Arc<KernelCounters>,
    /// Tells the classifier what need not be copied.
    pub wishes: Wishes,
    /// How much waits, where somebody wants to know.
    pub level: Option<RingLevel>,
}

impl Capture for RingCapture {
    fn size(&self) -> usize {
        self.records.size()
    }

    fn waiting(&self) -> Option<usize> {
        self.level.map(|level| level.used())
    }

    fn drain(&mut self, mut take: impl FnMut(&Segment<'_>) -> Answer) -> Result<usize> {
        let Self { records, wishes, .. } = self;
        Ok(records.drain(|segment| match take(segment) {
            ControlFlow::Break(()) => false,
            ControlFlow::Continue(interest) => {
                wishes.heed(interest, segment);
                true
            }
        }))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.records.as_fd()]
    }

    fn count(&mut self, stats: &mut Stats) {
        self.counters.fill(stats);
    }
}
