//! A thread that turns what was captured into events.

use std::{ops::ControlFlow, os::fd::BorrowedFd};

use ::tracing::warn;
use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    heap::Heap,
    orders::{Inbox, Order},
};
use crate::{
    capture::{Capture, clock},
    output::WallClock,
    pipeline::{Finished, Pipeline},
    segment::{Nanos, SECOND},
};

/// How long the consumer naps after it found something.
const NAP: Nanos = 2_000_000;

/// After so long without a segment people may be looking at the wrong port.
const SILENCE: Nanos = 10 * SECOND;

/// How a consumer ended.
pub(super) struct Ended {
    pub(super) finished: Finished,
    /// Why nothing could be captured any more.
    pub(super) failed: Option<anyhow::Error>,
}

/// Takes segments, decodes them, writes events.
pub(super) struct Consumer<C> {
    capture: C,
    pipeline: Pipeline,
    inbox: Inbox,
    /// It was told to end when there is nothing left.
    is_stopping: bool,
    /// What to say when nothing comes, and when to wonder; one consumer of several does.
    hint: String,
    hint_at: Option<Nanos>,
    heap: Heap,
}

/// What woke the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    Orders,
    Other,
}

impl<C: Capture> Consumer<C> {
    pub(super) fn new(capture: C, pipeline: Pipeline, inbox: Inbox) -> Self {
        let (hint, hint_at, heap) = Default::default();
        Self { capture, pipeline, inbox, is_stopping: false, hint, hint_at, heap }
    }

    /// Has it say this when nothing comes.
    pub(super) fn hinting(self, hint: String) -> Self {
        Self { hint, hint_at: Some(clock::monotonic() + SILENCE), ..self }
    }

    /// Works until it is stopped, has what was wanted, or cannot write any more.
    pub(super) fn run(mut self) -> Ended {
        loop {
            let freed = match self.drain() {
                Ok(freed) => freed,
                Err(error) => return self.end(Some(error)),
            };
            if self.pipeline.is_done() || (freed == 0 && self.is_stopping) {
                return self.end(None);
            }
            if self.is_stopping {
                continue;
            }
            let woken = if freed > 0 { self.nap(freed) } else { self.sleep() };
            if woken == Woken::Orders
                && let Err(error) = self.obey()
            {
                return self.end(Some(error));
            }
        }
    }

    /// Does what it was told, when it has shown what was there before.
    fn obey(&mut self) -> Result<()> {
        self.drain()?;
        let Self { capture, pipeline, inbox, is_stopping, .. } = self;
        for order in inbox.take() {
            match order {
                Order::Stop => *is_stopping = true,
                // Who asked may have stopped waiting.
                Order::Answer(to) => {
                    to.send(pipeline.counted(|stats| capture.count(stats))).ok();
                }
                Order::Change(change, done) => {
                    if let Err(error) = pipeline.change(*change, clock::monotonic()) {
                        warn!("cannot write what was collected so far: {error}");
                    }
                    done.send(()).ok();
                }
            }
        }
        Ok(())
    }

    /// One turn: what is in the ring, what is due, one write.
    fn drain(&mut self) -> Result<usize> {
        set_clock(&mut self.pipeline);
        let Self { capture, pipeline, heap, .. } = self;
        pipeline.note_waiting(|| capture.waiting(), capture.size());
        let freed = capture.drain(|segment| {
            let interest = pipeline.segment(segment);
            heap.note_held(pipeline.held());
            if pipeline.is_done() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(interest)
            }
        })?;
        let now = clock::monotonic();
        pipeline.tick_live(now, |stats| capture.count(stats));
        // An error stays in the pipeline, which is done then.
        pipeline.flush().ok();
        self.heap.note(self.pipeline.held(), now);
        self.give_hint(now);
        Ok(freed)
    }

    /// Says once that nothing comes.
    fn give_hint(&mut self, now: Nanos) {
        let Some(at) = self.hint_at else { return };
        let has_segments = self.pipeline.has_seen_any();
        if has_segments || at <= now {
            // An idle run is not to wake for this again.
            self.hint_at = None;
        }
        if !has_segments && at <= now {
            warn!("{}", self.hint);
        }
    }

    /// Naps as long as the ring can take it. The kernel wakes a reader that has caught up with every
    /// first record: napping without listening to the ring saves a flood those wake-ups.
    fn nap(&self, freed: usize) -> Woken {
        let size = self.capture.size();
        let nap = match freed {
            _ if freed >= size / 8 => return self.poll(&[], Some(0)),
            _ if freed >= size / 64 => NAP / 8,
            _ => NAP,
        };
        self.poll(&[], Some(nap))
    }

    /// Sleeps until the kernel has something, or the pipeline.
    fn sleep(&self) -> Woken {
        let due = self.pipeline.next_tick().into_iter().chain(self.hint_at).min();
        let due = due.map(|due| due.saturating_sub(clock::monotonic()));
        let due = due.into_iter().chain(self.capture.patience()).min();
        self.poll(&self.capture.descriptors(), due)
    }

    fn poll(&self, others: &[BorrowedFd<'_>], timeout: Option<Nanos>) -> Woken {
        let timeout = timeout.map(|nanos| Timespec {
            tv_sec: i64::try_from(nanos / SECOND).unwrap_or(i64::MAX),
            tv_nsec: (nanos % SECOND).cast_signed(),
        });
        let mut fds = vec![PollFd::new(&self.inbox, PollFlags::IN)];
        fds.extend(others.iter().map(|other| PollFd::from_borrowed_fd(*other, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) if fds[0].revents().contains(PollFlags::IN) => Woken::Orders,
            // EINTR: look again.
            _ => Woken::Other,
        }
    }

    fn end(self, failed: Option<anyhow::Error>) -> Ended {
        let Self { mut capture, pipeline, .. } = self;
        let finished = pipeline.finish(clock::monotonic(), |stats| capture.count(stats));
        Ended { finished, failed }
    }
}

/// Tells the pipeline what the clock on the wall shows: it may have been set meanwhile.
pub(super) fn set_clock(pipeline: &mut Pipeline) {
    pipeline.set_clock(WallClock::new(clock::wall(), clock::monotonic()));
}
