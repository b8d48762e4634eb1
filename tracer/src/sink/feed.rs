//! What a pipeline writes to: standard output, by itself, or the queues of several outputs.

use std::{
    io::{self, Write},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{Amount, Counters, Fan};
use crate::{
    event::{Event, Sink},
    output::{Look, Output, WallClock},
};

/// What a pipeline writes to.
pub enum Feed {
    /// It writes itself, and waits for whoever reads. What outputs before had no room for is counted.
    Direct(Output, Arc<Counters>),
    /// It hands over, and waits for nobody.
    Queued(Fan),
}

impl Feed {
    /// Writes to `to` itself.
    pub fn direct(look: Look, to: Box<dyn Write + Send>) -> Self {
        Self::Direct(Output::new(look, to), Arc::default())
    }

    /// Sets the clock that shows the time of events.
    pub fn set_clock(&mut self, clock: WallClock) {
        match self {
            Self::Direct(output, _) => output.clock = clock,
            Self::Queued(fan) => fan.clock = clock,
        }
    }

    /// Writes, or hands over, what was collected.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Direct(output, _) => output.flush(),
            Self::Queued(fan) => {
                fan.flush();
                Ok(())
            }
        }
    }

    /// Whether it is no use to go on.
    pub fn has_failed(&self) -> bool {
        match self {
            Self::Direct(output, _) => output.has_failed(),
            Self::Queued(fan) => fan.failed.load(Relaxed),
        }
    }

    /// Events that all outputs together had no room for.
    pub fn dropped(&self) -> Amount {
        match self {
            Self::Direct(_, dropped) => dropped.amount(),
            Self::Queued(fan) => fan.dropped.amount(),
        }
    }
}

impl Sink for Feed {
    fn emit(&mut self, event: &Event<'_>) {
        match self {
            Self::Direct(output, _) => output.emit(event),
            Self::Queued(fan) => fan.emit(event),
        }
    }
}
