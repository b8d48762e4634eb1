//! The classifier's records and counters together, as a live run wants them.

use std::{
    ops::ControlFlow,
    os::fd::{AsFd as _, BorrowedFd},
};

use anyhow::Result;

use super::{bypass::Bypass, counters::KernelCounters, ring::Records};
use crate::{
    capture::{Answer, Capture},
    event::Stats,
    notice::notice,
    segment::{Interest, Segment},
};

/// Capture by the classifier.
pub struct RingCapture {
    /// The segments.
    pub records: Records,
    /// What was lost, and not understood.
    pub counters: KernelCounters,
    /// Takes the flows that need not be copied, if any are to be left out.
    pub bypass: Option<Bypass>,
}

impl Capture for RingCapture {
    fn size(&self) -> usize {
        self.records.size()
    }

    fn drain(&mut self, mut take: impl FnMut(&Segment<'_>) -> Answer) -> Result<usize> {
        let Self { records, bypass, .. } = self;
        Ok(records.drain(|segment| match take(segment) {
            ControlFlow::Break(()) => false,
            ControlFlow::Continue(interest) => {
                if interest == Interest::Nothing && !segment.payload.is_empty() {
                    leave_out(bypass, segment);
                }
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

/// Stops the copying of a segment's flow. Where that fails, everything is copied as before.
fn leave_out(bypass: &mut Option<Bypass>, segment: &Segment<'_>) {
    if let Some(Err(error)) = bypass.as_mut().map(|bypass| bypass.add(segment)) {
        notice(format_args!("cannot leave out what is no WebSocket: {error}"));
        *bypass = None;
    }
}
