//! The table of connections: finds a segment's, opens and ends them, keeps their number bounded.
//!
//! Three tables, each least-recently-seen first out: SYNs not answered yet, which a flood can only
//! push out of each other; connections; and ended ones, whose late segments open nothing.

mod half_open;

use std::{
    cmp::Reverse,
    collections::VecDeque,
    iter,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracer_common::packet::flags::{ACK, RST, SYN};

use super::{
    connection::{Connection, Ending},
    flow::{End, FlowKey},
    meta::{Counts, Env, Tell, Tools},
    numbering::Numbering,
    options::Options,
    room::Room,
    summary::{ConnectionSummary, Summaries},
    table::Table,
};
use crate::{
    event::{Conn, How, Joined, Sink, Stats},
    http::head::{Kind, begins_like_http},
    segment::{Endpoint, Interest, Nanos, SECOND, Segment},
    ws::{inflaters::Inflaters, receiver::Sender, rule::Rule},
};
use half_open::HalfOpen;

/// How long an ended connection is remembered: twice the maximum segment lifetime as Linux has it
/// (`TCP_TIMEWAIT_LEN`).
const TIME_WAIT: Nanos = 60 * SECOND;
/// How long after an RST: whoever still sends data later did not believe it.
const RESET_WAIT: Nanos = 3 * SECOND;
/// So many times as long a missing segment is waited for that the capture cannot have missed: TCP will
/// send it again, after ever longer waits (RFC 6298 section 5.5).
const NETWORKS_FAULT: u64 = 20;
/// Ended connections remembered.
const MAX_CLOSED: usize = 16_384;

/// An ended connection.
struct Closed {
    numbering: Numbering,
    time: Nanos,
    was_reset: bool,
}

impl Closed {
    fn is_over(&self, now: Nanos) -> bool {
        let wait = if self.was_reset { RESET_WAIT } else { TIME_WAIT };
        // A time in the future comes from a broken time stamp.
        self.time > now || now - self.time > wait
    }
}

/// Follows every connection of the traced ports.
pub struct Tracker {
    options: Options,
    half_open: Table<HalfOpen>,
    connections: Table<Connection>,
    closed: Table<Closed>,
    counts: Counts,
    tools: Tools,
    /// Connections in which something is missing, and until when it is waited for.
    holes: VecDeque<(Nanos, FlowKey)>,
    /// What the capture had missed when it was last asked, and since when it is no more.
    missed: Option<(u64, Nanos)>,
    /// The number of the next connection, of all trackers of the run.
    next_id: Arc<AtomicU64>,
    /// How many connections there may be.
    places: Room,
    /// How many bytes the connections may hold.
    memory: Room,
    /// Bytes that the connections hold.
    held: usize,
    segments: u64,
    bytes: u64,
    opened: u64,
    summaries: Summaries,
}

impl Tracker {
    /// An empty table.
    pub fn new(options: Options) -> Self {
        Self::several(options, 1).remove(0)
    }

    /// The empty tables of a run whose connections are divided among `count` trackers. All together
    /// they number them, and keep the bounds.
    pub fn several(mut options: Options, count: usize) -> Vec<Self> {
        let limits = &mut options.limits;
        limits.half_open = limits.half_open.div_ceil(count);
        limits.inflaters = limits.inflaters.div_ceil(count);
        let places = Room::split(limits.connections, count);
        let memory = Room::split(limits.memory, count);
        let next_id = Arc::new(AtomicU64::new(1));
        let each = iter::repeat_n(options, count).zip(places).zip(memory);
        each.map(|((options, places), memory)| {
            Self::with_rooms(options, Arc::clone(&next_id), places, memory)
        })
        .collect()
    }

    fn with_rooms(options: Options, next_id: Arc<AtomicU64>, places: Room, memory: Room) -> Self {
        let tools =
            Tools { inflaters: Inflaters::new(options.limits.inflaters), scratch: Vec::new() };
        Self {
            options,
            half_open: Table::new(),
            connections: Table::new(),
            closed: Table::new(),
            counts: Counts::default(),
            tools,
            holes: VecDeque::new(),
            missed: None,
            next_id,
            places,
            memory,
            held: 0,
            segments: 0,
            bytes: 0,
            opened: 0,
            summaries: Summaries::default(),
        }
    }

    /// Goes on with other options; the bounds stay as they are. Connections end whose ports are not
    /// traced any more.
    pub fn set_options(&mut self, options: &Options, now: Nanos, sink: &mut dyn Sink) {
        let Options { ports, segments, frames, show_secrets, limits: _ } = *options;
        let limits = self.options.limits.clone();
        self.options = Options { ports, segments, frames, show_secrets, limits };
        let is_untraced = |key: &FlowKey| key.ends.iter().all(|end| !ports.contains(end.port));
        for key in self.half_open.keys_of(is_untraced) {
            self.half_open.pop(&key);
        }
        for key in self.closed.keys_of(is_untraced) {
            self.closed.pop(&key);
        }
        for key in self.connections.keys_of(is_untraced) {
            self.close(&key, Ending { how: How::Untraced, by: None }, now, sink);
        }
    }

    /// Takes a segment, in the order of capture. Says what more of its direction is good for.
    pub fn segment(&mut self, segment: &Segment<'_>, sink: &mut dyn Sink) -> Interest {
        let ports = &self.options.ports;
        if !ports.contains(segment.source.port) && !ports.contains(segment.destination.port) {
            // On its way since before they changed. Its port may be wanted again later.
            return Interest::Payload;
        }
        self.segments += u64::from(segment.offset == 0);
        self.bytes += segment.payload.len() as u64;
        let (key, end) = FlowKey::of(segment);
        if segment.has(SYN) && !segment.has(ACK) {
            self.syn(key, end, segment, sink);
        } else if !self.half_open.is_empty()
            && let Some(half_open) = self.half_open.pop(&key)
        {
            self.after_syn(key, end, half_open, segment, sink);
        } else if let Some(interest) = self.try_follow(&key, end, segment, sink) {
            return interest;
        } else {
            self.unknown(key, end, segment, sink);
        }
        Interest::Payload
    }

    /// A segment of a connection whose beginning was not seen.
    fn unknown(&mut self, key: FlowKey, end: End, segment: &Segment<'_>, sink: &mut dyn Sink) {
        // A flow that was left out, and whose connection was given up since.
        if segment.left_out > 0 {
            return;
        }
        // What trickles in after the end opens nothing.
        let closed = self.closed.peek(&key).filter(|closed| !closed.is_over(segment.time));
        if let Some(closed) = closed {
            if self.options.segments && segment.offset == 0 {
                closed.numbering.show(end, segment, sink);
            }
            return;
        }
        // A pure ACK or FIN alone says nothing, unless every segment is wanted.
        let says_something = segment.payload_len > 0 || segment.has(SYN);
        if segment.has(RST) || !(says_something || self.options.segments) {
            return;
        }
        let (client, server) = match self.sender_of(segment) {
            Sender::Client => (segment.source, segment.destination),
            Sender::Server => (segment.destination, segment.source),
        };
        let numbering = self.number(&key, client, server);
        let joined = if segment.has(SYN) { Joined::Handshake } else { Joined::Midstream };
        self.open(key, numbering, joined, segment.time, sink);
        self.follow(&key, end, segment, sink);
    }

    /// Who sent a segment of a connection whose SYN was not seen: the server listens on the traced
    /// port; where both ports are traced, what is said decides, then the mask bit, and where nothing
    /// is said, the lower port.
    fn sender_of(&self, segment: &Segment<'_>) -> Sender {
        if segment.has(SYN | ACK) {
            return Sender::Server;
        }
        let ports = &self.options.ports;
        let source_traced = ports.contains(segment.source.port);
        let destination_traced = ports.contains(segment.destination.port);
        if source_traced != destination_traced {
            return if source_traced { Sender::Server } else { Sender::Client };
        }
        let payload = segment.payload;
        if payload.is_empty() {
            let is_lower = segment.source.port < segment.destination.port;
            return if is_lower { Sender::Server } else { Sender::Client };
        }
        let is_request = begins_like_http(Kind::Request, payload) == Some(true);
        let is_response = begins_like_http(Kind::Response, payload) == Some(true);
        let is_masked = payload.get(1).is_some_and(|second| second & 0x80 != 0);
        if is_request || (is_masked && !is_response) { Sender::Client } else { Sender::Server }
    }

    fn number(&mut self, key: &FlowKey, client: Endpoint, server: Endpoint) -> Numbering {
        let id = self.next_id.fetch_add(1, Relaxed);
        Numbering::new(Conn { id, client, server }, key)
    }

    fn open(
        &mut self,
        key: FlowKey,
        numbering: Numbering,
        joined: Joined,
        now: Nanos,
        sink: &mut dyn Sink,
    ) {
        self.opened += 1;
        if !self.places.has(self.connections.len() + 1)
            && let Some((oldest, _)) = self.connections.peek_lru()
        {
            let oldest = *oldest;
            self.close(&oldest, Ending { how: How::Evicted, by: None }, now, sink);
        }
        let connection = Connection::new(numbering, joined, now);
        self.connections.push(key, connection);
    }

    /// Gives a segment to its connection, which there is.
    #[inline(never)]
    fn follow(&mut self, key: &FlowKey, end: End, segment: &Segment<'_>, sink: &mut dyn Sink) {
        let known = self.try_follow(key, end, segment, sink);
        debug_assert!(known.is_some(), "it was looked up, or opened");
    }

    /// Gives a segment to its connection, if there is one, and does what follows from it. Says what
    /// more of the segment's direction is good for.
    #[inline(always)]
    fn try_follow(
        &mut self,
        key: &FlowKey,
        end: End,
        segment: &Segment<'_>,
        sink: &mut dyn Sink,
    ) -> Option<Interest> {
        let Self { connections, options, counts, tools, held, .. } = self;
        let connection = connections.get_mut(key)?;
        let tell = Tell { time: segment.time, options, counts, sink };
        let mut env = Env { tell, tools };
        let ending = connection.segment(end, segment, &mut env);
        let interest = connection.interest();
        connection.account(held);
        let is_new_hole = connection.hole_since().is_some() && !connection.is_queued;
        connection.is_queued |= is_new_hole;
        if let Some(ending) = ending {
            self.close(key, ending, segment.time, sink);
            return Some(interest);
        }
        if is_new_hole {
            let due = segment.time.saturating_add(self.options.limits.reordering);
            self.holes.push_back((due, *key));
        }
        if !self.memory.has(self.held) {
            self.shed(segment.time, sink);
        }
        Some(interest)
    }

    /// Ends the connections that hold most, until a quarter of the memory is free again: so the
    /// next look at all of them is a long way off.
    fn shed(&mut self, now: Nanos, sink: &mut dyn Sink) {
        let enough = self.memory.size() / 4 * 3;
        // First what costs least: the deflate windows of those not seen for longest.
        let mut next = self.connections.oldest();
        while let Some(place) = next {
            if self.held <= enough {
                return;
            }
            if let Some(connection) = self.connections.at_mut(place) {
                connection.lose_windows();
                connection.account(&mut self.held);
            }
            next = self.connections.newer(place);
        }
        let mut holders: Vec<_> = self
            .connections
            .iter()
            .map(|(key, connection)| (connection.held(), *key))
            .filter(|(held, _)| *held > 0)
            .collect();
        holders.sort_unstable_by_key(|(held, _)| Reverse(*held));
        for (_, key) in holders {
            if self.held <= enough {
                break;
            }
            self.close(&key, Ending { how: How::Evicted, by: None }, now, sink);
        }
    }

    fn give_up_holes(&mut self, key: &FlowKey, now: Nanos, sink: &mut dyn Sink) {
        let Self { connections, options, counts, tools, held, .. } = self;
        let Some(connection) = connections.peek_mut(key) else { return };
        let tell = Tell { time: now, options, counts, sink };
        let mut env = Env { tell, tools };
        let ending = connection.give_up_holes(&mut env);
        connection.account(held);
        if let Some(ending) = ending {
            self.close(key, ending, now, sink);
        }
    }

    fn close(&mut self, key: &FlowKey, ending: Ending, now: Nanos, sink: &mut dyn Sink) {
        let Some(mut connection) = self.connections.pop(key) else { return };
        self.held -= connection.held();
        let Self { options, counts, tools, .. } = self;
        let tell = Tell { time: now, options, counts, sink };
        connection.close(ending, &mut Env { tell, tools });
        self.summaries.add(&connection);
        // One that was only given up may go on: what it says next joins it again.
        if matches!(ending.how, How::Fin | How::Rst) {
            let was_reset = ending.how == How::Rst;
            self.closed
                .push(*key, Closed { numbering: connection.numbering(), time: now, was_reset });
        }
        if self.closed.len() > MAX_CLOSED {
            self.closed.pop_lru();
        }
    }

    /// Does what is due at `now`: gives up what was waited for too long.
    pub fn tick(&mut self, now: Nanos, sink: &mut dyn Sink) {
        while let Some(&(due, key)) = self.holes.front()
            && due <= now
        {
            self.holes.pop_front();
            self.look_at_hole(&key, now, sink);
        }
        let idle = self.options.limits.idle;
        while let Some((key, connection)) = self.connections.peek_lru()
            && connection.last_seen.saturating_add(idle) <= now
        {
            let key = *key;
            self.close(&key, Ending { how: How::Timeout, by: None }, now, sink);
        }
        pop_while(&mut self.half_open, |half_open| half_open.is_over(now));
        pop_while(&mut self.closed, |closed| closed.is_over(now));
        self.places.shrink(self.connections.len());
        self.memory.shrink(self.held);
    }

    /// Gives a connection's holes up if they were waited for long enough, or comes back later.
    fn look_at_hole(&mut self, key: &FlowKey, now: Nanos, sink: &mut dyn Sink) {
        let Some(connection) = self.connections.peek_mut(key) else { return };
        let usual = self.options.limits.reordering;
        let missed = self.missed;
        let due = connection.hole_since().map(|since| {
            let is_networks_fault = missed.is_some_and(|(_, at)| at < since);
            let patience = if is_networks_fault { NETWORKS_FAULT } else { 1 };
            since.saturating_add(usual.saturating_mul(patience))
        });
        connection.is_queued = due.is_some_and(|due| due > now);
        match due {
            Some(due) if due <= now => self.give_up_holes(key, now, sink),
            // That hole was filled, and a later one came; or it is waited for longer.
            Some(due) => self.holes.push_back((due.min(now.saturating_add(usual)), *key)),
            None => {}
        }
    }

    /// When a missing segment has been waited for as long as usual.
    pub fn next_hole(&self) -> Option<Nanos> {
        self.holes.front().map(|&(due, _)| due)
    }

    /// Learns how many segments the capture has missed up to `now`, since the run began at 0. Until it
    /// is told, it takes every missing segment for one of those.
    pub fn note_missed(&mut self, count: u64, now: Nanos) {
        match self.missed {
            Some((known, _)) if known == count => {}
            None if count == 0 => self.missed = Some((0, 0)),
            _ => self.missed = Some((count, now)),
        }
    }

    /// When [`Tracker::tick`] has something to do next; `None`: not before the next segment.
    pub fn next_tick(&self) -> Option<Nanos> {
        let hole = self.next_hole();
        let idle = self
            .connections
            .peek_lru()
            .map(|(_, connection)| connection.last_seen.saturating_add(self.options.limits.idle));
        hole.into_iter().chain(idle).min()
    }

    /// The capture ends: gives out what waits. Connections that are open stay so, without an event.
    pub fn finish(&mut self, now: Nanos, sink: &mut dyn Sink) {
        while let Some((_, mut connection)) = self.connections.pop_lru() {
            let Self { options, counts, tools, .. } = self;
            let tell = Tell { time: now, options, counts, sink };
            connection.flush(&mut Env { tell, tools });
            self.summaries.add(&connection);
        }
    }

    /// The connections with the most messages.
    pub fn summaries(&self) -> Vec<ConnectionSummary> {
        self.summaries.all()
    }

    /// Bytes that the connections hold.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Counters so far; those of the capture are left 0.
    pub fn stats(&self) -> Stats {
        Stats {
            segments: self.segments,
            bytes: self.bytes,
            connections: self.opened,
            flows: self.connections.len() as u64,
            messages: self.counts.messages,
            violations: self.counts.violations.iter().sum(),
            gaps: self.counts.gaps,
            forgotten_syns: self.counts.forgotten_syns,
            ..Stats::default()
        }
    }

    /// What it holds now.
    pub fn holdings(&self) -> Holdings {
        Holdings {
            bytes: self.held as u64,
            half_open: self.half_open.len() as u64,
            waiting: self.holes.len() as u64,
            violations: self.counts.violations,
        }
    }
}

/// What a tracker holds at a time, and what it counts that no event tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Bytes of what is not complete: bounded by [`Limits::memory`](super::Limits::memory).
    pub bytes: u64,
    /// SYNs that were not answered yet.
    pub half_open: u64,
    /// Connections in which a segment is missing and waited for. One that has ended since may be among
    /// them, until it would have been given up.
    pub waiting: u64,
    /// Broken rules, in the order of [`Rule::ALL`].
    pub violations: [u64; Rule::ALL.len()],
}

/// Removes the entries not touched for longest, as long as they are over.
fn pop_while<V>(table: &mut Table<V>, is_over: impl Fn(&V) -> bool) {
    while table.peek_lru().is_some_and(|(_, value)| is_over(value)) {
        table.pop_lru();
    }
}
