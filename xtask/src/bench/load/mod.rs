//! The loads: what each is comes from one table; two processes, a server and its clients, play it.

mod client;
mod messages;
mod poll;
pub(super) mod rabble;
mod server;
mod wire;

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::{
    process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit},
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

pub(super) use client::Report;

/// The port that observers watch.
pub(super) const WATCHED: u16 = 7272;
/// Another one.
const UNWATCHED: u16 = 7373;

/// Open files for 10,000 connections and what else there is.
const FILES: u64 = 16_384;

/// What a probe begins with; the nanoseconds of `CLOCK_MONOTONIC` follow.
pub(super) const PROBE: &str = "probe-";

/// What goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A client says something, and hears the same before it says the next.
    Echo {
        /// Whether messages are compressed (permessage-deflate, with context takeover).
        compressed: bool,
    },
    /// The server sends binary messages of this many bytes as fast as it can.
    Stream(usize),
    /// What one client says is said to all; so many messages are under way.
    FanOut(u32),
    /// The server sends the time of day now and then.
    Probe(Pace),
}

/// How often a probe is sent: the gaps are between `least` and `most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) probes: u64,
    pub(super) least: Duration,
    pub(super) most: Duration,
}

/// One of the loads.
#[derive(Debug)]
pub(crate) struct Load {
    pub(super) name: &'static str,
    /// For the reader of the report.
    pub(super) what: &'static str,
    pub(super) port: u16,
    pub(super) connections: usize,
    /// Of these, so many go on talking; the others say one thing each.
    pub(super) talking: usize,
    pub(super) kind: Kind,
}

/// Loads whose throughput is measured.
pub(super) const LOADS: [Load; 9] = [
    echo("echo64", "64 connections echo 100-byte text messages", WATCHED, 64, 64),
    stream("stream-64k-1", "64 KiB binary messages over 1 connection", 1, 64 << 10),
    stream("stream-64k-4", "64 KiB binary messages over 4 connections", 4, 64 << 10),
    stream("stream-1m-1", "1 MiB binary messages over 1 connection", 1, 1 << 20),
    stream("stream-1m-4", "1 MiB binary messages over 4 connections", 4, 1 << 20),
    echo("many", "10,000 connections, of which 1,000 echo", WATCHED, 10_000, 1_000),
    Load {
        name: "fanout",
        what: "what 1 client says is said to 100",
        port: WATCHED,
        connections: 100,
        talking: 1,
        kind: Kind::FanOut(8),
    },
    Load {
        name: "deflate",
        what: "64 connections echo compressed chat",
        port: WATCHED,
        connections: 64,
        talking: 64,
        kind: Kind::Echo { compressed: true },
    },
    echo("other-port", "echo64 on a port that nobody watches", UNWATCHED, 64, 64),
];

/// Loads that measure how long it takes from a segment to its line.
pub(super) const PROBES: [Load; 2] = [
    probe("probe-idle", "a message after 8 to 16 ms of silence", 400, 8_000, 16_000),
    probe("probe-1000", "1,000 messages a second, at irregular times", 2_000, 200, 1_800),
];

const fn echo(
    name: &'static str,
    what: &'static str,
    port: u16,
    connections: usize,
    talking: usize,
) -> Load {
    Load { name, what, port, connections, talking, kind: Kind::Echo { compressed: false } }
}

const fn stream(name: &'static str, what: &'static str, connections: usize, length: usize) -> Load {
    let kind = Kind::Stream(length);
    Load { name, what, port: WATCHED, connections, talking: connections, kind }
}

const fn probe(
    name: &'static str,
    what: &'static str,
    probes: u64,
    least_us: u64,
    most_us: u64,
) -> Load {
    let least = Duration::from_micros(least_us);
    let most = Duration::from_micros(most_us);
    let kind = Kind::Probe(Pace { probes, least, most });
    Load { name, what, port: WATCHED, connections: 1, talking: 1, kind }
}

/// The load of that name.
pub(super) fn named(name: &str) -> Result<&'static Load, String> {
    let all = || LOADS.iter().chain(&PROBES);
    all().find(|load| load.name == name).ok_or_else(|| {
        let names: Vec<_> = all().map(|load| load.name).collect();
        format!("there is no load {name}; there are {}", names.join(", "))
    })
}

impl Load {
    /// Whether bytes, not messages, are what counts.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream(_))
    }

    /// Whether observers should see it.
    pub(super) fn is_watched(&self) -> bool {
        self.port == WATCHED
    }

    fn is_compressed(&self) -> bool {
        self.kind == Kind::Echo { compressed: true }
    }
}

/// Data messages that a process has sent and received, and the bytes of their payloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) bytes: u64,
}

impl Counts {
    pub(super) fn messages(self) -> u64 {
        self.sent + self.received
    }

    /// What came after `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

/// What goes over a connection: what both sides say first, and then again and again.
pub(super) struct Conversation {
    pub(super) request: Vec<u8>,
    pub(super) response: Vec<u8>,
    pub(super) asked: Vec<u8>,
    pub(super) answered: Vec<u8>,
}

impl Conversation {
    /// One message of so many bytes each way.
    pub(super) fn of(length: usize) -> Self {
        let (request, response) = wire::handshake(WATCHED);
        let payload = vec![b'x'; length];
        let first = wire::first_byte(wire::TEXT, false);
        let mut answered = Vec::new();
        wire::push_unmasked(&mut answered, first, &payload);
        let asked = wire::masked(first, &payload);
        Self { request: request.into(), response: response.into(), asked, answered }
    }
}

/// Becomes the server of a load, on the first CPU.
pub(super) fn serve(load: &Load) -> Result<()> {
    settle_on(0)?;
    server::run(load)
}

/// Becomes the clients of a load, on the second CPU.
pub(super) fn ask(load: &Load, window: Duration) -> Result<()> {
    settle_on(1)?;
    client::run(load, window)
}

/// One CPU for this process, files for its connections, and an end with its parent.
fn settle_on(cpu: usize) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus)
        .with_context(|| format!("cannot run on CPU {cpu}: the loads need CPUs 0 and 1"))?;
    let files = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    setrlimit(Resource::Nofile, files).context("cannot raise the limit of open files")
}

/// Nanoseconds of `CLOCK_MONOTONIC`, which is the same for all processes.
pub(super) fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Tells the parent something.
fn say(line: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).context("nobody listens")
}

#[cfg(test)]
mod tests;
