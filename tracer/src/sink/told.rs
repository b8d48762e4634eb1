//! What an output's user is told of its troubles, on stderr: each once, not with every event.

use ::tracing::warn;
use std::{
    fmt, io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use super::worker::Loss;

/// An output that drops events again and again is not told of more often.
const OFTEN: Duration = Duration::from_mins(1);

/// What was told of an output.
pub(super) struct Told {
    name: String,
    /// What its queue holds.
    limit: usize,
    dropping: Seldom,
    trouble: Seldom,
    /// It is not wanted any more, and the run goes on.
    is_leaving: AtomicBool,
}

/// Lets something be told once in a while.
#[derive(Default)]
struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    fn is_time(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = last.is_none_or(|last| last.elapsed() >= OFTEN);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }
}

impl Told {
    pub(super) fn new(name: impl fmt::Display, limit: usize) -> Self {
        Self {
            name: name.to_string(),
            limit,
            dropping: Seldom::default(),
            trouble: Seldom::default(),
            is_leaving: AtomicBool::new(false),
        }
    }

    /// Notes that it is not wanted any more, and the run goes on.
    pub(super) fn note_leaving(&self) {
        self.is_leaving.store(true, Relaxed);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Relaxed)
    }

    /// Says what it could not write, where nobody waits for its end who would.
    pub(super) fn tell_of_loss(&self, loss: &Loss) {
        if self.is_leaving() {
            warn!("{}", loss.of(&self.name));
        }
    }

    /// The output's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Says that events are dropped from now on. Whoever decodes must not wait for stderr, so somebody
    /// else says it.
    pub(super) fn tell_of_dropping(&self) {
        if !self.dropping.is_time() {
            return;
        }
        let Self { name, limit, .. } = self;
        let sentence = format!(
            "{name} is too slow: {} wait for it already, what comes now is dropped and counted",
            Bytes(*limit)
        );
        let telling = thread::Builder::new().name("tell".to_owned());
        // Where no thread can be had, there are worse troubles to be told of.
        telling.spawn(move || warn!("{sentence}")).ok();
    }

    /// Says that writing has failed, and will be tried again. Returns whether it was time to say so.
    pub(super) fn tell_of_trouble(&self, error: &io::Error) -> bool {
        let Self { name, limit, .. } = self;
        let is_time = self.trouble.is_time();
        if is_time {
            warn!("{name}: {error}; trying again, meanwhile {} of events can wait", Bytes(*limit));
        }
        is_time
    }

    /// Says that a file could not be opened again, and what happens instead.
    pub(super) fn tell_of_old_file(&self, error: &io::Error) {
        let name = &self.name;
        warn!("cannot open {name} again: {error}; the old file is written on");
    }

    /// Says that the trouble is over.
    pub(super) fn tell_of_recovery(&self) {
        warn!("{} goes on", self.name);
    }
}

/// A size as people write it.
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= 1 << 20 => write!(f, "{} MiB", bytes >> 20),
            bytes => write!(f, "{} KiB", bytes >> 10),
        }
    }
}
