//! Counts events: they come in one by one, plain integers come out. One meter for each pipeline; it
//! holds no reference to what it has counted, and takes the same memory whatever peers send.

use super::{
    classes::{self, CODES, CONTROLS, MESSAGES, SENDERS, STATUSES},
    histogram::{FILLS, Histogram, SIZES, TIMES},
};
use crate::{
    event::{Body, Event, TcpClose, WsMessage, WsOpen},
    ws::message::Payload,
};

/// A table by two labels.
type Table<const ROWS: usize, const COLUMNS: usize> = [[u64; COLUMNS]; ROWS];

/// What was counted, each by the labels of [`super::classes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// TCP connections that ended, by how.
    pub closed: [u64; 7],
    /// WebSocket connections that ended, by the code that stands for how.
    pub ws_closed: [u64; CODES.len()],
    /// Connections that are something else, by what.
    pub not_websocket: [u64; 3],
    /// WebSocket connections, by how the tracer came to them.
    pub ws_opened: [u64; 2],
    /// HTTP requests.
    pub http_requests: u64,
    /// HTTP responses, by the class of their status.
    pub http_responses: [u64; STATUSES.len()],
    /// Data messages, by sender and opcode.
    pub messages: Table<{ SENDERS.len() }, { MESSAGES.len() }>,
    /// Their payload bytes, as far as they could be inflated.
    pub message_bytes: Table<{ SENDERS.len() }, { MESSAGES.len() }>,
    /// Their payload bytes on the wire.
    pub wire_bytes: Table<{ SENDERS.len() }, { MESSAGES.len() }>,
    /// Messages that could not be decoded, by why.
    pub undecoded: [u64; 5],
    /// Control frames, by sender and opcode.
    pub controls: Table<{ SENDERS.len() }, { CONTROLS.len() }>,
    /// Close frames, by sender and code.
    pub close_codes: Table<{ SENDERS.len() }, { CODES.len() }>,
    /// Gaps, by cause.
    pub gaps: [u64; 3],
    /// Bytes of gaps, by cause.
    pub gap_bytes: [u64; 3],
    /// Segments that contradict an earlier copy.
    pub conflicts: u64,
    /// From SYN to SYN-ACK, microseconds.
    pub tcp_rtt: Histogram<{ TIMES.len() }>,
    /// From upgrade request to response, microseconds.
    pub handshake: Histogram<{ TIMES.len() }>,
    /// From ping to pong, microseconds, by who sent the pong.
    pub ping_rtt: [Histogram<{ TIMES.len() }>; 2],
    /// Lengths of messages after inflation, by sender.
    pub sizes: [Histogram<{ SIZES.len() }>; 2],
    /// How full the ring buffer was when its consumer came, millionths.
    pub fill: Histogram<{ FILLS.len() }>,
}

impl Default for Meter {
    fn default() -> Self {
        let times = const { Histogram::new(&TIMES) };
        Self {
            closed: [0; _],
            ws_closed: [0; _],
            not_websocket: [0; _],
            ws_opened: [0; _],
            http_requests: 0,
            http_responses: [0; _],
            messages: [[0; _]; _],
            message_bytes: [[0; _]; _],
            wire_bytes: [[0; _]; _],
            undecoded: [0; _],
            controls: [[0; _]; _],
            close_codes: [[0; _]; _],
            gaps: [0; _],
            gap_bytes: [0; _],
            conflicts: 0,
            tcp_rtt: times.clone(),
            handshake: times.clone(),
            ping_rtt: [times.clone(), times],
            sizes: [const { Histogram::new(&SIZES) }, const { Histogram::new(&SIZES) }],
            fill: Histogram::new(&FILLS),
        }
    }
}

impl Meter {
    /// Counts what happened.
    pub fn count(&mut self, event: &Event<'_>) {
        let from = event.from.map_or(0, |from| from as usize);
        match &event.body {
            Body::WsMessage(message) => self.message(from, message),
            Body::TcpOpen { rtt_us } => self.tcp_rtt.observe(*rtt_us),
            Body::TcpClose(close) => self.tcp_close(close),
            Body::TcpConflict { .. } => self.conflicts += 1,
            Body::HttpRequest { .. } => self.http_requests += 1,
            Body::HttpResponse { status, .. } => {
                self.http_responses[classes::status(*status)] += 1;
            }
            Body::WsOpen(open) => self.ws_open(open),
            Body::WsPing(_) => self.controls[from][classes::PING] += 1,
            Body::WsPong { rtt_us, .. } => {
                self.controls[from][classes::PONG] += 1;
                rtt_us.iter().for_each(|rtt| self.ping_rtt[from].observe(*rtt));
            }
            Body::WsClose { code, .. } => {
                self.controls[from][classes::CLOSE] += 1;
                self.close_codes[from][classes::code(*code)] += 1;
            }
            Body::Gap { bytes, cause } => {
                self.gaps[*cause as usize] += 1;
                add_bytes(&mut self.gap_bytes[*cause as usize], *bytes);
            }
            Body::NotWebsocket { looks_like, .. } => self.not_websocket[*looks_like as usize] += 1,
            // The tracker counts violations: not all of them become events. Outputs count what they drop.
            Body::Dropped { .. }
            | Body::WsViolation { .. }
            | Body::WsFrame(_)
            | Body::Segment(_)
            | Body::Start(_)
            | Body::Stats(_) => {}
        }
    }

    fn message(&mut self, from: usize, message: &WsMessage<'_>) {
        let opcode = classes::message(message.opcode);
        self.messages[from][opcode] += 1;
        add_bytes(&mut self.wire_bytes[from][opcode], message.wire_len);
        if let Some(len) = message.len {
            add_bytes(&mut self.message_bytes[from][opcode], len);
            self.sizes[from].observe(len);
        }
        if let Payload::Undecoded(why) = message.payload {
            self.undecoded[why as usize] += 1;
        }
    }

    fn ws_open(&mut self, open: &WsOpen<'_>) {
        self.ws_opened[classes::joined(open.joined)] += 1;
        open.handshake_us.iter().for_each(|took| self.handshake.observe(*took));
    }

    fn tcp_close(&mut self, close: &TcpClose) {
        self.closed[close.how as usize] += 1;
        if close.ws_close.is_some() {
            self.ws_closed[classes::code(close.ws_close)] += 1;
        }
    }

    /// Counts how much waited in a ring buffer of `size` bytes when its consumer came.
    pub fn ring(&mut self, waiting: usize, size: usize) {
        let millionths = waiting as u64 * 1_000_000 / (size as u64).max(1);
        self.fill.observe(millionths);
    }

    /// Adds what another pipeline's has counted.
    pub fn add(&mut self, other: &Self) {
        let Self {
            closed,
            ws_closed,
            not_websocket,
            ws_opened,
            http_requests,
            http_responses,
            messages,
            message_bytes,
            wire_bytes,
            undecoded,
            controls,
            close_codes,
            gaps,
            gap_bytes,
            conflicts,
            tcp_rtt,
            handshake,
            ping_rtt,
            sizes,
            fill,
        } = other;
        add(&mut self.closed, closed);
        add(&mut self.ws_closed, ws_closed);
        add(&mut self.not_websocket, not_websocket);
        add(&mut self.ws_opened, ws_opened);
        self.http_requests += http_requests;
        add(&mut self.http_responses, http_responses);
        add(self.messages.as_flattened_mut(), messages.as_flattened());
        add(self.message_bytes.as_flattened_mut(), message_bytes.as_flattened());
        add(self.wire_bytes.as_flattened_mut(), wire_bytes.as_flattened());
        add(&mut self.undecoded, undecoded);
        add(self.controls.as_flattened_mut(), controls.as_flattened());
        add(self.close_codes.as_flattened_mut(), close_codes.as_flattened());
        add(&mut self.gaps, gaps);
        add(&mut self.gap_bytes, gap_bytes);
        self.conflicts += conflicts;
        self.tcp_rtt.add(tcp_rtt);
        self.handshake.add(handshake);
        self.ping_rtt.iter_mut().zip(ping_rtt).for_each(|(all, part)| all.add(part));
        self.sizes.iter_mut().zip(sizes).for_each(|(all, part)| all.add(part));
        self.fill.add(fill);
    }
}

/// Adds numbers to others, place by place.
pub(super) fn add(all: &mut [u64], part: &[u64]) {
    all.iter_mut().zip(part).for_each(|(all, part)| add_bytes(all, *part));
}

/// Peers choose lengths: no sum of them may overflow.
fn add_bytes(sum: &mut u64, bytes: u64) {
    *sum = sum.saturating_add(bytes);
}
