//! Connections that are being opened: a SYN comes in, and waits for what answers it.

use tracer_common::packet::flags::{ACK, RST, SYN};

use super::{
    super::{
        connection::Ending,
        flow::{End, FlowKey},
        meta,
        numbering::Numbering,
    },
    TIME_WAIT, Tracker,
};
use crate::{
    event::{Body, Conn, How, Joined, Sink, TcpClose, Traffic},
    segment::{Nanos, Segment},
    ws::receiver::Sender,
};

/// A SYN that was not answered yet.
pub(super) struct HalfOpen {
    numbering: Numbering,
    client: End,
    seq: u32,
    interface: u32,
    time: Nanos,
}

impl HalfOpen {
    /// Whether nobody will answer it any more.
    pub(super) fn is_over(&self, now: Nanos) -> bool {
        self.time.saturating_add(TIME_WAIT) < now
    }

    /// Whether a segment is the SYN-ACK to the SYN, and nothing else.
    fn is_confirmed_by(&self, end: End, segment: &Segment<'_>) -> bool {
        end != self.client && segment.has(SYN | ACK) && segment.ack == self.seq.wrapping_add(1)
    }

    /// Whether a segment answers the SYN, or follows it after an answer that was not captured.
    fn is_answered_by(&self, end: End, segment: &Segment<'_>) -> bool {
        let after_syn = self.seq.wrapping_add(1);
        if end == self.client {
            return segment.seq == after_syn;
        }
        // More may have been sent and acknowledged before the first segment that was captured.
        segment.has(ACK) && segment.ack.wrapping_sub(after_syn) < 1 << 16
    }
}

impl Tracker {
    /// A segment of a flow with a SYN that was not answered yet. One that does not fit to the SYN
    /// belongs to the connection before, which a forged SYN must not end.
    pub(super) fn after_syn(
        &mut self,
        key: FlowKey,
        end: End,
        half_open: HalfOpen,
        segment: &Segment<'_>,
        sink: &mut dyn Sink,
    ) {
        let is_live = self.connections.contains(&key);
        let is_answered = if is_live {
            half_open.is_confirmed_by(end, segment)
        } else {
            half_open.is_answered_by(end, segment)
        };
        if is_answered {
            if is_live {
                self.close(&key, Ending { how: How::Replaced, by: None }, segment.time, sink);
            }
            return self.answered(key, end, &half_open, segment, sink);
        }
        self.half_open.push(key, half_open);
        if is_live {
            self.follow(&key, end, segment, sink);
        }
    }

    /// A client wants to connect.
    pub(super) fn syn(
        &mut self,
        key: FlowKey,
        end: End,
        segment: &Segment<'_>,
        sink: &mut dyn Sink,
    ) {
        if let Some(connection) = self.connections.peek(&key)
            && !connection.is_replaced_by(end, segment)
        {
            self.follow(&key, end, segment, sink);
            return;
        }
        let resent = self
            .half_open
            .get_mut(&key)
            .is_some_and(|half_open| half_open.seq == segment.seq && half_open.client == end);
        if resent {
            return;
        }
        self.closed.pop(&key);
        let mut numbering = self.number(&key, segment.source, segment.destination);
        numbering.learn(Sender::Client, segment);
        if segment.payload_len > 0 && !self.connections.contains(&key) {
            // Fast Open: the SYN has data.
            self.half_open.pop(&key);
            self.open(key, numbering, Joined::Handshake, segment.time, sink);
            self.learn_syn(&key, end, segment);
            self.follow(&key, end, segment, sink);
            return;
        }
        if self.options.segments {
            numbering.show(end, segment, sink);
        }
        let Segment { seq, interface, time, .. } = *segment;
        self.half_open.push(key, HalfOpen { numbering, client: end, seq, interface, time });
        if self.half_open.len() > self.options.limits.half_open {
            self.half_open.pop_lru();
            self.counts.forgotten_syns += 1;
        }
    }

    /// The first segment after a SYN.
    fn answered(
        &mut self,
        key: FlowKey,
        end: End,
        half_open: &HalfOpen,
        segment: &Segment<'_>,
        sink: &mut dyn Sink,
    ) {
        let HalfOpen { mut numbering, client, seq, interface, time } = *half_open;
        let is_answer = end != client;
        if segment.has(RST) {
            numbering.learn(numbering.sender(end), segment);
            if self.options.segments {
                numbering.show(end, segment, sink);
            }
            return refused(numbering.conn, is_answer, time, segment.time, sink);
        }
        self.open(key, numbering, Joined::Handshake, time, sink);
        let syn =
            Segment { seq, interface, time, flags: SYN, payload_len: 0, payload: &[], ..*segment };
        self.learn_syn(&key, client, &syn);
        self.follow(&key, end, segment, sink);
    }

    fn learn_syn(&mut self, key: &FlowKey, client: End, syn: &Segment<'_>) {
        if let Some(connection) = self.connections.peek_mut(key) {
            connection.learn_syn(client, syn);
        }
    }
}

/// The SYN was answered, or followed, by RST.
fn refused(conn: Conn, by_server: bool, syn: Nanos, now: Nanos, sink: &mut dyn Sink) {
    let by = Some(if by_server { Sender::Server } else { Sender::Client });
    let close = TcpClose {
        by,
        how: if by_server { How::Refused } else { How::Rst },
        duration_ms: now.saturating_sub(syn) / 1_000_000,
        traffic: Traffic::default(),
        ws_close: None,
    };
    meta::emit(conn, by, Body::TcpClose(close), now, sink);
}
