//! A few connections whose segments an input's bytes spell out, relative to what their endpoints
//! would send next; so that mutations make traffic, not noise.

use tracer::segment::{Endpoint, Nanos, Segment};
use tracer_common::{
    packet::flags::{ACK, FIN, RST, SYN},
    ports::PortSet,
};

use crate::input::Input;

/// The traced port.
pub const PORT: u16 = 7272;
/// Connections that instructions can name.
pub const CONNECTIONS: usize = 4;
/// Both sides' first sequence numbers: close to wrapping around.
pub const FIRST_SEQ: [u32; 2] = [u32::MAX - 300, u32::MAX - 2000];

/// Segments sent in all by instructions that send many. Few inputs send [`MANY`]: it takes long.
pub const FEW: u16 = 256;
/// Enough to overrun every limit.
pub const MANY: u16 = 24_000;

/// What an instruction does, in the two highest bits of its first byte.
pub mod kind {
    /// One segment: [`super::Head`], flags, distance, length, payload.
    pub const SEGMENT: u8 = 0 << 6;
    /// Time passes: 16 bits, in units of 10 ms.
    pub const TIME: u8 = 1 << 6;
    /// Many one-byte segments with a hole between each two: 16 bits, how many.
    pub const COMB: u8 = 2 << 6;
    /// Many SYNs, each from another address: 16 bits, how many.
    pub const FLOOD: u8 = 3 << 6;
}

/// The other bits of a segment's first byte.
#[derive(Clone, Copy, Debug)]
pub struct Head(pub u8);

impl Head {
    /// From the server, not the client.
    pub const SERVER: u8 = 1;
    /// The connection, 2 bits from here.
    pub const CONNECTION_SHIFT: u8 = 1;
    /// Not where the sender left off: 16 bits follow that say how far from there.
    pub const ELSEWHERE: u8 = 1 << 3;
    /// Something rare: 8 bits follow, [`Extra`].
    pub const EXTRA: u8 = 1 << 4;
    /// Acknowledges something else than all that was sent: 16 bits follow.
    pub const ACK_ELSEWHERE: u8 = 1 << 5;

    fn side(self) -> usize {
        usize::from(self.0 & Self::SERVER)
    }

    fn connection(self) -> usize {
        usize::from(self.0 >> Self::CONNECTION_SHIFT & 3)
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }
}

/// The rare things of a segment.
#[derive(Clone, Copy, Default)]
struct Extra(u8);

impl Extra {
    /// On another interface.
    fn interface(self) -> u32 {
        1 + u32::from(self.0 >> 7)
    }

    /// In two parts, as a ring buffer's records have long segments.
    fn is_split(self) -> bool {
        self.0 & 1 << 6 != 0
    }

    /// Payload is repeated so many times: long messages from short inputs.
    fn repeat(self) -> usize {
        1 + usize::from(self.0 & 7) * 8
    }

    /// Bytes that were cut off.
    fn snapped(self) -> u32 {
        u32::from(self.0 >> 3 & 7) * 100
    }
}

/// Both sides' next sequence numbers.
type Sequence = [u32; 2];

/// The wire's state.
pub struct Wire<'a> {
    input: Input<'a>,
    connections: [Sequence; CONNECTIONS],
    flood: u32,
    /// Segments that may still be sent by the instructions that send many.
    left: u16,
    /// The time now.
    pub now: Nanos,
}

/// What an instruction came to.
pub enum Step {
    /// Segments were sent.
    Sent,
    /// Time has passed.
    Waited,
}

/// Every port that the wires' connections use on the server's side.
pub fn ports() -> PortSet {
    let mut ports = PortSet::EMPTY;
    ports.insert(PORT);
    ports
}

impl<'a> Wire<'a> {
    /// A wire that carries what `input` says; `left` as [`FEW`] and [`MANY`].
    pub fn new(input: Input<'a>, left: u16) -> Self {
        let connections = [FIRST_SEQ; CONNECTIONS];
        Self { input, connections, flood: 0, left, now: 1_000_000_000 }
    }

    /// Does the next instruction; `None` at the end.
    pub fn step(&mut self, out: &mut dyn FnMut(&Segment<'_>)) -> Option<Step> {
        if self.input.is_empty() {
            return None;
        }
        let first = self.input.u8();
        match first & 0xc0 {
            kind::SEGMENT => self.segment(Head(first), out),
            kind::COMB => self.comb(Head(first), out),
            kind::FLOOD => self.flood(out),
            _ => {
                self.now += u64::from(self.input.u16()) * 10_000_000;
                return Some(Step::Waited);
            }
        }
        self.now += 10_000;
        Some(Step::Sent)
    }

    fn segment(&mut self, head: Head, out: &mut dyn FnMut(&Segment<'_>)) {
        let flags = u16::from(self.input.u8());
        let distance = if head.has(Head::ELSEWHERE) { self.input.i16() } else { 0 };
        let ack_distance = if head.has(Head::ACK_ELSEWHERE) { self.input.i16() } else { 0 };
        let extra = if head.has(Head::EXTRA) { Extra(self.input.u8()) } else { Extra::default() };
        let len = usize::from(self.input.u16());
        let payload = self.input.bytes(len).repeat(extra.repeat());
        let [next, other] = self.next_of(head);
        let segment = Segment {
            seq: next.wrapping_add_signed(distance.into()),
            ack: other.wrapping_add_signed(ack_distance.into()),
            interface: extra.interface(),
            flags,
            payload_len: payload.len() as u32 + extra.snapped(),
            payload: &payload,
            ..self.blank(head)
        };
        self.sent(head, &segment);
        send(&segment, extra.is_split(), out);
    }

    fn comb(&mut self, head: Head, out: &mut dyn FnMut(&Segment<'_>)) {
        let byte = [self.input.u8()];
        for _ in 0..self.many() {
            let [next, ack] = self.next_of(head);
            let seq = next.wrapping_add(1);
            let blank = self.blank(head);
            let segment = Segment { seq, ack, payload_len: 1, payload: &byte, ..blank };
            self.sent(head, &segment);
            out(&segment);
        }
    }

    fn flood(&mut self, out: &mut dyn FnMut(&Segment<'_>)) {
        for _ in 0..self.many() {
            self.flood += 1;
            let mut segment = Segment { flags: SYN, ..self.blank(Head(0)) };
            segment.source.address[12..].copy_from_slice(&self.flood.to_be_bytes());
            out(&segment);
        }
    }

    /// How many segments an instruction sends.
    fn many(&mut self) -> u16 {
        let many = self.input.u16().min(self.left);
        self.left -= many;
        many
    }

    /// A segment of the head's connection, with nothing in it.
    fn blank(&self, head: Head) -> Segment<'static> {
        let mut address = [0; 16];
        address[15] = 1;
        let client = Endpoint { address, port: 40_000 + head.connection() as u16 };
        let server = Endpoint { address, port: PORT };
        let (source, destination) =
            if head.side() == 0 { (client, server) } else { (server, client) };
        Segment {
            time: self.now,
            interface: 1,
            source,
            destination,
            seq: 0,
            ack: 0,
            window: 500,
            flags: ACK,
            options: &[],
            payload_len: 0,
            offset: 0,
            payload: &[],
            more: false,
            left_out: 0,
            elided: 0,
            frame_at: None,
        }
    }

    /// The sender's next sequence number, and the receiver's.
    fn next_of(&self, head: Head) -> [u32; 2] {
        let [client, server] = self.connections[head.connection()];
        if head.side() == 0 { [client, server] } else { [server, client] }
    }

    /// The sender goes on behind the segment, if that is further than before.
    fn sent(&mut self, head: Head, segment: &Segment<'_>) {
        let next = &mut self.connections[head.connection()][head.side()];
        let extra = u32::from(segment.has(SYN)) + u32::from(segment.has(FIN));
        let end = segment.seq.wrapping_add(segment.payload_len).wrapping_add(extra);
        if !segment.has(RST) && end.wrapping_sub(*next) < 1 << 31 {
            *next = end;
        }
    }
}

fn send(segment: &Segment<'_>, is_split: bool, out: &mut dyn FnMut(&Segment<'_>)) {
    if !is_split {
        return out(segment);
    }
    let (front, back) = segment.payload.split_at(segment.payload.len() / 2);
    out(&Segment { payload: front, more: true, ..*segment });
    out(&Segment { payload: back, offset: front.len() as u32, options: &[], ..*segment });
}
