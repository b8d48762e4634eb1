//! What is known of a connection as a whole, and the events about it.

use super::{numbering::Numbering, options::Options};
use crate::{
    event::{
        Body, Conn, Control, Event, GapCause, Joined, LooksLike, Sink, Traffic, WsFrame, WsMessage,
        WsOpen,
    },
    segment::Nanos,
    ws::{
        close::{self, Close},
        frame::Opcode,
        inflaters::Inflaters,
        message::Message,
        receiver::{Context, Item, Sender},
        rule::Rule,
    },
};

/// Violations told of one connection; a peer that breaks a rule in every frame says nothing new.
const MAX_VIOLATIONS: u32 = 100;

/// What all connections count.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) messages: u64,
    /// By rule, in the order of [`Rule::ALL`].
    pub(super) violations: [u64; Rule::ALL.len()],
    pub(super) gaps: u64,
    pub(super) forgotten_syns: u64,
}

/// What receivers borrow while they work.
pub(super) struct Tools {
    pub(super) inflaters: Inflaters,
    pub(super) scratch: Vec<u8>,
}

/// What telling of an event takes.
pub(super) struct Tell<'e> {
    pub(super) time: Nanos,
    pub(super) options: &'e Options,
    pub(super) counts: &'e mut Counts,
    pub(super) sink: &'e mut dyn Sink,
}

/// Where and when a connection is at work.
pub(super) struct Env<'e> {
    pub(super) tell: Tell<'e>,
    pub(super) tools: &'e mut Tools,
}

/// The latest ping of one side.
#[derive(Default)]
struct Ping {
    /// When it was sent, until its pong has come.
    sent: Option<Nanos>,
    payload: Vec<u8>,
}

/// The connection as events tell of it.
pub(super) struct Meta {
    pub(super) numbering: Numbering,
    pub(super) started: Nanos,
    pub(super) traffic: Traffic,
    /// Frames have begun.
    pub(super) is_open: bool,
    /// `not_websocket` was said.
    is_named: bool,
    /// The capture left out bytes that somebody wanted; by sender.
    pub(super) lost_places: [bool; 2],
    /// The first close frame's code, which may not have been captured.
    ws_close: Option<Option<u16>>,
    violations: u32,
    /// The latest ping of client and server. Most connections have none.
    pings: Option<Box<[Ping; 2]>>,
}

impl Meta {
    pub(super) fn new(numbering: Numbering, started: Nanos) -> Self {
        Self {
            numbering,
            started,
            traffic: Traffic::default(),
            is_open: false,
            is_named: false,
            lost_places: [false; 2],
            ws_close: None,
            violations: 0,
            pings: None,
        }
    }

    pub(super) fn emit(&self, from: Option<Sender>, body: Body<'_>, tell: &mut Tell<'_>) {
        emit(self.numbering.conn, from, body, tell.time, tell.sink);
    }

    /// The code that stands for how the WebSocket connection was closed.
    pub(super) fn ws_close(&self) -> Option<u16> {
        self.ws_close.unwrap_or(Some(close::ABNORMAL)).filter(|_| self.is_open)
    }

    pub(super) fn open(&mut self, open: WsOpen<'_>, tell: &mut Tell<'_>) {
        self.is_open = true;
        self.emit(None, Body::WsOpen(open), tell);
    }

    pub(super) fn open_midstream(&mut self, tell: &mut Tell<'_>) {
        let open = WsOpen {
            path: None,
            host: None,
            subprotocol: None,
            extensions: None,
            accept_valid: None,
            joined: Joined::Midstream,
            handshake_us: None,
        };
        self.open(open, tell);
    }

    /// Says once that the connection is something else.
    pub(super) fn not_websocket(
        &mut self,
        looks_like: LooksLike,
        sni: Option<&str>,
        tell: &mut Tell<'_>,
    ) {
        if !self.is_named && !self.is_open {
            self.is_named = true;
            self.emit(None, Body::NotWebsocket { looks_like, sni }, tell);
        }
    }

    /// A copy of bytes that were seen before differs from the first.
    pub(super) fn conflict(&self, from: Sender, bytes: u64, tell: &mut Tell<'_>) {
        self.emit(Some(from), Body::TcpConflict { bytes }, tell);
    }

    pub(super) fn gap(&self, from: Sender, bytes: u64, cause: GapCause, tell: &mut Tell<'_>) {
        tell.counts.gaps += 1;
        self.emit(Some(from), Body::Gap { bytes, cause }, tell);
    }

    pub(super) fn violation(
        &mut self,
        from: Sender,
        rule: Rule,
        detail: &str,
        tell: &mut Tell<'_>,
    ) {
        tell.counts.violations[rule as usize] += 1;
        self.violations = self.violations.saturating_add(1);
        let more = " (further violations of this connection are only counted)";
        let detail = match self.violations {
            ..MAX_VIOLATIONS => detail.to_owned(),
            MAX_VIOLATIONS => format!("{detail}{more}"),
            _ => return,
        };
        let body = Body::WsViolation { rule, reference: rule.reference(), detail: &detail };
        self.emit(Some(from), body, tell);
    }

    /// Runs a receiver, its items becoming events.
    pub(super) fn receive<R>(
        &mut self,
        from: Sender,
        env: &mut Env<'_>,
        run: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        let Env { tell, tools: Tools { inflaters, scratch } } = env;
        let payload_limit = tell.options.limits.payload;
        let out = &mut |item: Item<'_>| match item {
            Item::Frame(..) if !tell.options.frames => {}
            item => self.item(from, item, tell),
        };
        run(&mut Context { payload_limit, inflaters, scratch, out })
    }

    fn item(&mut self, from: Sender, item: Item<'_>, tell: &mut Tell<'_>) {
        match item {
            Item::Frame(header, offset) => {
                self.emit(Some(from), Body::WsFrame(WsFrame::new(header, offset)), tell);
            }
            Item::Message(message) => self.message(from, message, tell),
            Item::Control(Opcode::CLOSE, payload, len) => self.close(from, payload, len, tell),
            Item::Control(opcode, data, len) => {
                let truncated = (data.len() as u64) < len;
                self.ping_or_pong(from, opcode, Control { len, data, truncated }, tell);
            }
            Item::Violation(rule, detail) => self.violation(from, rule, &detail, tell),
        }
    }

    fn message(&mut self, from: Sender, message: &Message<'_>, tell: &mut Tell<'_>) {
        tell.counts.messages += 1;
        match from {
            Sender::Client => self.traffic.client_messages += 1,
            Sender::Server => self.traffic.server_messages += 1,
        }
        let body = WsMessage {
            opcode: message.opcode,
            len: message.len,
            wire_len: message.wire_len,
            frames: message.frames,
            compressed: message.compressed,
            payload: message.payload,
            truncated: message.is_truncated(),
            missing: message.missing,
        };
        self.emit(Some(from), Body::WsMessage(body), tell);
    }

    fn close(&mut self, from: Sender, payload: &[u8], len: u64, tell: &mut Tell<'_>) {
        let close = Close::parse(payload).unwrap_or(Close { code: None, reason: &[] });
        let is_cut = (payload.len() as u64) < len.min(2);
        let code = if is_cut { None } else { Some(close.code.unwrap_or(close::NO_STATUS)) };
        self.ws_close.get_or_insert(code);
        let reason = String::from_utf8_lossy(close.reason);
        let code_name = code.map_or("not captured", close::name);
        let truncated = (payload.len() as u64) < len;
        let body = Body::WsClose { code: close.code, code_name, reason: &reason, truncated };
        self.emit(Some(from), body, tell);
    }

    fn ping_or_pong(
        &mut self,
        from: Sender,
        opcode: Opcode,
        control: Control<'_>,
        tell: &mut Tell<'_>,
    ) {
        let body = if opcode == Opcode::PING {
            let pings = self.pings.get_or_insert_default();
            let Ping { sent, payload } = &mut pings[from as usize];
            *sent = Some(tell.time);
            payload.clear();
            payload.extend_from_slice(control.data);
            Body::WsPing(control)
        } else {
            let rtt_us = self.answered(from.other(), control.data, tell.time);
            Body::WsPong { control, rtt_us }
        };
        self.emit(Some(from), body, tell);
    }

    /// Microseconds since the ping of `pinger` that carried `payload`, if that is its latest.
    fn answered(&mut self, pinger: Sender, payload: &[u8], now: Nanos) -> Option<u64> {
        let ping = &mut self.pings.as_mut()?[pinger as usize];
        let sent = ping.sent.take_if(|_| ping.payload == payload)?;
        Some(now.saturating_sub(sent) / 1000)
    }
}

/// Gives an event to the sink.
pub(super) fn emit(
    conn: Conn,
    from: Option<Sender>,
    body: Body<'_>,
    time: Nanos,
    sink: &mut dyn Sink,
) {
    sink.emit(&Event { time, conn: Some(conn), from, body });
}
