//! Writes the seed corpus: from the captures that the tests have, and a few inputs by hand. Run it
//! with `cargo run --example seeds` in this folder; what it writes is committed, so that fuzzing
//! needs nothing else.

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use tracer::{
    capture::file::Reader,
    segment::{Endpoint, Segment},
    ws::mask,
};
use tracer_common::packet::flags::{FIN, RST, SYN};
use tracer_fuzz::wire::{CONNECTIONS, Head, PORT, kind};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes taken of a capture as it is.
const FILE_LEN: usize = 6 * 1024;
/// Bytes of a session's instructions.
const SESSION_LEN: usize = 12 * 1024;
/// Bytes of one direction's frames, and of an HTTP head with what follows.
const STREAM_LEN: usize = 4 * 1024;
/// The captures that are read, by stem; small parts of them are enough.
const CAPTURES: [&str; 8] = [
    "http-plain",
    "pyws-chromium",
    "socketio",
    "ws-closecodes",
    "ws-coalesced",
    "ws-deflate-no-takeover",
    "ws-deflate-takeover",
    "ws-tls",
];

fn main() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = Seeds(here.join("seeds"));
    for name in CAPTURES {
        let bytes =
            fs::read(here.join("../tracer/tests/captures").join(name).with_extension("pcap"))?;
        seeds.write("file", name, &bytes[..bytes.len().min(FILE_LEN)])?;
        seeds.capture(name, &bytes)?;
    }
    let pcapng = fs::read(here.join("../tracer/tests/captures/ws-plain.pcapng"))?;
    seeds.write("file", "pcapng", &pcapng[..FILE_LEN])?;
    seeds.by_hand()
}

/// The folder of seeds.
struct Seeds(std::path::PathBuf);

impl Seeds {
    fn write(&self, target: &str, name: &str, bytes: &[u8]) -> Result<()> {
        let folder = self.0.join(target);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(name), bytes)?)
    }

    /// A capture as instructions for the session, and its first connection's streams.
    fn capture(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut reader = Reader::new(bytes)?;
        let (mut session, mut streams) = (Session::default(), [Vec::new(), Vec::new()]);
        let mut first = None;
        while let Some(packet) = reader.next_packet()? {
            if first.is_none() {
                self.write("record", name, &[&[0, 0], packet.bytes].concat())?;
            }
            let Ok(segment) = packet.segment() else { continue };
            session.push(&segment);
            let (side, client) = sides(&segment);
            if *first.get_or_insert(client) == client && streams[side].len() < STREAM_LEN {
                streams[side].extend_from_slice(segment.payload);
            }
        }
        self.write("session", name, &session.finish())?;
        self.streams(name, &streams)
    }

    /// HTTP heads, and the frames that come after them.
    fn streams(&self, name: &str, streams: &[Vec<u8>; 2]) -> Result<()> {
        for (side, stream) in streams.iter().enumerate() {
            let name = format!("{name}-{}", ["client", "server"][side]);
            let stream = &stream[..stream.len().min(STREAM_LEN)];
            let Some(end) = stream.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                continue;
            };
            let places = [1, 0, 40];
            self.write("http", &name, &[&[side as u8], &places[..], stream].concat())?;
            let compression =
                if name.contains("deflate") || name.contains("chromium") { 4 } else { 0 };
            let no_takeover = if name.contains("no-takeover") { 8 } else { 0 };
            let setup = side as u8 | compression | no_takeover | 7 << 5;
            let cuts = [0, 2, 2, 0, 20, 1, 0];
            let frames = &stream[end + 4..];
            self.write("frame", &name, &[&[setup], &cuts[..], frames].concat())?;
            if compression != 0 {
                self.deflate(&name, no_takeover >> 2 | 7 << 5, frames)?;
            }
        }
        Ok(())
    }

    /// The compressed messages among frames.
    fn deflate(&self, name: &str, setup: u8, mut frames: &[u8]) -> Result<()> {
        let mut messages = vec![setup, 1, 0, 3];
        while let Some(header) = tracer::ws::frame::Header::parse(frames) {
            let rest = &frames[usize::from(header.header_len)..];
            let len = usize::try_from(header.len)?;
            let Some((payload, after)) = rest.split_at_checked(len) else { break };
            if header.rsv == tracer::ws::frame::Header::RSV1 {
                let mut room = Vec::new();
                let payload =
                    mask::unmask(payload, header.mask.unwrap_or_default(), 0, &mut room);
                messages.extend(u16::try_from(len)?.to_be_bytes());
                messages.extend(payload);
            }
            frames = after;
        }
        self.write("deflate", name, &messages)
    }

    fn by_hand(&self) -> Result<()> {
        let rules = b"\x89\x00\x01\x03abc\x80\x02de\x8a\x02hi\x88\x02\x03\xe8\x81\x05after";
        self.write("frame", "rules", &[&b"\x01\0\0\0"[..], rules].concat())?;
        let huge = b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffabc";
        self.write("frame", "huge-length", &[&b"\x01\0\0\0"[..], huge].concat())?;
        let missing =
            b"\x01\0\x02\x02\0\x04\0\x08\x81\x0aabcdefghij\x81\x02hi\x81\x02ho\x81\x03abc";
        self.write("frame", "gap", missing)?;
        let hello =
            b"\xe0\x01\x00\x03\x00\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x05\xf2\x00\x11\x00\x00";
        self.write("deflate", "rfc7692", hello)?;
        let round_trip = b"\xe1\x06\x5f\x00\x0ahola a tod\x20\x00\x04text\x00\x00\x04more";
        self.write("deflate", "round-trip", round_trip)?;
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        self.write("http", "chunked", &[&[1, 2, 0, 40, 0, 60], &chunked[..]].concat())?;
        let path = "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes();
        self.write("http", "beyond-ascii", &[&[0, 1, 0, 20], path].concat())?;
        let query = b"GET /?a=1;token=2&token=3 HTTP/1.1\r\nAuthorization: Basic eA==\r\n\r\n";
        self.write("http", "secrets", &[&[0, 0], &query[..]].concat())?;
        let offer = b"permessage-deflate; client_max_window_bits, x\n\
            permessage-deflate; server_max_window_bits=\"9\"; client_no_context_takeover";
        self.write("http", "extensions", &[&[0, 0], &offer[..]].concat())?;
        let segments = b"\0\0\0\0\x07\x00\x03\x02de\x00\0\x03abc\x40\xff\x02xy\x05\x0a\x80\x00\x40\x03end\x0c\x7f\x0e\0";
        self.write("tcp", "reordered", segments)?;
        self.write("tcp", "anywhere", b"\x01\x0b\0\0\0\x10a\x0b\x80\0\0\0b\x01\0\0\0\0")?;
        self.write("session", "flood", &[0xf0, kind::FLOOD, 3, 255, kind::TIME, 1, 0])?;
        let comb = [kind::COMB, b'x', 30, 0];
        let others = [2, 4].map(|connection| [kind::COMB | connection, b'x', 30, 0]);
        let comb = [&[0xf0], &comb[..], &others.concat()].concat();
        self.write("session", "comb", &comb)
    }
}

/// Which side sent a segment, and who the client is.
fn sides(segment: &Segment<'_>) -> (usize, Endpoint) {
    if segment.source.port == PORT { (1, segment.destination) } else { (0, segment.source) }
}

/// Instructions for [`tracer_fuzz::wire::Wire`] that send what a capture has.
#[derive(Default)]
struct Session {
    bytes: Vec<u8>,
    /// Numbers of the clients, and how far the wire's sequence numbers are from theirs.
    clients: BTreeMap<Endpoint, (u8, [Option<u32>; 2])>,
}

impl Session {
    fn push(&mut self, segment: &Segment<'_>) {
        let (side, client) = sides(segment);
        let number = self.clients.len();
        // Two of the first clients, so that both sides of each are all there.
        if number >= CONNECTIONS / 2 && !self.clients.contains_key(&client) {
            return;
        }
        if segment.payload.is_empty() && !segment.has(SYN) && !segment.has(FIN) && !segment.has(RST)
        {
            return;
        }
        let (number, next) = self.clients.entry(client).or_insert((number as u8, [None; 2]));
        let expected = *next[side].get_or_insert(segment.seq);
        let distance = segment.seq.wrapping_sub(expected) as i32;
        let Ok(distance) = i16::try_from(distance) else { return };
        let payload = &segment.payload[..segment.payload.len().min(2000)];
        let elsewhere = if distance == 0 { 0 } else { Head::ELSEWHERE };
        let head = kind::SEGMENT | side as u8 | *number << Head::CONNECTION_SHIFT | elsewhere;
        self.bytes.extend([head, (segment.flags & 0xff) as u8]);
        if distance != 0 {
            self.bytes.extend(distance.to_be_bytes());
        }
        self.bytes.extend((payload.len() as u16).to_be_bytes());
        self.bytes.extend(payload);
        let control = u32::from(segment.has(SYN)) + u32::from(segment.has(FIN));
        let end = segment.seq.wrapping_add(segment.payload.len() as u32).wrapping_add(control);
        if end.wrapping_sub(expected) < 1 << 31 {
            next[side] = Some(end);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(SESSION_LEN);
        // Everything is shown.
        [vec![3], self.bytes].concat()
    }
}
