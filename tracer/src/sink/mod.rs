//! Where events go: pipelines hand over what they have formatted, and each output writes it in a thread
//! of its own, at its own pace. Where a file is read to standard output alone, its pipeline writes itself.

mod batch;
mod counters;
mod failure;
mod fan;
mod feed;
mod file;
mod journald;
mod nursery;
mod queue;
mod rotation;
mod socket;
mod standard_output;
mod target;
mod told;
mod worker;

use ::tracing::warn;
use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, anyhow};

use crate::output::Look;
pub use batch::Amount;
pub use counters::Counters;
use failure::Failure;
use fan::Fan;
pub use feed::Feed;
use file::LogFile;
use journald::Journald;
pub use nursery::Begin;
use nursery::Nursery;
use queue::{Observer, Sender, queue};
use socket::{Address, Collector};
use standard_output::StandardOutput;
pub use target::{Rotation, Span, Target};
use told::Told;
use worker::{Loss, Place, Worker};

/// An output, as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Where events go.
    pub target: Target,
    /// How they look.
    pub look: Look,
    /// Bytes that wait for it at most; `None`: as many as for all of which nobody has said.
    pub buffer: Option<usize>,
    /// When it gives way to a new file, if it is one.
    pub rotation: Rotation,
}

/// Bytes that wait for an output at least, unless somebody says otherwise.
const LEAST_BUFFER: usize = 8 << 20;

/// What happens to events that an output has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// They are dropped and counted, and what goes wrong is tried again: nothing may slow a capture
    /// down.
    Drop,
    /// The pipeline waits, and what goes wrong ends the run: a file can be read as slowly as one wants.
    Wait,
}

/// All outputs of a run.
pub struct Outputs {
    running: Vec<Running>,
    /// Those that are not wanted any more.
    leaving: Vec<Leaving>,
    /// How standard output looks, where a pipeline that may wait writes it itself.
    direct: Option<Look>,
    /// Bytes that wait for an output of which nobody has said how many.
    buffer: usize,
    overflow: Overflow,
    nursery: Nursery,
    dropped: Arc<Counters>,
    failure: Arc<Failure>,
    monitor: Monitor,
}

/// An output at work.
struct Running {
    wanted: Wanted,
    sender: Sender,
    told: Arc<Told>,
    /// It is standard output, and there is no other: nobody would see the run go on without it.
    is_alone: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), Loss>>,
}

/// However a thread ends, the run does not go on without an output that is alone.
struct Ending {
    failure: Arc<Failure>,
    is_alone: Arc<AtomicBool>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.is_alone.load(Relaxed) {
            self.failure.note();
        }
    }
}

/// An output that nobody can give more, and that may have something left to write.
struct Leaving {
    told: Arc<Told>,
    observer: Observer,
    thread: JoinHandle<Result<(), Loss>>,
}

impl Running {
    /// Ends while the run goes on.
    fn retire(self) -> Leaving {
        self.told.note_leaving();
        self.is_alone.store(false, Relaxed);
        self.leave()
    }

    fn leave(self) -> Leaving {
        let Self { sender, told, thread, .. } = self;
        Leaving { told, observer: sender.observe(), thread }
    }
}

/// What can be said of an output at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its name, as messages have it.
    pub name: String,
    /// Bytes that wait for it.
    pub waiting: usize,
    /// Events that it has written, since the start.
    pub written: u64,
    /// What it had no room for, since the start.
    pub dropped: Amount,
    /// Whether it takes nothing more.
    pub has_ended: bool,
}

/// Looks at a run's outputs as they are, from any thread.
#[derive(Clone, Default)]
pub struct Monitor(Arc<Mutex<Vec<Observed>>>);

/// An output's name, and its queue.
type Observed = (Arc<Told>, Observer);

impl Outputs {
    /// Opens them all, and starts their threads, now and later where we are now, from one that begins so.
    /// `buffer` is for those of which nobody has said how many bytes may wait, unless that is too little.
    pub fn open(
        wanted: &[Wanted],
        overflow: Overflow,
        buffer: usize,
        begin: Begin,
    ) -> Result<Self> {
        let buffer = buffer.max(LEAST_BUFFER);
        let (dropped, failure, monitor) = Default::default();
        let (running, leaving) = Default::default();
        let nursery = Nursery::new(begin)?;
        let direct = match wanted {
            [only] if overflow == Overflow::Wait && only.target == Target::Stdout => {
                Some(only.look)
            }
            _ => None,
        };
        let mut outputs =
            Self { running, leaving, direct, buffer, overflow, nursery, dropped, failure, monitor };
        if direct.is_none() {
            outputs.set(wanted)?;
        }
        Ok(outputs)
    }

    /// Changes them. Those that are wanted as before stay as they are; the others end when no pipeline
    /// has a [`Feed`] any more that leads to them. When this fails, nothing has changed.
    pub fn set(&mut self, wanted: &[Wanted]) -> Result<()> {
        let is_new = |wanted: &&Wanted| self.running.iter().all(|old| old.wanted != **wanted);
        let opened = wanted.iter().filter(is_new).map(|new| Ok((new, place(new)?)));
        let opened = opened.collect::<Result<Vec<_>>>()?;
        let started = opened.into_iter().map(|(wanted, place)| self.start(wanted, place));
        let started = started.collect::<Result<Vec<_>>>()?;
        let leaving = self.running.extract_if(.., |old| !wanted.contains(&old.wanted));
        self.leaving.extend(leaving.map(Running::retire));
        self.running.extend(started);
        let is_alone = matches!(wanted, [Wanted { target: Target::Stdout, .. }]);
        for running in &self.running {
            running.is_alone.store(is_alone, Relaxed);
            if is_alone && running.sender.observe().has_ended() {
                // Its reader had left while there were others.
                self.failure.note();
            }
        }
        self.look_after();
        Ok(())
    }

    /// Has those looked at that have not ended.
    fn look_after(&mut self) {
        self.leaving.retain(|leaving| !leaving.thread.is_finished());
        let running = self.running.iter();
        let running = running.map(|output| (Arc::clone(&output.told), output.sender.observe()));
        let leaving = self.leaving.iter();
        let leaving = leaving.map(|output| (Arc::clone(&output.told), output.observer.clone()));
        self.monitor.watch(running.chain(leaving).collect());
    }

    fn start(&self, wanted: &Wanted, place: Box<dyn Place>) -> Result<Running> {
        let Wanted { target, look, buffer, .. } = wanted;
        let buffer = buffer.unwrap_or(self.buffer);
        let (sender, receiver) = queue(buffer, self.overflow, Arc::clone(&self.dropped));
        let told = Arc::new(Told::new(target, buffer));
        let is_alone = Arc::<AtomicBool>::default();
        let worker = Worker {
            receiver,
            place,
            look: *look,
            overflow: self.overflow,
            told: Arc::clone(&told),
            is_alone: Arc::clone(&is_alone),
        };
        let (name, before) = (Arc::clone(&told), self.before(target));
        let (failure, alone) = (Arc::clone(&self.failure), Arc::clone(&is_alone));
        let run = move || {
            let ending = Ending { failure, is_alone: alone };
            // What it still writes, and may have written half of, comes first.
            before.iter().for_each(Observer::wait_for_end);
            worker.run().inspect_err(|loss| {
                name.tell_of_loss(loss);
                if loss.ends_run {
                    ending.failure.note();
                }
            })
        };
        let thread = self.nursery.start("output", run)?;
        Ok(Running { wanted: wanted.clone(), sender, told, is_alone, thread })
    }

    /// Those that are leaving, and still write where one is wanted again. A connection is another one.
    fn before(&self, target: &Target) -> Vec<Observer> {
        let name = target.to_string();
        let is_same = matches!(target, Target::Stdout | Target::File(_));
        let same = self.leaving.iter().filter(|leaving| is_same && leaving.told.name() == name);
        same.map(|leaving| leaving.observer.clone()).collect()
    }

    /// A pipeline's way to them all.
    pub fn feed(&self) -> Feed {
        if let Some(look) = self.direct {
            return Feed::direct(look, Box::new(StandardOutput));
        }
        let mut fan = Fan::new(Arc::clone(&self.dropped), Arc::clone(&self.failure));
        for Running { wanted, sender, told, .. } in &self.running {
            fan.add(wanted.look, sender.clone(), Arc::clone(told));
        }
        Feed::Queued(fan)
    }

    /// What they have no room for, all together, now and later.
    pub fn total(&self) -> Arc<Counters> {
        Arc::clone(&self.dropped)
    }

    /// What looks at them.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }

    /// Has this done when an output fails that the run cannot go on without.
    #[cfg(feature = "live")]
    pub fn on_failure(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.failure.tell_by(Box::new(tell));
    }

    /// Has files opened again that somebody has given other names.
    pub fn reopen(&self) {
        self.running.iter().for_each(|running| running.sender.observe().reopen());
    }

    /// Waits until all is written; every [`Feed`] must be gone by then. What could not be written is
    /// told, and is an error.
    pub fn finish(self) -> Result<()> {
        let Self { running, leaving, .. } = self;
        // All of them have to know before the first is waited for.
        let ending: Vec<_> = running.into_iter().map(Running::leave).collect();
        // What they had to say, they have said.
        leaving.into_iter().for_each(|leaving| drop(leaving.loss()));
        let mut losses = ending.into_iter().filter_map(Leaving::loss);
        let first = losses.next();
        losses.for_each(|error| warn!("{error:#}"));
        first.map_or(Ok(()), Err)
    }
}

impl Leaving {
    /// Waits for its end. How it has failed, if it has.
    fn loss(self) -> Option<anyhow::Error> {
        let Self { told, thread, .. } = self;
        let name = told.name();
        match thread.join() {
            Ok(Ok(())) => None,
            Ok(Err(loss)) => Some(loss.into_error(name)),
            Err(_) => Some(anyhow!("the thread that writes {name} has failed")),
        }
    }
}

/// Opens a place. Nobody need listen yet on the other end of a socket.
fn place(wanted: &Wanted) -> Result<Box<dyn Place>> {
    let Wanted { target, rotation, .. } = wanted;
    let opened: io::Result<Box<dyn Place>> = match target {
        Target::Stdout => Ok(Box::new(StandardOutput)),
        Target::File(path) => LogFile::open(path, *rotation).map(|file| Box::new(file) as Box<_>),
        Target::Journald(socket) => Journald::new(socket).map(|place| Box::new(place) as Box<_>),
        Target::Unix(path) => Ok(Box::new(Collector::new(Address::Unix(path.clone())))),
        Target::Tcp(address) => Ok(Box::new(Collector::new(Address::Tcp(address.clone())))),
    };
    opened.with_context(|| format!("cannot write to {target}"))
}

impl Monitor {
    fn watch(&self, outputs: Vec<Observed>) {
        *self.observed() = outputs;
    }

    fn observed(&self) -> MutexGuard<'_, Vec<Observed>> {
        // Nothing here can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How each output is doing.
    pub fn states(&self) -> Vec<State> {
        let state = |(told, observer): &Observed| State {
            name: told.name().to_owned(),
            waiting: observer.held(),
            written: observer.written(),
            dropped: observer.dropped(),
            has_ended: observer.has_ended(),
        };
        let observed = self.observed();
        let is_there = |(told, observer): &&Observed| !(told.is_leaving() && observer.has_ended());
        observed.iter().filter(is_there).map(state).collect()
    }
}

#[cfg(test)]
mod tests;
