//! Who is who on a connection, and what its sequence numbers are counted from.

use tracer_common::packet::flags::{ACK, SYN};

use super::{
    flow::{End, FlowKey},
    meta,
};
use crate::{
    event::{Body, Conn, SegmentInfo, Sink},
    segment::Segment,
    ws::receiver::Sender,
};

/// Outlives the connection itself, so that its last segments are shown with the same numbers.
#[derive(Clone, Copy)]
pub(super) struct Numbering {
    pub(super) conn: Conn,
    /// Initial sequence numbers, by sender; 0 where they are not known.
    bases: [u32; 2],
    knows: [bool; 2],
    /// Which end of the flow the client is.
    client: u8,
}

// A cache line: every segment needs it.
const _: () = assert!(size_of::<Numbering>() <= 64);

impl Numbering {
    pub(super) fn new(conn: Conn, key: &FlowKey) -> Self {
        let client = u8::from(key.ends[1] == conn.client);
        Self { conn, bases: [0; 2], knows: [false; 2], client }
    }

    pub(super) fn sender(&self, end: End) -> Sender {
        if end == usize::from(self.client) { Sender::Client } else { Sender::Server }
    }

    /// Learns where the sequence numbers of both directions begin.
    pub(super) fn learn(&mut self, from: Sender, segment: &Segment<'_>) {
        let initial = if segment.has(SYN) { segment.seq } else { segment.seq.wrapping_sub(1) };
        self.learn_base(from, initial);
        if segment.has(ACK) {
            self.learn_base(from.other(), segment.ack.wrapping_sub(1));
        }
    }

    fn learn_base(&mut self, from: Sender, initial: u32) {
        if !self.knows[from as usize] {
            self.knows[from as usize] = true;
            self.bases[from as usize] = initial;
        }
    }

    /// Whether a SYN has another initial sequence number than the one known.
    pub(super) fn is_contradicted_by(&self, end: End, syn: &Segment<'_>) -> bool {
        let from = self.sender(end) as usize;
        self.knows[from] && self.bases[from] != syn.seq
    }

    /// Shows a segment, numbers as tcpdump has them.
    pub(super) fn show(&self, end: End, segment: &Segment<'_>, sink: &mut dyn Sink) {
        let from = self.sender(end);
        let base = |of: Sender| self.bases[of as usize];
        let info = SegmentInfo {
            flags: segment.flags,
            seq: segment.seq.wrapping_sub(base(from)),
            raw_seq: segment.seq,
            ack: segment.has(ACK).then(|| segment.ack.wrapping_sub(base(from.other()))),
            raw_ack: segment.has(ACK).then_some(segment.ack),
            win: segment.window,
            options: segment.options,
            len: segment.payload_len,
        };
        meta::emit(self.conn, Some(from), Body::Segment(info), segment.time, sink);
    }
}
