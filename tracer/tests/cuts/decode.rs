//! Packets go through the tracker; the frames, messages, control frames and broken rules that it
//! tells of come out by direction, each with its place in the sender's stream.

use std::collections::HashMap;

use tracer::{
    event::{Body, Event, LooksLike, WsFrame, WsMessage},
    session::{Limits, Options, Tracker},
    ws::{message::Payload, receiver::Sender, rule::Rule},
};
use tracer_common::ports::PortSet;

use crate::packet::{Direction, PORT, Packet};

/// How often the tracker is told of the time, as `--read` does it.
const TICK: u64 = 100_000_000;

/// A frame's header, and where in the stream it and its payload are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) opcode: u8,
    pub(crate) fin: bool,
    pub(crate) len: u64,
}

impl Frame {
    fn new(frame: &WsFrame, base: u64) -> Self {
        let extended = match frame.len {
            ..126 => 0,
            126..65536 => 2,
            _ => 8,
        };
        let header = 2 + extended + if frame.masked { 4 } else { 0 };
        let start = base + frame.offset;
        let WsFrame { fin, opcode, len, .. } = *frame;
        Self { start, end: start + header + len, opcode: opcode.0, fin, len }
    }
}

/// A message or control frame as the tracer told of it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) frames: Vec<Frame>,
    /// `None`: its first frame was not seen.
    pub(crate) opcode: Option<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) len: Option<u64>,
    pub(crate) wire_len: u64,
    /// All of it is in `payload`.
    pub(crate) whole: bool,
}

/// What was told of one direction.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) items: Vec<Item>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) violations: Vec<Rule>,
    pub(crate) not_websocket: Option<LooksLike>,
    /// Frames of the message in progress.
    message: Vec<Frame>,
    control: Option<Frame>,
    /// The last of `message` begins another one.
    is_superseded: bool,
}

/// By direction.
pub(crate) type Decoded = HashMap<Direction, Told>;

/// Decodes what is left of a capture. `initial` are the sequence numbers of the whole capture's
/// streams' first bytes: all places count from them.
pub(crate) fn decode<'p>(
    packets: impl Iterator<Item = &'p Packet>,
    initial: &HashMap<Direction, u32>,
) -> Decoded {
    let mut tracker = Tracker::new(options());
    let mut decoded = Decoded::new();
    let mut bases = HashMap::new();
    let (mut now, mut next_tick) = (0, 0);
    for packet in packets {
        learn_base(packet, initial, &mut bases);
        let mut sink = |event: &Event<'_>| take(event, &bases, &mut decoded);
        now = packet.time;
        if now >= next_tick {
            next_tick = now + TICK;
            tracker.tick(now, &mut sink);
        }
        tracker.segment(&packet.segment(), &mut sink);
    }
    tracker.finish(now, &mut |event: &Event<'_>| take(event, &bases, &mut decoded));
    decoded
}

/// The tracer's offsets count from the first byte that it saw.
fn learn_base(
    packet: &Packet,
    initial: &HashMap<Direction, u32>,
    bases: &mut HashMap<Direction, u64>,
) {
    let direction = packet.direction();
    if packet.is_syn() || !packet.payload.is_empty() {
        let base = packet.payload_seq().wrapping_sub(initial[&direction]);
        bases.entry(direction).or_insert(u64::from(base));
    }
}

fn options() -> Options {
    let mut ports = PortSet::EMPTY;
    ports.insert(PORT);
    let limits = Limits { payload: usize::MAX, ..Limits::default() };
    Options { ports, segments: false, frames: true, show_secrets: false, limits }
}

fn take(event: &Event<'_>, bases: &HashMap<Direction, u64>, decoded: &mut Decoded) {
    let Some(conn) = event.conn else { return };
    if let Body::NotWebsocket { looks_like, .. } = event.body {
        let server = (conn.client, Sender::Server);
        decoded.entry(server).or_default().not_websocket = Some(looks_like);
    }
    let Some(from) = event.from else { return };
    let direction = (conn.client, from);
    let told = decoded.entry(direction).or_default();
    match &event.body {
        Body::WsFrame(frame) => told.frame(Frame::new(frame, bases[&direction])),
        Body::WsMessage(message) => told.message(message),
        Body::WsPing(control) | Body::WsPong { control, .. } => {
            told.control(control.data.to_vec(), control.truncated);
        }
        Body::WsClose { code, reason, truncated, .. } => {
            let code = code.map(u16::to_be_bytes).into_iter().flatten();
            // Half a code point at the end is shown as a replacement character.
            let reason = if *truncated { reason.trim_end_matches('\u{fffd}') } else { reason };
            told.control(code.chain(reason.bytes()).collect(), *truncated);
        }
        Body::WsViolation { rule, .. } => {
            told.is_superseded |= *rule == Rule::ContinuationMissing;
            told.violations.push(*rule);
        }
        _ => {}
    }
}

impl Told {
    fn frame(&mut self, frame: Frame) {
        self.frames.push(frame);
        self.is_superseded = false;
        match frame.opcode {
            0..=2 => self.message.push(frame),
            8.. => self.control = Some(frame),
            // Reserved: no message tells of it.
            _ => {}
        }
    }

    fn message(&mut self, message: &WsMessage<'_>) {
        // A lock that was undone leaves frames behind that no message tells of.
        let newer = usize::from(std::mem::take(&mut self.is_superseded));
        let end = self.message.len().saturating_sub(newer);
        let start = end.saturating_sub(message.frames as usize);
        let frames = self.message.drain(..end).skip(start).collect();
        let (payload, is_decoded) = match message.payload {
            Payload::Text(text) => (text.as_bytes(), true),
            Payload::Data(data) => (data, true),
            Payload::Undecoded(_) => (&[][..], false),
        };
        self.items.push(Item {
            frames,
            opcode: Some(message.opcode.0).filter(|&opcode| opcode != 0),
            payload: payload.to_vec(),
            len: message.len,
            wire_len: message.wire_len,
            whole: is_decoded && !message.truncated,
        });
    }

    fn control(&mut self, payload: Vec<u8>, truncated: bool) {
        let frame = self.control.take().expect("its frame was told of before");
        self.items.push(Item {
            frames: vec![frame],
            opcode: Some(frame.opcode),
            payload,
            len: Some(frame.len),
            wire_len: frame.len,
            whole: !truncated,
        });
    }
}
