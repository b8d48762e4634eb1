//! A client and a server on a wire, and the tracker that watches them.

use std::net::SocketAddr;

use serde_json::Value;
use tracer_common::{
    packet::flags::{ACK, FIN, PSH, RST, SYN},
    ports::PortSet,
};

use crate::{
    event::Event,
    output::{Format as _, Json, WallClock},
    segment::{Endpoint, Interest, Nanos, Segment},
    session::{Limits, Options, Tracker},
};

pub(super) const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: 127.0.0.1:7272\r\n\
    Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
pub(super) const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}
pub(super) use Side::{Client, Server};

/// A tracker, what it said, and one connection's state as its endpoints have it.
pub(super) struct Wire {
    pub(super) tracker: Tracker,
    pub(super) now: Nanos,
    pub(super) client: Endpoint,
    pub(super) interface: u32,
    /// What the capture leaves out before the next segment.
    pub(super) left_out: u32,
    /// Where the capture takes the latest frame for begun.
    pub(super) frame_at: Option<u32>,
    /// What the capture leaves out of the next segment.
    elided: u32,
    /// What the tracker said of the last segment.
    pub(super) interest: Interest,
    seq: [u32; 2],
    events: Vec<Value>,
}

pub(super) fn options() -> Options {
    let mut ports = PortSet::EMPTY;
    ports.insert(7272);
    Options {
        ports,
        segments: false,
        frames: false,
        show_secrets: false,
        limits: Limits { payload: usize::MAX, ..Limits::default() },
    }
}

fn endpoint(text: &str) -> Endpoint {
    text.parse::<SocketAddr>().unwrap().into()
}

impl Wire {
    pub(super) fn new() -> Self {
        Self::with(options())
    }

    pub(super) fn with(options: Options) -> Self {
        Self::watched_by(Tracker::new(options))
    }

    pub(super) fn watched_by(tracker: Tracker) -> Self {
        Self {
            tracker,
            now: 1_000_000_000,
            client: endpoint("127.0.0.1:60653"),
            interface: 1,
            left_out: 0,
            frame_at: None,
            elided: 0,
            interest: Interest::Payload,
            // Close to wrapping around.
            seq: [u32::MAX - 300, u32::MAX - 100],
            events: Vec::new(),
        }
    }

    /// A connection that has said hello in TCP and HTTP.
    pub(super) fn upgraded() -> Self {
        let mut wire = Self::new();
        wire.connect();
        wire.data(Client, REQUEST);
        wire.data(Server, RESPONSE);
        wire.events.clear();
        wire
    }

    pub(super) fn connect(&mut self) {
        self.send(Client, SYN, &[]);
        self.send(Server, SYN | ACK, &[]);
        self.send(Client, ACK, &[]);
    }

    pub(super) fn data(&mut self, from: Side, payload: &[u8]) {
        self.send(from, ACK | PSH, payload);
    }

    pub(super) fn fin(&mut self, from: Side) {
        self.send(from, ACK | FIN, &[]);
    }

    pub(super) fn rst(&mut self, from: Side) {
        self.send(from, RST, &[]);
    }

    /// Sends and is seen.
    pub(super) fn send(&mut self, from: Side, flags: u16, payload: &[u8]) {
        let seq = self.seq[from as usize];
        self.skip(from, payload.len() as u32);
        if flags & (SYN | FIN) != 0 {
            self.skip(from, 1);
        }
        self.seen(from, seq, flags, payload, payload.len());
    }

    /// Sends and is not seen.
    pub(super) fn lose(&mut self, from: Side, payload: &[u8]) {
        self.skip(from, payload.len() as u32);
    }

    /// Sends, and only the first `captured` bytes are captured.
    pub(super) fn snapped(&mut self, from: Side, payload: &[u8], captured: usize) {
        let seq = self.seq[from as usize];
        self.skip(from, payload.len() as u32);
        self.seen(from, seq, ACK, &payload[..captured], payload.len());
    }

    /// Sends, and the capture leaves out what is behind the first `captured` bytes, as it was told.
    pub(super) fn elided(&mut self, from: Side, payload: &[u8], captured: usize) {
        self.elided = (payload.len() - captured) as u32;
        self.snapped(from, payload, captured);
        self.elided = 0;
    }

    pub(super) fn seq(&self, of: Side) -> u32 {
        self.seq[of as usize]
    }

    pub(super) fn skip(&mut self, of: Side, bytes: u32) {
        self.seq[of as usize] = self.seq[of as usize].wrapping_add(bytes);
    }

    /// A segment as captured, whatever the endpoints think.
    pub(super) fn seen(
        &mut self,
        from: Side,
        seq: u32,
        flags: u16,
        payload: &[u8],
        payload_len: usize,
    ) {
        self.now += 1000;
        let server = endpoint("127.0.0.1:7272");
        let (source, destination) =
            if from == Client { (self.client, server) } else { (server, self.client) };
        let segment = Segment {
            time: self.now,
            interface: self.interface,
            source,
            destination,
            seq,
            ack: self.seq[1 - from as usize],
            window: 256,
            flags,
            options: &[],
            payload_len: payload_len as u32,
            offset: 0,
            payload,
            more: false,
            left_out: self.left_out,
            elided: self.elided,
            frame_at: self.frame_at,
        };
        let events = &mut self.events;
        self.interest =
            self.tracker.segment(&segment, &mut |event: &Event<'_>| events.push(value(event)));
    }

    /// The capture says how many segments it has missed so far.
    pub(super) fn missed(&mut self, count: u64) {
        self.tracker.note_missed(count, self.now);
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, nanos: Nanos) {
        self.now += nanos;
        let events = &mut self.events;
        self.tracker.tick(self.now, &mut |event: &Event<'_>| events.push(value(event)));
    }

    /// The tracker is told to go on otherwise.
    pub(super) fn change(&mut self, options: &Options) {
        let events = &mut self.events;
        let mut sink = |event: &Event<'_>| events.push(value(event));
        self.tracker.set_options(options, self.now, &mut sink);
    }

    pub(super) fn finish(&mut self) {
        let events = &mut self.events;
        self.tracker.finish(self.now, &mut |event: &Event<'_>| events.push(value(event)));
    }

    /// The events since the last call.
    pub(super) fn events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    /// Their names, each with what matters of it.
    pub(super) fn told(&mut self) -> Vec<String> {
        self.events().iter().map(brief).collect()
    }
}

fn value(event: &Event<'_>) -> Value {
    let mut line = Vec::new();
    Json::default().write(event, WallClock::default(), &mut line);
    serde_json::from_slice(&line).unwrap()
}

/// `ws.message client hola`
fn brief(event: &Value) -> String {
    const FIELDS: [&str; 16] = [
        "event",
        "from",
        "path",
        "status",
        "joined",
        "text",
        "data",
        "undecoded",
        "truncated",
        "missing",
        "code",
        "rule",
        "bytes",
        "cause",
        "looks_like",
        "how",
    ];
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let fields: Vec<_> = FIELDS.iter().filter_map(|field| event.get(field)).map(text).collect();
    fields.join(" ")
}
