//! Events as lines: JSON for programs, text for people, each over [`std::io::Write`]; and as entries of
//! the systemd journal.

mod clock;
mod digits;
mod escape;
mod hex;
mod journal;
mod json;
mod marks;
mod prefixes;
mod summary;
mod text;

use std::io::{self, Write};

pub use clock::WallClock;
pub use journal::Journal;
pub use json::Json;
pub use summary::summary;
pub use text::{Style, Text};

use crate::event::{Event, Sink};

/// Lines are collected up to so many bytes before they are written.
pub(crate) const BUFFER: usize = 64 * 1024;

/// Turns an event into lines.
pub trait Format {
    /// Appends the event's lines to `buffer`.
    fn write(&mut self, event: &Event<'_>, clock: WallClock, buffer: &mut Vec<u8>);
}

/// How events look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// For programs.
    Json,
    /// For people.
    Text(Style),
    /// For journald; the style is that of an entry's message.
    Journal(Style),
}

impl Look {
    /// What makes events look so.
    pub fn format(self) -> Box<dyn Format + Send> {
        match self {
            Self::Json => Box::new(Json::default()),
            Self::Text(style) => Box::new(Text::new(style)),
            Self::Journal(style) => Box::new(Journal::new(style)),
        }
    }
}

/// A format and the place that its lines go to.
pub struct Output {
    format: Box<dyn Format + Send>,
    /// From the time of segments to the wall clock's.
    pub clock: WallClock,
    buffer: Vec<u8>,
    to: Box<dyn Write + Send>,
    failed: Option<io::Error>,
}

impl Output {
    /// Writes to `to`, looking so.
    pub fn new(look: Look, to: Box<dyn Write + Send>) -> Self {
        let buffer = Vec::with_capacity(BUFFER + BUFFER / 4);
        Self { format: look.format(), clock: WallClock::default(), buffer, to, failed: None }
    }

    /// Writes what was collected. The first error stays: nothing is written after it.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.failed.is_none() && !self.buffer.is_empty() {
            self.failed = self.to.write_all(&self.buffer).and_then(|()| self.to.flush()).err();
        }
        self.buffer.clear();
        // A long line is rare.
        self.buffer.shrink_to(2 * BUFFER);
        match &self.failed {
            None => Ok(()),
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }

    /// Whether writing has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }
}

impl Sink for Output {
    fn emit(&mut self, event: &Event<'_>) {
        self.format.write(event, self.clock, &mut self.buffer);
        if self.buffer.len() >= BUFFER {
            // `flush` keeps the error for the next caller who can do something about it.
            let _kept: io::Result<()> = self.flush();
        }
    }
}
