//! Text for people: one line an event, in columns that the eye can follow.

use std::{borrow::Cow, fmt, io::Write as _};

use anstyle::{AnsiColor, Effects, Style as Ansi};

use super::{Format, WallClock, clock::Stamp, digits, escape, hex, prefixes::Prefixes};
use crate::{
    event::{
        Body, Conn, Control, Event, FlagNames, How, Joined, SegmentInfo, Start, Stats, TcpClose,
        WsFrame, WsMessage, WsOpen,
    },
    tcp::options::Options,
    ws::{close, frame::Opcode, message::Payload, receiver::Sender},
};

const DIM: Ansi = Ansi::new().effects(Effects::DIMMED);
const CLIENT: Ansi = AnsiColor::Cyan.on_default();
const SERVER: Ansi = AnsiColor::Green.on_default();
const NOTICE: Ansi = AnsiColor::Yellow.on_default();
const WRONG: Ansi = AnsiColor::Red.on_default();

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// With colour.
    pub color: bool,
    /// Payloads as hexadecimal and ASCII too.
    pub hex: bool,
}

/// Writes text.
pub struct Text {
    style: Style,
    stamp: Stamp,
    prefixes: Prefixes,
}

impl Text {
    /// Text that looks like this.
    pub fn new(style: Style) -> Self {
        Self { style, stamp: Stamp::local(), prefixes: Prefixes::new(push_conn) }
    }
}

impl Format for Text {
    fn write(&mut self, event: &Event<'_>, clock: WallClock, buffer: &mut Vec<u8>) {
        if let Body::Start(_) | Body::Stats(_) = event.body {
            return; // The summary on stderr says it to people.
        }
        let mut line = Line { style: self.style, buffer };
        line.begin(DIM);
        self.stamp.write(clock.at(event.time), line.buffer);
        line.end(DIM);
        if let Some(conn) = event.conn {
            self.prefixes.push(conn, line.buffer);
            line.arrow(event.from);
        }
        line.body(&event.body);
        line.buffer.push(b'\n');
    }
}

/// ` #1 127.0.0.1:60653 `
fn push_conn(conn: Conn, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(b" #");
    digits::push(conn.id, buffer);
    buffer.push(b' ');
    digits::push_endpoint(conn.client, buffer);
    buffer.push(b' ');
}

/// A line in the making.
struct Line<'b> {
    style: Style,
    buffer: &'b mut Vec<u8>,
}

impl Line<'_> {
    fn begin(&mut self, style: Ansi) {
        if self.style.color {
            self.print(format_args!("{style}"));
        }
    }

    fn end(&mut self, style: Ansi) {
        if self.style.color {
            self.print(format_args!("{style:#}"));
        }
    }

    fn print(&mut self, what: fmt::Arguments<'_>) {
        let result = self.buffer.write_fmt(what);
        debug_assert!(result.is_ok(), "a Vec takes everything");
    }

    /// Appends our own words. `core::fmt` would take ten times the instructions.
    fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn styled(&mut self, style: Ansi, what: fmt::Arguments<'_>) {
        self.begin(style);
        self.print(what);
        self.end(style);
    }

    fn untrusted(&mut self, text: &str) {
        escape::push(text, self.buffer);
    }

    fn arrow(&mut self, from: Option<Sender>) {
        let (style, arrow) = match from {
            Some(Sender::Client) => (CLIENT, "→ "),
            Some(Sender::Server) => (SERVER, "← "),
            None => (DIM, "· "),
        };
        self.begin(style);
        self.text(arrow);
        self.end(style);
    }

    fn body(&mut self, body: &Body<'_>) {
        match body {
            Body::Start(Start { .. }) | Body::Stats(Stats { .. }) => {}
            Body::TcpOpen { rtt_us } => {
                self.print(format_args!("connected ({})", Micros(*rtt_us)));
            }
            Body::TcpConflict { bytes } => {
                self.styled(WRONG, format_args!("{bytes} bytes were sent again, and differ"));
            }
            Body::HttpRequest { method, path, headers } => {
                self.untrusted(method);
                self.print(format_args!(" "));
                self.untrusted(path);
                self.headers(headers);
            }
            Body::HttpResponse { status, headers } => {
                self.print(format_args!("HTTP {status}"));
                self.headers(headers);
            }
            Body::WsOpen(open) => self.open(open),
            Body::WsMessage(message) => self.message(message),
            Body::WsFrame(frame) => self.frame(frame),
            Body::WsPing(control) => self.control("ping", control),
            Body::WsPong { control, rtt_us } => {
                self.control("pong", control);
                if let Some(rtt_us) = rtt_us {
                    self.print(format_args!(" (after {})", Micros(*rtt_us)));
                }
            }
            Body::WsClose { code, code_name, reason, truncated } => {
                self.close(*code, code_name, reason);
                if *truncated {
                    self.styled(DIM, format_args!(" …"));
                }
            }
            Body::WsViolation { rule, reference, detail } => {
                self.styled(WRONG, format_args!("violation {}", rule.name()));
                self.print(format_args!(": "));
                self.untrusted(detail);
                self.styled(DIM, format_args!(" ({reference})"));
            }
            Body::Gap { bytes, cause } => {
                self.styled(NOTICE, format_args!("gap of {bytes} bytes ({})", cause.name()));
            }
            Body::NotWebsocket { looks_like, sni } => {
                self.styled(NOTICE, format_args!("not WebSocket: {}", looks_like.name()));
                if let Some(sni) = sni {
                    self.print(format_args!(" for "));
                    self.untrusted(sni);
                }
            }
            Body::TcpClose(close) => self.tcp_close(close),
            Body::Segment(segment) => self.segment(segment),
            Body::Dropped { events, bytes } => self.styled(
                WRONG,
                format_args!(" {events} events ({bytes} B) were dropped: this output was too slow"),
            ),
        }
    }

    fn headers(&mut self, headers: &[(&str, Cow<'_, str>)]) {
        for (name, value) in headers {
            self.begin(DIM);
            self.print(format_args!("\n    "));
            self.untrusted(name);
            self.print(format_args!(": "));
            self.untrusted(value);
            self.end(DIM);
        }
    }

    fn open(&mut self, open: &WsOpen<'_>) {
        self.print(format_args!("WebSocket open"));
        if open.joined == Joined::Midstream {
            self.print(format_args!(", joined midstream"));
        }
        for (label, value) in [
            (" ", open.path),
            (" on ", open.host),
            (", subprotocol ", open.subprotocol),
            (", ", open.extensions),
        ] {
            if let Some(value) = value {
                self.print(format_args!("{label}"));
                self.untrusted(value);
            }
        }
        if let Some(handshake_us) = open.handshake_us {
            self.print(format_args!(" ({})", Micros(handshake_us)));
        }
    }

    fn message(&mut self, message: &WsMessage<'_>) {
        self.text(message.opcode.name());
        self.text(" ");
        digits::push(message.len.unwrap_or(message.wire_len), self.buffer);
        self.text(if message.len.is_some() { " B" } else { " B on the wire" });
        if message.compressed && message.len.is_some() {
            self.styled(DIM, format_args!(" ({} deflated)", message.wire_len));
        }
        if message.frames > 1 {
            self.styled(DIM, format_args!(" in {} frames", message.frames));
        }
        self.payload(&message.payload, message.opcode);
        if message.truncated {
            let shown = message.payload.len() as u64;
            let rest = message.len.unwrap_or_default().saturating_sub(shown);
            self.styled(DIM, format_args!(" … {rest} B more"));
        }
        if message.missing > 0 {
            self.styled(NOTICE, format_args!(" ({} B were not captured)", message.missing));
        }
        if self.style.hex {
            match message.payload {
                Payload::Text(text) => hex::dump(text.as_bytes(), self.buffer),
                Payload::Data(data) => hex::dump(data, self.buffer),
                Payload::Undecoded(_) => {}
            }
        }
    }

    fn payload(&mut self, payload: &Payload<'_>, opcode: Opcode) {
        match payload {
            Payload::Undecoded(why) => {
                self.styled(NOTICE, format_args!("  not decoded: {}", why.name()));
            }
            _ if payload.is_empty() => {}
            Payload::Text(text) => {
                self.text("  ");
                self.untrusted(text);
            }
            Payload::Data(data) if opcode == Opcode::TEXT => {
                self.text("  ");
                self.untrusted(&String::from_utf8_lossy(data));
            }
            Payload::Data(_) if self.style.hex => {}
            Payload::Data(data) => {
                self.text("  ");
                hex::preview(data, self.buffer);
            }
        }
    }

    fn frame(&mut self, frame: &WsFrame) {
        let WsFrame { fin, rsv, opcode, masked, mask_key, len, offset } = frame;
        let fin = if *fin { ", fin" } else { "" };
        self.print(format_args!("frame {} {len} B at {offset}{fin}", opcode.name()));
        if *rsv != 0 {
            self.print(format_args!(", rsv {rsv:03b}"));
        }
        if let (true, Some(key)) = (masked, mask_key) {
            self.print(format_args!(", mask {:08x}", u32::from_be_bytes(*key)));
        }
    }

    fn control(&mut self, name: &str, control: &Control<'_>) {
        self.print(format_args!("{name}"));
        if control.len > 0 {
            self.print(format_args!(" {} B  ", control.len));
            self.untrusted(&String::from_utf8_lossy(control.data));
        }
    }

    fn close(&mut self, code: Option<u16>, name: &str, reason: &str) {
        match code {
            Some(code) => self.print(format_args!("close {code} {name}")),
            None => self.print(format_args!("close without code")),
        }
        if !reason.is_empty() {
            self.print(format_args!("  "));
            self.untrusted(reason);
        }
    }

    fn tcp_close(&mut self, end: &TcpClose) {
        let TcpClose { by, how, duration_ms, traffic, ws_close } = end;
        let by = by.map_or("", |by| match by {
            Sender::Client => " by the client",
            Sender::Server => " by the server",
        });
        let what = match how {
            How::Fin => "closed",
            How::Rst => "reset",
            How::Refused => "refused",
            How::Timeout => "given up: silent for too long",
            How::Replaced => "replaced by a new connection",
            How::Evicted => "given up: too many connections",
            How::Untraced => "left: its port is not traced any more",
        };
        self.print(format_args!("{what}{by} after {}", Millis(*duration_ms)));
        if let Some(code) = ws_close {
            self.print(format_args!(", {code} {}", close::name(*code)));
            let (sent, received) = (traffic.client_messages, traffic.server_messages);
            self.styled(DIM, format_args!(", messages: {sent} →, {received} ←"));
        }
    }

    /// As tcpdump(1) prints it: relative numbers, but with a SYN.
    fn segment(&mut self, segment: &SegmentInfo<'_>) {
        let SegmentInfo { flags, seq, raw_seq, ack, raw_ack, win, options, len } = segment;
        self.print(format_args!("Flags [{}]", FlagNames(*flags)));
        let is_syn = flags & tracer_common::packet::flags::SYN != 0;
        if is_syn {
            self.print(format_args!(", seq {raw_seq}"));
        } else if *len > 0 {
            self.print(format_args!(", seq {seq}:{}", seq.wrapping_add(*len)));
        } else if flags & !tracer_common::packet::flags::ACK != 0 {
            self.print(format_args!(", seq {seq}"));
        }
        if let Some(ack) = if is_syn { raw_ack } else { ack } {
            self.print(format_args!(", ack {ack}"));
        }
        self.print(format_args!(", win {win}"));
        if !options.is_empty() {
            self.print(format_args!(", options [{}]", Options(options)));
        }
        self.print(format_args!(", length {len}"));
    }
}

/// A duration in the unit that suits it.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us @ ..1000 => write!(f, "{us} µs"),
            us @ ..1_000_000 => write!(f, "{:.1} ms", us as f64 / 1e3),
            us => write!(f, "{:.1} s", us as f64 / 1e6),
        }
    }
}

/// A duration in the unit that suits it.
pub(super) struct Millis(pub(super) u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms @ ..1000 => write!(f, "{ms} ms"),
            ms @ ..60_000 => write!(f, "{:.1} s", ms as f64 / 1e3),
            ms => write!(f, "{} min {} s", ms / 60_000, ms / 1000 % 60),
        }
    }
}
