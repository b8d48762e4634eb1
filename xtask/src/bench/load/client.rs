//! The clients of a load: one thread, one epoll. Orders come in on standard input, one line each;
//! what happened goes out as lines and at last as a [`Report`].

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    Counts, Kind, Load,
    messages::{self, Message},
    poll::Poll,
    say,
    wire::{self, CLOSE, Skimmer, first_byte},
};

/// Until caches, socket buffers and the observer are in their stride.
const WARM_UP: Duration = Duration::from_millis(300);

/// A load that goes on for so long after it was ended hangs.
const HANG: Duration = Duration::from_secs(30);

const BUFFER: usize = 256 << 10;

/// What came of a load, as the clients saw it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in crate::bench) struct Report {
    /// How long the measured part was.
    pub(in crate::bench) seconds: f64,
    /// In the measured part.
    pub(in crate::bench) window: Counts,
    /// Of all.
    pub(in crate::bench) all: Counts,
}

/// Connects, plays the load when the parent says so, and tells it what came of it.
pub(super) fn run(load: &Load, window: Duration) -> Result<()> {
    let spoken = messages::spoken(load)?;
    let clients = Clients::connect(load, &spoken)?;
    say("ready")?;
    await_parent()?;
    let report = clients.report(window, say)?;
    say(&serde_json::to_string(&report)?)?;
    // Until it has looked at what we have used.
    await_parent()
}

/// Waits for a line, or for the end of them.
fn await_parent() -> Result<()> {
    io::stdin().read_line(&mut String::new()).context("cannot hear the parent")?;
    Ok(())
}

/// All clients.
pub(super) struct Clients<'a> {
    load: &'a Load,
    /// What they say.
    spoken: &'a [Message],
    poll: Poll,
    /// `None`: has left.
    clients: Vec<Option<Client>>,
    left: usize,
    counts: Counts,
    /// Messages said that have not come back.
    under_way: u64,
    buffer: Vec<u8>,
    is_ending: bool,
}

struct Client {
    stream: TcpStream,
    skimmer: Skimmer,
    /// The message to say next.
    next: usize,
    /// Messages said that have not come back.
    under_way: u64,
    /// Whether it says something else after each.
    talks: bool,
}

/// What a client has heard in one read.
#[derive(Default)]
struct Heard {
    messages: u64,
    bytes: u64,
    close: bool,
}

impl<'a> Clients<'a> {
    pub(super) fn connect(load: &'a Load, spoken: &'a [Message]) -> Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(load.connections);
        for number in 0..load.connections {
            let client = Client::connect(load, number, spoken.len())?;
            poll.add(&client.stream, number)?;
            clients.push(Some(client));
        }
        let left = clients.len();
        let counts = Counts::default();
        let buffer = vec![0; BUFFER];
        Ok(Self {
            load,
            spoken,
            poll,
            clients,
            left,
            counts,
            under_way: 0,
            buffer,
            is_ending: false,
        })
    }

    /// Plays for as long as `window` and a little before it, and says when it begins and ends.
    pub(super) fn report(
        mut self,
        window: Duration,
        say: impl Fn(&str) -> Result<()>,
    ) -> Result<Report> {
        self.start()?;
        self.warm_up()?;
        say("begin")?;
        let (begin, before) = (Instant::now(), self.counts);
        self.play_until(begin + window)?;
        let (seconds, after) = (begin.elapsed().as_secs_f64(), self.counts);
        say("end")?;
        self.finish()?;
        Ok(Report { seconds, window: after.since(before), all: self.counts })
    }

    /// Everybody who has something to say says it.
    fn start(&mut self) -> Result<()> {
        let (speakers, times) = match self.load.kind {
            Kind::FanOut(under_way) => (1, under_way),
            _ => (self.clients.len(), 1),
        };
        for client in self.clients.iter_mut().take(speakers).flatten() {
            for _ in 0..times {
                self.under_way += client.speak(self.spoken, &mut self.counts)?;
            }
        }
        Ok(())
    }

    /// Probes come before what is measured, which is the silence after them.
    fn warm_up(&mut self) -> Result<()> {
        let probes = match self.load.kind {
            Kind::Probe(pace) => pace.probes,
            _ => 0,
        };
        let begin = Instant::now();
        while self.counts.received < probes {
            ensure!(begin.elapsed() < HANG, "the server does not send what it should");
            self.play_until(Instant::now() + WARM_UP)?;
        }
        self.play_until(Instant::now() + WARM_UP)
    }

    fn play_until(&mut self, deadline: Instant) -> Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.left == 0 {
                return Ok(());
            }
            self.play(left)?;
        }
    }

    /// Nobody says any more; everybody hears what is under way, and leaves.
    fn finish(&mut self) -> Result<()> {
        self.is_ending = true;
        if self.are_answered() {
            self.play_while(|clients| clients.under_way > 0)?;
        }
        for client in self.clients.iter_mut().flatten() {
            let frame = wire::masked(first_byte(CLOSE, false), &1000_u16.to_be_bytes());
            client.stream.write_all(&frame).context("a connection broke")?;
        }
        self.play_while(|clients| clients.left > 0)
    }

    /// Whether each message comes back.
    fn are_answered(&self) -> bool {
        matches!(self.load.kind, Kind::Echo { .. } | Kind::FanOut(_))
    }

    fn play_while(&mut self, goes_on: impl Fn(&Self) -> bool) -> Result<()> {
        let begin = Instant::now();
        while goes_on(self) {
            ensure!(begin.elapsed() < HANG, "the load does not end");
            self.play(HANG)?;
        }
        Ok(())
    }

    fn play(&mut self, timeout: Duration) -> Result<()> {
        let is_answered = self.are_answered();
        let Self { poll, clients, left, counts, under_way, buffer, is_ending, .. } = self;
        poll.wait(Some(timeout), |_, number, _| {
            let Some(client) = &mut clients[number] else { return Ok(()) };
            let Some(heard) = client.hear(buffer)? else {
                clients[number] = None;
                *left -= 1;
                return Ok(());
            };
            ensure!(*is_ending || !heard.close, "the server closes a connection");
            counts.received += heard.messages;
            counts.bytes += heard.bytes;
            if !is_answered || client.under_way == 0 {
                return Ok(());
            }
            client.under_way -= heard.messages;
            *under_way -= heard.messages;
            for _ in 0..heard.messages {
                if client.talks && !*is_ending {
                    *under_way += client.speak(self.spoken, counts)?;
                }
            }
            Ok(())
        })
    }
}

impl Client {
    fn connect(load: &Load, number: usize, messages: usize) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, load.port))
            .with_context(|| format!("connection {number} fails"))?;
        stream.set_nodelay(true)?;
        wire::open(&mut stream, load.port, load.is_compressed())?;
        // A compressed message refers to those before it: all begin with the first.
        let next = if load.is_compressed() { 0 } else { number % messages };
        let talks = number < load.talking;
        Ok(Self { stream, skimmer: Skimmer::default(), next, under_way: 0, talks })
    }

    /// Says the next message; how many are under way more than before.
    fn speak(&mut self, spoken: &[Message], counts: &mut Counts) -> Result<u64> {
        let message = &spoken[self.next];
        self.next = (self.next + 1) % spoken.len();
        self.stream.write_all(&message.frame).context("a connection broke")?;
        self.under_way += 1;
        counts.sent += 1;
        counts.bytes += message.length;
        Ok(1)
    }

    /// Reads once; `None`: the connection has ended.
    fn hear(&mut self, buffer: &mut [u8]) -> Result<Option<Heard>> {
        let count = self.stream.read(buffer).context("a connection broke")?;
        let mut heard = Heard::default();
        self.skimmer.skim(&buffer[..count], |opcode, length| {
            if opcode == CLOSE {
                heard.close = true;
            } else {
                heard.messages += 1;
                heard.bytes += length;
            }
        });
        Ok((count > 0).then_some(heard))
    }
}
