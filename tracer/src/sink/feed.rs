//! What a pipeline writes to: the queues of outputs, or, where it may wait, standard output by itself.

use std::io::{self, Write};

use super::{Amount, Fan};
use crate::{
    event::{Event, Sink},
    output::{Look, Output, WallClock},
};

/// What a pipeline writes to.
pub enum Feed {
    /// It writes itself, and waits for whoever reads.
    Direct(Output),
    /// It hands over, and waits for nobody.
    Queued(Fan),
}

impl Feed {
    /// Writes to `to` itself.
    pub fn direct(look: Look, to: Box<dyn Write + Send>) -> Self {
        Self::Direct(Output::new(look, to))
    }

    /// Sets the clock that shows the time of events.
    pub fn set_clock(&mut self, clock: WallClock) {
        match self {
            Self::Direct(output) => output.clock = clock,
            Self::Queued(fan) => fan.clock = clock,
        }
    }

    /// Writes, or hands over, what was collected.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Direct(output) => output.flush(),
            Self::Queued(fan) => {
                fan.flush();
                Ok(())
            }
        }
    }

    /// Writes, or hands over, the last words of a run, which find room in any case.
    pub fn conclude(&mut self) -> io::Result<()> {
        match self {
            Self::Direct(output) => output.flush(),
            Self::Queued(fan) => {
                fan.conclude();
                Ok(())
            }
        }
    }

    /// Whether it is no use to go on.
    pub fn has_failed(&self) -> bool {
        match self {
            Self::Direct(output) => output.has_failed(),
            Self::Queued(fan) => fan.failure.has_been(),
        }
    }

    /// Events that all outputs together had no room for.
    pub fn dropped(&self) -> Amount {
        match self {
            Self::Direct(_) => Amount::default(),
            Self::Queued(fan) => fan.dropped.amount(),
        }
    }
}

impl Sink for Feed {
    fn emit(&mut self, event: &Event<'_>) {
        match self {
            Self::Direct(output) => output.emit(event),
            Self::Queued(fan) => fan.emit(event),
        }
    }
}
