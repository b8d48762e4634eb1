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
    client: End,
    /// Initial sequence numbers, by sender.
    bases: [Option<u32>; 2],
}

impl Numbering {
    pub(super) fn new(conn: Conn, key: &FlowKey) -> Self {
        Self { conn, client: usize::from(key.ends[1] == conn.client), bases: [None; 2] }
    }

    pub(super) fn sender(&self, end: End) -> Sender {
        if end == self.client { Sender::Client } else { Sender::Server }
    }

    /// Learns where the sequence numbers of both directions begin.
    pub(super) fn learn(&mut self, from: Sender, segment: &Segment<'_>) {
        let initial = if segment.has(SYN) { segment.seq } else { segment.seq.wrapping_sub(1) };
        self.bases[from as usize].get_or_insert(initial);
        if segment.has(ACK) {
            self.bases[from.other() as usize].get_or_insert(segment.ack.wrapping_sub(1));
        }
    }

    /// Whether a SYN has another initial sequence number than the one known.
    pub(super) fn is_contradicted_by(&self, end: End, syn: &Segment<'_>) -> bool {
        self.bases[self.sender(end) as usize].is_some_and(|base| base != syn.seq)
    }

    /// Shows a segment, numbers as tcpdump has them.
    pub(super) fn show(&self, end: End, segment: &Segment<'_>, sink: &mut dyn Sink) {
        let from = self.sender(end);
        let base = |of: Sender| self.bases[of as usize].unwrap_or_default();
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
