//! What can happen, with the fields of each event.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};

use crate::{
    tcp::assembler::Cause as AssemblerCause,
    ws::{
        frame::{Header, Opcode},
        message::Payload,
        receiver::Sender,
        rule::Rule,
    },
};

/// The fields of an event beyond the common ones.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Body<'a> {
    /// The run begins.
    Start(Start<'a>),
    /// SYN and SYN-ACK were seen.
    TcpOpen {
        /// From SYN to SYN-ACK, microseconds.
        rtt_us: u64,
    },
    /// A segment repeats bytes, and they differ from the first copy, which is the one that counts.
    TcpConflict {
        /// How many bytes it repeats.
        bytes: u64,
    },
    /// An HTTP request's head.
    HttpRequest {
        /// The method.
        method: &'a str,
        /// The request target, secrets masked.
        path: &'a str,
        /// The headers in order, secrets masked.
        headers: &'a [(&'a str, Cow<'a, str>)],
    },
    /// An HTTP response's head.
    HttpResponse {
        /// The status code.
        status: u16,
        /// The headers in order, secrets masked.
        headers: &'a [(&'a str, Cow<'a, str>)],
    },
    /// A WebSocket connection is open.
    WsOpen(WsOpen<'a>),
    /// A data message is complete.
    WsMessage(WsMessage<'a>),
    /// A frame begins.
    WsFrame(WsFrame),
    /// A ping.
    WsPing(Control<'a>),
    /// A pong.
    WsPong {
        /// Its payload.
        #[serde(flatten)]
        control: Control<'a>,
        /// Since the ping that it answers, microseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtt_us: Option<u64>,
    },
    /// A close frame.
    WsClose {
        /// The status code; absent where the frame was empty.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        /// What the code, or its absence, is called.
        code_name: &'static str,
        /// The reason; bytes that are not UTF-8 are replaced.
        reason: &'a str,
        /// `reason` is not all of it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
    },
    /// A rule of RFC 6455 or RFC 7692 is broken.
    WsViolation {
        /// Stable name of the rule.
        #[serde(serialize_with = "rule_name")]
        rule: Rule,
        /// The section that it is from.
        reference: &'static str,
        /// What was found.
        detail: &'a str,
    },
    /// Bytes of the stream are missing.
    Gap {
        /// How many.
        bytes: u64,
        /// Why.
        cause: GapCause,
    },
    /// The connection is something else.
    NotWebsocket {
        /// What it seems to be.
        looks_like: LooksLike,
        /// The server name that a TLS client asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        sni: Option<&'a str>,
    },
    /// The connection is over.
    TcpClose(TcpClose),
    /// A TCP segment, with `--segments`.
    Segment(SegmentInfo<'a>),
    /// Counters so far.
    Stats(Stats),
    /// Events that this output had no room for: it was too slow.
    Dropped {
        /// How many, of all kinds.
        events: u64,
        /// Their bytes, in this output's format.
        bytes: u64,
    },
}

/// The first event.
#[derive(Clone, Debug, Serialize)]
pub struct Start<'a> {
    /// [`super::SCHEMA_VERSION`].
    pub v: u32,
    /// Version of the tracer.
    pub version: &'a str,
    /// Name of this host; absent for a file.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub host: &'a str,
    /// Release of the running kernel; absent for a file.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub kernel: &'a str,
    /// `live`, or the capture file.
    pub source: &'a str,
    /// The network namespace, as `--netns` calls it; absent for our own, and for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<&'a str>,
    /// The interfaces traced; absent for a file.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub interfaces: &'a [String],
    /// The traced ports, as lists and ranges.
    pub ports: &'a str,
}

/// What is known when frames begin.
#[derive(Clone, Debug, Serialize)]
pub struct WsOpen<'a> {
    /// The request target, secrets masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// The `Host` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    /// The subprotocol that the server chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subprotocol: Option<&'a str>,
    /// The extensions that the server chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<&'a str>,
    /// Whether `Sec-WebSocket-Accept` answers the key, where both were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_valid: Option<bool>,
    /// Whether the handshake was seen.
    pub joined: Joined,
    /// From request to response, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_us: Option<u64>,
}

/// How the tracer came to a WebSocket connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Joined {
    /// It saw the handshake.
    Handshake,
    /// It came later.
    Midstream,
}

/// A data message.
#[derive(Clone, Debug, Serialize)]
pub struct WsMessage<'a> {
    /// `text`, `binary`, or `continuation` where the beginning was not captured.
    #[serde(serialize_with = "opcode_name")]
    pub opcode: Opcode,
    /// Length of the payload after inflation; absent where it could not be inflated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub len: Option<u64>,
    /// Length of its frames' payloads.
    pub wire_len: u64,
    /// How many frames it had.
    pub frames: u32,
    /// Whether permessage-deflate compressed it.
    pub compressed: bool,
    /// What is shown is not all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Bytes on the wire that were not captured.
    #[serde(skip_serializing_if = "is_zero")]
    pub missing: u64,
    /// `text`, `data` or `undecoded`: the output writes it, a megabyte in one go.
    #[serde(skip)]
    pub payload: Payload<'a>,
}

/// A frame's header.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WsFrame {
    /// The last frame of its message.
    pub fin: bool,
    /// The three reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub rsv: u8,
    /// What it is for.
    #[serde(serialize_with = "opcode_name")]
    pub opcode: Opcode,
    /// Whether the mask bit is set.
    pub masked: bool,
    /// The masking key in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "mask_key")]
    pub mask_key: Option<[u8; 4]>,
    /// Payload length.
    pub len: u64,
    /// Where in the sender's stream the header begins; the first byte after the SYN (or the first
    /// byte seen) is 0.
    pub offset: u64,
}

impl WsFrame {
    /// The frame that begins with `header` at `offset`.
    pub fn new(header: &Header, offset: u64) -> Self {
        let Header { fin, rsv, opcode, mask, len, header_len: _ } = *header;
        Self { fin, rsv, opcode, masked: mask.is_some(), mask_key: mask, len, offset }
    }
}

/// A ping's or pong's payload.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Control<'a> {
    /// Its length.
    pub len: u64,
    /// Its bytes in base64.
    #[serde(serialize_with = "base64")]
    pub data: &'a [u8],
    /// `data` is not all of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapCause {
    /// They were not captured.
    Lost,
    /// `--snaplen`, or the file's snap length, cut them off.
    Snaplen,
    /// They came before the first frame that the tracer could make out.
    Midstream,
}

impl GapCause {
    /// The name that events have.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Snaplen => "snaplen",
            Self::Midstream => "midstream",
        }
    }
}

impl From<AssemblerCause> for GapCause {
    fn from(cause: AssemblerCause) -> Self {
        match cause {
            AssemblerCause::Lost => Self::Lost,
            AssemblerCause::Snaplen => Self::Snaplen,
            // Where it is a gap: in a stream whose frames are not known any more.
            AssemblerCause::Elided => Self::Midstream,
        }
    }
}

/// What a connection that is no WebSocket seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LooksLike {
    /// Encrypted.
    Tls,
    /// HTTP, without an upgrade to WebSocket so far.
    Http,
    /// None of these.
    Unknown,
}

impl LooksLike {
    /// The name that events have.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Unknown => "unknown",
        }
    }
}

/// The end of a connection.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TcpClose {
    /// Who ended it: the first FIN's, or the RST's sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Sender>,
    /// How it ended.
    pub how: How,
    /// Since the first segment seen, milliseconds.
    pub duration_ms: u64,
    /// What went each way.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// The first close frame's code; 1005 when it had none, 1006 when no close frame was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ws_close: Option<u16>,
}

/// What went each way on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Data messages from the client.
    pub client_messages: u64,
    /// Data messages from the server.
    pub server_messages: u64,
    /// TCP payload bytes from the client.
    pub client_bytes: u64,
    /// TCP payload bytes from the server.
    pub server_bytes: u64,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// FIN both ways.
    Fin,
    /// RST.
    Rst,
    /// RST in answer to the SYN.
    Refused,
    /// Nothing was seen for too long.
    Timeout,
    /// A new connection has the same addresses and ports.
    Replaced,
    /// Too many connections: it was the one not seen for longest.
    Evicted,
    /// Its port is not traced any more.
    Untraced,
}

impl How {
    /// The name that events have.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Replaced => "replaced",
            Self::Evicted => "evicted",
            Self::Untraced => "untraced",
        }
    }
}

/// A TCP segment, numbers as tcpdump shows them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SegmentInfo<'a> {
    /// `S`, `S.`, `P.`, `.`, `F.`, `R` …
    #[serde(serialize_with = "flags")]
    pub flags: u16,
    /// Sequence number, relative to the initial one.
    pub seq: u32,
    /// The sequence number as it was on the wire.
    pub raw_seq: u32,
    /// Acknowledgment number, relative; absent without `ACK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack: Option<u32>,
    /// The acknowledgment number as it was on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_ack: Option<u32>,
    /// The window field, not scaled.
    pub win: u16,
    /// The options as text.
    #[serde(serialize_with = "options")]
    pub options: &'a [u8],
    /// Payload length.
    pub len: u32,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Segments of the traced ports that reached the decoder.
    pub segments: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Segments of the traced ports that did not, because the ring buffer was full.
    pub lost: u64,
    /// Payload bytes of those.
    pub lost_bytes: u64,
    /// Packets whose headers could not be parsed.
    pub unparsed: u64,
    /// IP fragments that carry no ports.
    pub fragments: u64,
    /// Segments that the kernel did not copy, because their connections are no WebSocket.
    pub bypassed: u64,
    /// Payload bytes of those.
    pub bypassed_bytes: u64,
    /// Payload bytes of long messages and HTTP bodies that the kernel did not copy, because they are
    /// not shown.
    pub elided_bytes: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections now open.
    pub flows: u64,
    /// Data messages.
    pub messages: u64,
    /// Broken rules.
    pub violations: u64,
    /// Gaps in streams.
    pub gaps: u64,
    /// SYNs that were not answered yet and made room for others.
    pub forgotten_syns: u64,
    /// Events that outputs had no room for, all outputs together.
    pub dropped: u64,
}

impl Body<'_> {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::TcpOpen { .. } => "tcp.open",
            Self::TcpConflict { .. } => "tcp.conflict",
            Self::HttpRequest { .. } => "http.request",
            Self::HttpResponse { .. } => "http.response",
            Self::WsOpen(_) => "ws.open",
            Self::WsMessage(_) => "ws.message",
            Self::WsFrame(_) => "ws.frame",
            Self::WsPing(_) => "ws.ping",
            Self::WsPong { .. } => "ws.pong",
            Self::WsClose { .. } => "ws.close",
            Self::WsViolation { .. } => "ws.violation",
            Self::Gap { .. } => "gap",
            Self::NotWebsocket { .. } => "not_websocket",
            Self::TcpClose(_) => "tcp.close",
            Self::Segment(_) => "segment",
            Self::Stats(_) => "stats",
            Self::Dropped { .. } => "dropped",
        }
    }
}

/// TCP flags as tcpdump writes them: `S`, `.` for ACK …, or `none`.
pub struct FlagNames(pub u16);

impl fmt::Display for FlagNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: &str = "FSRP.UEWe";
        let Self(flags) = self;
        if flags & ((1 << NAMES.len()) - 1) == 0 {
            return f.write_str("none");
        }
        let is_set = |(bit, _): &(usize, char)| flags >> bit & 1 != 0;
        NAMES.chars().enumerate().filter(is_set).try_for_each(|(_, name)| f.write_char(name))
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

fn opcode_name<S: Serializer>(opcode: &Opcode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(opcode.name())
}

fn rule_name<S: Serializer>(rule: &Rule, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(rule.name())
}

fn flags<S: Serializer>(flags: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&FlagNames(*flags))
}

fn options<S: Serializer>(options: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&crate::tcp::options::Options(options))
}

fn base64<S: Serializer>(data: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(data, &STANDARD))
}

fn mask_key<S: Serializer>(key: &Option<[u8; 4]>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:08x}", u32::from_be_bytes(key.unwrap_or_default())))
}
