//! Conversations made by hand: what the messages are like, and how they lie in segments, comes in;
//! the packets of a whole connection come out, and what was sent over it.

use std::fmt;

use tracer::{segment::Endpoint, ws::receiver::Sender};
use tracer_common::packet::flags::{ACK, FIN, PSH, SYN};

use crate::{
    deflater::Deflater,
    encode,
    packet::{PORT, Packet},
    random::Random,
};

/// Payload of the largest segments.
const MSS: usize = 1460;

/// What payloads are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// Text, some of it beyond ASCII.
    Text,
    /// Compressed text, each direction's messages referring to earlier ones.
    Compressed,
    /// Compressed text, each message on its own.
    CompressedAlone,
    /// Records of small numbers and names, many bytes zero.
    Records,
    /// Random bytes.
    Random,
}

/// How frames lie in segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layout {
    /// Each frame begins a segment.
    Alone,
    /// Some frames in a row are written at once.
    Coalesced,
    /// Segments begin anywhere in frames: something between re-cuts the stream.
    Anywhere,
}

/// How long messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Tiny,
    Medium,
    Large,
    /// One message each way.
    Huge,
}

impl Content {
    pub(crate) const ALL: [Self; 5] =
        [Self::Text, Self::Compressed, Self::CompressedAlone, Self::Records, Self::Random];

    fn is_compressed(self) -> bool {
        matches!(self, Self::Compressed | Self::CompressedAlone)
    }

    fn is_text(self) -> bool {
        self == Self::Text || self.is_compressed()
    }

    fn payload(self, len: usize, random: &mut Random) -> Vec<u8> {
        match self {
            Self::Random => random.bytes(len),
            Self::Records => records(len, random),
            _ => text(len, random).into_bytes(),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Compressed => "compressed, context takeover",
            Self::CompressedAlone => "compressed, no context takeover",
            Self::Records => "binary records",
            Self::Random => "random bytes",
        })
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone => "frames begin segments",
            Self::Coalesced => "frames in a row",
            Self::Anywhere => "segments begin anywhere",
        })
    }
}

impl Layout {
    pub(crate) const ALL: [Self; 3] = [Self::Alone, Self::Coalesced, Self::Anywhere];
}

impl Size {
    pub(crate) const USUAL: [Self; 3] = [Self::Tiny, Self::Medium, Self::Large];

    fn draw(self, random: &mut Random) -> usize {
        let (from, to) = match self {
            Self::Tiny => (0, 30),
            Self::Medium => (20, 900),
            Self::Large if random.below(20) == 0 => (60_000, 150_000),
            Self::Large => (1000, 20_000),
            Self::Huge => (600_000, 900_000),
        };
        (from + random.below(to - from)) as usize
    }

    fn messages(self) -> usize {
        match self {
            Self::Tiny => 240,
            Self::Medium => 160,
            Self::Large => 50,
            Self::Huge => 1,
        }
    }
}

fn text(len: usize, random: &mut Random) -> String {
    const WORDS: [&str; 12] = [
        r#"{"type":"say","#,
        r#""uid":"#,
        r#""content":""#,
        "hola a todos",
        "señor",
        "猪猪",
        "👩‍👧",
        "}",
        "login, ",
        "\n",
        "Größe ",
        "the quick brown fox ",
    ];
    let mut text = String::new();
    while text.len() < len {
        match random.below(4) {
            0 => text += &random.below(1 << 30).to_string(),
            _ => text += WORDS[random.below(12) as usize],
        }
    }
    text.truncate(text.floor_char_boundary(len));
    text
}

fn records(len: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        bytes.extend((random.below(300) as u32).to_be_bytes());
        bytes.extend((random.below(1 << 20)).to_le_bytes());
        bytes.extend([0; 3]);
        bytes.extend(b"\x08name\x12\x04pos\0");
    }
    bytes.truncate(len);
    bytes
}

/// A whole conversation.
pub(crate) struct Talk {
    pub(crate) packets: Vec<Packet>,
    /// Opcode and payload of every message, ping and pong that client and server sent.
    pub(crate) sent: [Vec<(u8, Vec<u8>)>; 2],
    pub(crate) client: Endpoint,
}

/// Makes a conversation, the same ones for the same numbers.
pub(crate) fn talk(content: Content, layout: Layout, size: Size, random: &mut Random) -> Talk {
    let peer = || Peer::new(content);
    let mut maker = Maker { content, layout, wire: Wire::new(), peers: [peer(), peer()] };
    maker.wire.handshake(content);
    let mut left = [size.messages(); 2];
    while left != [0, 0] {
        let from = if random.below(2) == 0 { Sender::Client } else { Sender::Server };
        let burst = left[from as usize].min(random.below(6) as usize + 1);
        left[from as usize] -= burst;
        let frames: Vec<_> = (0..burst).flat_map(|_| maker.message(from, size, random)).collect();
        maker.write(from, &frames, random);
    }
    for from in [Sender::Client, Sender::Server] {
        maker.flush(from);
        maker.wire.push(from, FIN | ACK, &[]);
    }
    let Maker { wire, peers: [client, server], .. } = maker;
    Talk { packets: wire.packets, sent: [client.sent, server.sent], client: wire.ends[0] }
}

/// What one side has sent, and how.
struct Peer {
    deflater: Option<Deflater>,
    sent: Vec<(u8, Vec<u8>)>,
    /// Written, but not in a segment yet.
    pending: Vec<u8>,
}

impl Peer {
    fn new(content: Content) -> Self {
        let deflater =
            content.is_compressed().then(|| Deflater::new(content == Content::Compressed, 15));
        Self { deflater, sent: Vec::new(), pending: Vec::new() }
    }
}

fn random_key(random: &mut Random) -> [u8; 4] {
    (random.next() as u32).to_be_bytes()
}

struct Maker {
    content: Content,
    layout: Layout,
    wire: Wire,
    peers: [Peer; 2],
}

impl Maker {
    /// A message's frames, now and then with a ping before them.
    fn message(&mut self, from: Sender, size: Size, random: &mut Random) -> Vec<Vec<u8>> {
        let content = self.content;
        let peer = &mut self.peers[from as usize];
        let mut frames = Vec::new();
        if random.below(40) == 0 {
            let payload = random.bytes(4);
            frames.push(frame(from, 0x89, &payload, random));
            peer.sent.push((9, payload));
        }
        let len = size.draw(random);
        let payload = content.payload(len, random);
        let opcode = if content.is_text() { 1 } else { 2 };
        let wire = match &mut peer.deflater {
            // What an empty message is compressed to (RFC 7692 section 7.2.3.6).
            Some(_) if payload.is_empty() => vec![0],
            Some(deflater) => deflater.message(&payload),
            None => payload.clone(),
        };
        let rsv1 = if peer.deflater.is_some() { 0x40 } else { 0 };
        peer.sent.push((opcode, payload));
        if random.below(20) > 0 {
            frames.push(frame(from, 0x80 | rsv1 | opcode, &wire, random));
            return frames;
        }
        let (first, last) = wire.split_at(random.below(wire.len() as u64 + 1) as usize);
        frames.push(frame(from, rsv1 | opcode, first, random));
        frames.push(frame(from, 0x80, last, random));
        frames
    }

    /// Puts frames that are written at once into segments.
    fn write(&mut self, from: Sender, frames: &[Vec<u8>], random: &mut Random) {
        match self.layout {
            Layout::Alone => frames.iter().for_each(|frame| self.wire.send(from, frame)),
            Layout::Coalesced => self.wire.send(from, &frames.concat()),
            Layout::Anywhere => {
                self.peers[from as usize].pending.extend(frames.concat());
                loop {
                    let pending = &mut self.peers[from as usize].pending;
                    let len = 200 + random.below(MSS as u64 - 200) as usize;
                    if pending.len() < len {
                        break;
                    }
                    let segment: Vec<_> = pending.drain(..len).collect();
                    self.wire.send(from, &segment);
                }
            }
        }
    }

    fn flush(&mut self, from: Sender) {
        let pending = std::mem::take(&mut self.peers[from as usize].pending);
        if !pending.is_empty() {
            self.wire.send(from, &pending);
        }
    }
}

/// A frame; the client's are masked (RFC 6455 section 5.3).
fn frame(from: Sender, first: u8, payload: &[u8], random: &mut Random) -> Vec<u8> {
    let key = (from == Sender::Client).then(|| random_key(random));
    encode::frame(first, key, payload)
}

/// A TCP connection.
struct Wire {
    packets: Vec<Packet>,
    ends: [Endpoint; 2],
    seqs: [u32; 2],
}

impl Wire {
    fn new() -> Self {
        let end = |port| Endpoint::from(std::net::SocketAddr::from(([192, 0, 2, 1], port)));
        // The server's stream wraps around.
        Self { packets: Vec::new(), ends: [end(50_000), end(PORT)], seqs: [7, u32::MAX - 9999] }
    }

    fn handshake(&mut self, content: Content) {
        let extension = match content {
            Content::Compressed => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            Content::CompressedAlone => {
                "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
                 server_no_context_takeover\r\n"
            }
            _ => "",
        };
        self.push(Sender::Client, SYN, &[]);
        self.push(Sender::Server, SYN | ACK, &[]);
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             {extension}\r\n"
        );
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{extension}\r\n"
        );
        self.send(Sender::Client, request.as_bytes());
        self.send(Sender::Server, response.as_bytes());
    }

    fn send(&mut self, from: Sender, bytes: &[u8]) {
        bytes.chunks(MSS).for_each(|payload| self.push(from, ACK | PSH, payload));
    }

    /// Packets are 1 ms apart.
    fn push(&mut self, from: Sender, flags: u16, payload: &[u8]) {
        let (own, other) = (from as usize, from.other() as usize);
        self.packets.push(Packet {
            time: self.packets.len() as u64 * 1_000_000,
            source: self.ends[own],
            destination: self.ends[other],
            seq: self.seqs[own],
            ack: self.seqs[other],
            flags,
            payload: payload.into(),
            captured: payload.len(),
        });
        // SYN and FIN take a sequence number each (RFC 9293 section 3.4).
        let taken = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.seqs[own] = self.seqs[own].wrapping_add(taken);
    }
}
