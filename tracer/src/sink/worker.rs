//! The thread of an output: takes events out of its queue and writes them, whatever happens to the
//! place where they go, until there are no more.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use anyhow::anyhow;

use super::{
    Overflow,
    batch::{Amount, Batch, Portion},
    queue::{Missed, Next, Paused, Receiver},
    told::Told,
};
use crate::{
    event::{Body, Event},
    output::{Format, Look, WallClock},
};

/// Between two attempts, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A place where events are written.
pub(super) trait Place: Send {
    /// Writes some of it, and notes in it how much. After an error it is called again with what is
    /// left; where that has to begin with a whole event, it rewinds.
    fn write(&mut self, portion: &mut Portion) -> io::Result<()>;

    /// Opens a file again, which somebody else has given another name. Returns whether it is another one.
    fn reopen(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// Whether an error means that nobody wants any more.
    fn is_over(&self, _: &io::Error) -> bool {
        false
    }

    /// There is nothing more to write.
    fn finish(&mut self) {}
}

/// A place at work.
pub(super) struct Worker {
    pub(super) receiver: Receiver,
    pub(super) place: Box<dyn Place>,
    pub(super) look: Look,
    pub(super) overflow: Overflow,
    pub(super) told: Arc<Told>,
    /// Nobody would see the run go on without it: it does not try again, and nobody leaves it quietly.
    pub(super) is_alone: Arc<AtomicBool>,
}

/// How an output ended that has not written everything.
pub(super) struct Loss {
    pub(super) error: io::Error,
    pub(super) lost: Amount,
    /// Nobody wants it any more.
    pub(super) is_unwanted: bool,
    /// The run does not go on without it.
    pub(super) ends_run: bool,
}

impl Loss {
    /// What is said of it.
    pub(super) fn of(&self, name: &str) -> String {
        let Self { error, lost, .. } = self;
        format!("cannot write {name}, {} events are lost: {error}", lost.events)
    }

    /// The same as an error: in words, unless it is known by its kind, as of `tracer | head`. A pipe that a
    /// collector has closed is no such.
    pub(super) fn into_error(self, name: &str) -> anyhow::Error {
        if self.is_unwanted { self.error.into() } else { anyhow!(self.of(name)) }
    }
}

/// Why nothing more is written.
enum Stop {
    /// Nobody wants it.
    Over,
    /// It does not work, and it is too late to try again.
    Failed { error: io::Error, left: Amount, ends_run: bool },
}

impl Stop {
    fn of_note(self) -> Self {
        match self {
            Self::Over => Self::Over,
            Self::Failed { error, ends_run, .. } => {
                Self::Failed { error, left: Amount::default(), ends_run }
            }
        }
    }
}

/// What is kept between attempts.
struct Trouble {
    pause: Duration,
    is_known: bool,
    is_told: bool,
}

impl Worker {
    /// Writes until there is nothing more.
    pub(super) fn run(mut self) -> Result<(), Loss> {
        let mut format = self.look.format();
        let stop = loop {
            let written = match self.receiver.next() {
                Next::Events(portion) => self.write_events(portion),
                // Counted when it happened: the note itself is no loss.
                Next::Missed(missed) => {
                    self.write(note(missed, &mut *format)).map_err(Stop::of_note)
                }
                Next::Reopen => {
                    self.reopen();
                    Ok(())
                }
                Next::End => {
                    self.place.finish();
                    return Ok(());
                }
            };
            if let Err(stop) = written {
                break stop;
            }
        };
        match stop {
            Stop::Over => Ok(()),
            Stop::Failed { error, left, ends_run } => {
                let is_unwanted = self.place.is_over(&error);
                Err(Loss { error, lost: self.receiver.give_up(left), is_unwanted, ends_run })
            }
        }
    }

    /// The same as [`Worker::write`], and counts.
    fn write_events(&mut self, portion: Portion) -> Result<(), Stop> {
        let all = portion.amount().events;
        let written = self.write(portion);
        self.receiver.note_written(match &written {
            Ok(()) => all,
            Err(Stop::Failed { left, .. }) => all.saturating_sub(left.events),
            Err(Stop::Over) => 0,
        });
        written
    }

    /// Writes a portion to its end, however long that takes.
    fn write(&mut self, mut portion: Portion) -> Result<(), Stop> {
        let mut trouble = Trouble { pause: FIRST_PAUSE, is_known: false, is_told: false };
        let mut is_last_attempt = self.overflow == Overflow::Wait;
        while !portion.is_done() {
            let Err(error) = self.place.write(&mut portion) else { continue };
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            let is_alone = self.is_alone.load(Relaxed);
            if self.place.is_over(&error) && !is_alone {
                return Err(Stop::Over);
            }
            if is_last_attempt || is_alone {
                let ends_run = is_alone || self.overflow == Overflow::Wait;
                return Err(Stop::Failed { error, left: portion.left(), ends_run });
            }
            let paused = self.wait_for_better_times(&error, &mut trouble);
            // A new file begins with a whole event.
            if paused == Paused::Reopen && self.reopen() {
                portion.rewind();
            }
            is_last_attempt = paused == Paused::Ending;
        }
        if trouble.is_told {
            self.told.tell_of_recovery();
        }
        Ok(())
    }

    fn wait_for_better_times(&mut self, error: &io::Error, trouble: &mut Trouble) -> Paused {
        if !std::mem::replace(&mut trouble.is_known, true) {
            trouble.is_told = self.told.tell_of_trouble(error);
        }
        let paused = self.receiver.pause(trouble.pause);
        trouble.pause = (trouble.pause * 2).min(LONGEST_PAUSE);
        paused
    }

    /// Returns whether it is another one. Where it cannot be opened, it goes on with the file that it has.
    fn reopen(&mut self) -> bool {
        let reopened = self.place.reopen();
        reopened.inspect_err(|error| self.told.tell_of_old_file(error)).unwrap_or(false)
    }
}

/// Says in the output itself what it has missed.
fn note(missed: Missed, format: &mut dyn Format) -> Portion {
    let Missed { amount: Amount { events, bytes }, until } = missed;
    let since_epoch = until.and_then(|until| until.duration_since(SystemTime::UNIX_EPOCH).ok());
    let time = since_epoch.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let body = Body::Dropped { events, bytes };
    let mut line = Vec::new();
    format.write(&Event { time, conn: None, from: None, body }, WallClock::default(), &mut line);
    let ends = vec![line.len()];
    Portion::new(Arc::new(Batch::new(line, ends)), 1)
}

#[cfg(test)]
mod tests;
