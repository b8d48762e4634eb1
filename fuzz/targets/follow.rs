//! What the kernel leaves out of long messages. One direction's bytes, cut anywhere: what the
//! classifier copies is what a parser that has them all in one piece says. A whole conversation,
//! with segments lost, late and repeated: the events are those of a capture that copies everything.

#![no_main]

#[path = "../../tracer/tests/elision/classifier.rs"]
mod classifier;
#[path = "../../tracer/tests/elision/compare.rs"]
mod compare;
#[path = "../../tracer/tests/elision/packet.rs"]
mod packet;

use classifier::Classifier;
use compare::compare;
use libfuzzer_sys::fuzz_target;
use packet::Packet;
use tracer::{
    segment::{Interest, SECOND},
    ws::frame::{Header, Opcode},
};
use tracer_common::packet::flags::{ACK, FIN, SYN};
use tracer_fuzz::input::Input;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 101 A\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const DEFLATE: &[u8] = b"Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// What is shown of a message.
const LIMITS: [u32; 4] = [0, 1, 100, 4096];
/// The longest segment: what fits behind the headers of an IPv4 packet.
const MAX_LEN: usize = 65_483;
/// Bytes that one input may say.
const MOST: usize = 1 << 18;
/// Segments that may be short.
const MANY: usize = 2000;
/// What may pass of time in all: less than after which a connection is given up for silence.
const MAX_TIME: u64 = 1000 * SECOND;

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let bits = input.u8();
    let limit = LIMITS[usize::from(bits >> 1 & 3)];
    if bits & 1 == 0 {
        against_parser(&mut input, limit);
    } else {
        against_copy(&mut input, limit, bits);
    }
});

/// Frames, or what is not quite frames.
fn frame(input: &mut Input<'_>, out: &mut Vec<u8>) {
    const FIRST: [u8; 15] =
        [0x82, 0x82, 0x82, 0x02, 0x00, 0x80, 0x81, 0x01, 0x89, 0x8a, 0x88, 0xc2, 0xc1, 0x83, 0x92];
    let kind = input.u8();
    let first = FIRST.get(usize::from(kind & 15)).copied().unwrap_or_else(|| input.u8());
    let len = usize::from(input.u16()) * [1, 1, 1, 3][usize::from(kind >> 4 & 3)];
    let len = len.min(MOST.saturating_sub(out.len()));
    let masked = kind & 0x80;
    out.push(first);
    match len {
        ..126 => out.push(masked | len as u8),
        126..0x1_0000 => out.extend([&[masked | 126][..], &(len as u16).to_be_bytes()].concat()),
        _ => out.extend([&[masked | 127][..], &(len as u64).to_be_bytes()].concat()),
    }
    if masked != 0 {
        // Zeroes leave a payload that looks like frames as it is.
        out.extend([0; 4]);
    }
    if kind & 0x40 == 0 {
        out.extend(std::iter::repeat_n(b'a', len));
    } else {
        out.extend([0x82, 126, 0x30, 0].iter().cycle().take(len));
    }
}

/// Follows one direction that is confirmed from the start.
fn against_parser(input: &mut Input<'_>, limit: u32) {
    let mut stream = Vec::new();
    // Long, so that it is followed.
    stream.extend([0x82, 126, 0x20, 0]);
    stream.resize(4 + 0x2000, 0);
    let cuts: Vec<_> = input.cuts(4 * MAX_LEN);
    while !input.is_empty() && stream.len() < MOST {
        match input.u8() & 7 {
            0 => stream.extend(input.bytes(20)),
            _ => frame(input, &mut stream),
        }
    }
    let Parsed { wanted, headers } = parse(&stream, limit);
    let is_right = |frame: u32, end: usize| {
        let behind = headers.partition_point(|(_, header_end)| *header_end <= end);
        behind > 0 && headers[behind - 1].0 == frame as usize
    };
    let mut classifier = Classifier::new(limit, 0);
    let mut copied = vec![false; stream.len()];
    let mut at = 0;
    for n in 0.. {
        let longest = cuts.get(n % cuts.len().max(1)).map_or(MAX_LEN, |cut| 1 + cut % MAX_LEN);
        let longest = if n == 0 || n > MANY { MAX_LEN } else { longest };
        let payload = &stream[at..stream.len().min(at + longest)];
        if payload.is_empty() {
            break;
        }
        let packet = packet(n as u64, false, at as u32, ACK, payload);
        classifier.segment(&packet.segment(), &mut || true, &mut |record| {
            let from = at + record.offset as usize;
            let end = from + record.payload.len();
            copied[from..end].fill(true);
            let is_right = record.frame_at.is_some_and(|frame| is_right(frame, end));
            if is_right { Interest::Headers } else { Interest::Payload }
        });
        at += payload.len();
    }
    // It may do with less, as when a segment has many frames, but never leave out what is wanted.
    let missing = wanted.iter().zip(&copied).position(|(wanted, copied)| *wanted && !copied);
    assert_eq!(missing, None, "a byte that is wanted was left out");
}

/// What a parser that has the whole stream says of it.
struct Parsed {
    /// Which bytes have to be copied: all but the ends of binary frames.
    wanted: Vec<bool>,
    /// Where headers begin and end.
    headers: Vec<(usize, usize)>,
}

fn parse(stream: &[u8], limit: u32) -> Parsed {
    let mut parsed = Parsed { wanted: vec![true; stream.len()], headers: Vec::new() };
    let (mut at, mut is_binary) = (0, false);
    while let Some(header) = Header::parse(&stream[at..]) {
        let start = at;
        at += usize::from(header.header_len);
        parsed.headers.push((start, at));
        let is_data = header.opcode.0 < 3;
        if matches!(header.opcode, Opcode::TEXT | Opcode::BINARY) {
            // A compressed one is inflated.
            is_binary = header.opcode == Opcode::BINARY && header.rsv == 0;
        }
        let end = at.saturating_add(usize::try_from(header.len).unwrap_or(usize::MAX));
        let end = end.min(stream.len());
        if is_data && is_binary && header.rsv == 0 {
            parsed.wanted[end.min(at + limit as usize)..end].fill(false);
        }
        at = end;
    }
    parsed
}

fn packet(time: u64, from_client: bool, seq: u32, flags: u16, payload: &[u8]) -> Packet {
    let (time, payload) = (time + 1, payload.to_vec());
    Packet { time, from_client, interface: 1, seq, ack: 0, flags, payload, is_lost: false }
}

/// One side of a conversation: what it has still to send, and what it has sent.
#[derive(Default)]
struct Side {
    queue: Vec<u8>,
    sent: Vec<u8>,
    start: u32,
}

impl Side {
    fn seq(&self) -> u32 {
        self.start.wrapping_add(self.sent.len() as u32)
    }
}

/// Sends a conversation to two decoders.
fn against_copy(input: &mut Input<'_>, limit: u32, bits: u8) {
    let mut talk = Talk::default();
    talk.sides[0].start = u32::from(input.u16()) << 16;
    talk.sides[1].start = u32::MAX - u32::from(input.u16());
    let latency = u32::from(bits >> 5);
    if bits & 8 == 0 {
        talk.hello(bits & 16 != 0);
    }
    while !input.is_empty() {
        talk.step(input);
    }
    for side in [0, 1] {
        while !talk.sides[side].queue.is_empty() {
            talk.send(side, MAX_LEN, 0);
        }
        talk.push(side, FIN | ACK, talk.sides[side].seq(), &[], 0);
    }
    let compared = compare(&talk.packets, limit as usize, latency, "fuzzed");
    assert_eq!(compared.withdrawn, 0);
}

#[derive(Default)]
struct Talk {
    sides: [Side; 2],
    now: u64,
    said: usize,
    packets: Vec<Packet>,
}

impl Talk {
    fn hello(&mut self, compresses: bool) {
        self.push(0, SYN, self.sides[0].start.wrapping_sub(1), &[], 0);
        self.push(1, SYN | ACK, self.sides[1].start.wrapping_sub(1), &[], 0);
        for (side, head) in [REQUEST, RESPONSE].into_iter().enumerate() {
            let extension = if compresses { DEFLATE } else { b"" };
            self.sides[side].queue = [head, extension, b"\r\n"].concat();
            self.send(side, MAX_LEN, 0);
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let op = input.u8();
        let side = usize::from(op >> 7);
        match op & 7 {
            0..3 if self.said < MOST => {
                let before = self.sides[side].queue.len();
                frame(input, &mut self.sides[side].queue);
                self.said += self.sides[side].queue.len() - before;
            }
            3 => self.sides[side].queue.extend(input.bytes(usize::from(op >> 3 & 15))),
            4 => self.send(side, MAX_LEN, 0),
            5 | 6 => self.send(side, usize::from(input.u16()), input.u8()),
            _ => self.now = (self.now + u64::from(input.u8()) * SECOND / 20).min(MAX_TIME),
        }
    }

    /// Sends the next bytes; `fate` says what becomes of them.
    fn send(&mut self, side: usize, len: usize, fate: u8) {
        let Side { queue, .. } = &mut self.sides[side];
        let payload: Vec<_> = queue.drain(..len.min(MAX_LEN).min(queue.len())).collect();
        let seq = self.sides[side].seq();
        self.sides[side].sent.extend(&payload);
        if fate & 0x80 != 0 {
            // A keep-alive.
            self.push(side, ACK, seq.wrapping_sub(1), b"?", 0);
        }
        self.push(side, ACK, seq, &payload, fate);
        if fate & 0x70 != 0 {
            self.repeat(side, usize::from(fate >> 4 & 7), payload.len());
        }
    }

    /// Sends something of what was sent last again.
    fn repeat(&mut self, side: usize, eighths: usize, len: usize) {
        let Side { sent, start, .. } = &self.sides[side];
        let from = sent.len().saturating_sub(len / 4 * eighths);
        let again = sent[from..sent.len().min(from + len)].to_vec();
        let seq = start.wrapping_add(from as u32);
        self.push(side, ACK, seq, &again, 0);
    }

    fn push(&mut self, side: usize, flags: u16, seq: u32, payload: &[u8], fate: u8) {
        self.now += 1000;
        if fate & 3 == 3 {
            return; // It passed where nothing captures.
        }
        let new = Packet {
            interface: 1 + u32::from(fate & 8 != 0),
            ack: self.sides[1 - side].seq(),
            is_lost: fate & 3 == 2,
            ..packet(self.now, side == 0, seq, flags, payload)
        };
        self.packets.push(new);
        let last = self.packets.len() - 1;
        if fate & 4 != 0 && last > 2 {
            // Late: the one before overtakes it, each at the time of the other.
            let [one, other] = [self.packets[last - 1].time, self.packets[last].time];
            self.packets.swap(last - 1, last);
            (self.packets[last - 1].time, self.packets[last].time) = (one, other);
        }
    }
}
