//! What a live run needs of whatever captures for it: segments and counts come out, in turns.

use std::{ops::ControlFlow, os::fd::BorrowedFd};

use anyhow::Result;

use crate::{
    event::Stats,
    segment::{Interest, Nanos, Segment},
};

/// Whether more segments are wanted, and what more of the kind of the last one is good for.
pub type Answer = ControlFlow<(), Interest>;

/// A capture that runs.
pub trait Capture {
    /// Bytes of the buffer between kernel and tracer.
    fn size(&self) -> usize;

    /// Gives out the segments that are there, up to one bufferful of them, so that the caller gets
    /// its turn in a flood too. Returns how many bytes of the
    /// buffer that set free.
    fn drain(&mut self, take: impl FnMut(&Segment<'_>) -> Answer) -> Result<usize>;

    /// Bytes of it that wait, where that can be told at no cost.
    fn waiting(&self) -> Option<usize> {
        None
    }

    /// What becomes readable when there are segments.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>>;

    /// How long nobody needs to look while nothing becomes readable; `None`: as long as they like.
    fn patience(&self) -> Option<Nanos> {
        None
    }

    /// Fills in what only the capture knows.
    fn count(&mut self, stats: &mut Stats);
}
