//! WebSocket as it goes over the wire, made and read by hand so that it costs next to nothing:
//! frames (RFC 6455 section 5.2) and the opening handshake (section 4).

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Context as _, Result, bail, ensure};
use tungstenite::handshake::derive_accept_key;

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
const FIN: u8 = 0x80;
/// Marks a compressed message (RFC 7692 section 6).
const RSV1: u8 = 0x40;

/// A masking key is to be unpredictable; here it is to be cheap.
const MASK: [u8; 4] = [0x9d, 0x3c, 0x52, 0xe7];

/// Any 16 bytes in base64.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A handshake longer than this is none.
const LONGEST_HEAD: usize = 4096;

/// The first byte of a message in one frame.
pub(super) fn first_byte(opcode: u8, compressed: bool) -> u8 {
    FIN | opcode | if compressed { RSV1 } else { 0 }
}

/// A frame as clients send it.
pub(super) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_header(&mut frame, first, payload.len(), true);
    frame.extend_from_slice(&MASK);
    let begin = frame.len();
    frame.extend_from_slice(payload);
    mask(&mut frame[begin..], MASK);
    frame
}

/// Appends a frame as servers send it.
pub(super) fn push_unmasked(frame: &mut Vec<u8>, first: u8, payload: &[u8]) {
    push_header(frame, first, payload.len(), false);
    frame.extend_from_slice(payload);
}

fn push_header(frame: &mut Vec<u8>, first: u8, length: usize, is_masked: bool) {
    let bit = if is_masked { 0x80 } else { 0 };
    frame.push(first);
    if let Ok(length @ ..126) = u8::try_from(length) {
        frame.push(bit | length);
    } else if let Ok(length) = u16::try_from(length) {
        frame.push(bit | 126);
        frame.extend_from_slice(&length.to_be_bytes());
    } else {
        frame.push(bit | 127);
        frame.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// Masks or unmasks.
fn mask(payload: &mut [u8], key: [u8; 4]) {
    let wide = u64::from(u32::from_ne_bytes(key));
    let wide = wide | wide << 32;
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// What a frame begins with.
#[derive(Clone, Copy)]
struct Header {
    first: u8,
    key: Option<[u8; 4]>,
    length: u64,
    /// Bytes of the header itself.
    size: usize,
}

impl Header {
    /// `None` while bytes are missing.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (length, extended) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
            short => (u64::from(short), 0),
        };
        let is_masked = second & 0x80 != 0;
        let key = if is_masked { Some(*rest.get(extended..)?.first_chunk()?) } else { None };
        let size = 2 + extended + if is_masked { 4 } else { 0 };
        Some(Self { first: *first, key, length, size })
    }
}

/// Reads frames that are small: payloads come out whole and unmasked.
#[derive(Default)]
pub(super) struct Reader {
    /// A frame that has not come in full.
    pending: Vec<u8>,
}

impl Reader {
    /// Gives first byte and payload of each frame that is complete now.
    pub(super) fn read(&mut self, input: &mut [u8], mut take: impl FnMut(u8, &[u8])) {
        if self.pending.is_empty() {
            let done = frames(input, &mut take);
            self.pending.extend_from_slice(&input[done..]);
        } else {
            self.pending.extend_from_slice(input);
            let done = frames(&mut self.pending, &mut take);
            self.pending.drain(..done);
        }
    }
}

/// How many bytes complete frames took.
fn frames(bytes: &mut [u8], take: &mut impl FnMut(u8, &[u8])) -> usize {
    let mut done = 0;
    while let Some(header) = Header::parse(&bytes[done..]) {
        let begin = done + header.size;
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let Some(payload) = bytes[begin..].get_mut(..length) else { break };
        if let Some(key) = header.key {
            mask(payload, key);
        }
        take(header.first, payload);
        done = begin + length;
    }
    done
}

/// Counts frames that are large: payloads are passed over.
#[derive(Default)]
pub(super) struct Skimmer {
    /// A header that has not come in full.
    header: Vec<u8>,
    /// What it says, once it has.
    frame: Option<Header>,
    /// Bytes of the payload that are yet to come.
    left: u64,
}

impl Skimmer {
    /// Gives opcode and length of each frame that is complete now.
    pub(super) fn skim(&mut self, mut input: &[u8], mut take: impl FnMut(u8, u64)) {
        loop {
            if self.frame.is_none() && !self.begin(&mut input) {
                return;
            }
            let Some(frame) = self.frame else { return };
            let passed = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
            self.left -= passed as u64;
            input = &input[passed..];
            if self.left > 0 {
                return;
            }
            self.frame = None;
            take(frame.first & 0x0f, frame.length);
        }
    }

    /// Whether a header has come in full.
    fn begin(&mut self, input: &mut &[u8]) -> bool {
        let known = self.header.len();
        let frame = if known == 0 {
            Header::parse(input)
        } else {
            self.header.extend_from_slice(input);
            Header::parse(&self.header)
        };
        let Some(frame) = frame else {
            if known == 0 {
                self.header.extend_from_slice(input);
            }
            return false;
        };
        *input = &input[frame.size - known..];
        self.header.clear();
        self.frame = Some(frame);
        self.left = frame.length;
        true
    }
}

/// The client's side of the opening handshake.
pub(super) fn open(stream: &mut TcpStream, port: u16, compressed: bool) -> Result<()> {
    stream.write_all(request(port, compressed).as_bytes())?;
    let head = head(stream)?;
    let accept = format!("Sec-WebSocket-Accept: {}\r\n", derive_accept_key(KEY.as_bytes()));
    ensure!(head.starts_with("HTTP/1.1 101 ") && head.contains(&accept), "not upgraded: {head}");
    Ok(())
}

/// The server's side.
pub(super) fn accept(stream: &mut TcpStream, compressed: bool) -> Result<()> {
    let head = head(stream)?;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let response = response(key.context("a request without a key")?, compressed);
    Ok(stream.write_all(response.as_bytes())?)
}

fn request(port: u16, compressed: bool) -> String {
    let extension = extension(compressed);
    format!(
        "GET /chat HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\
         {extension}\r\n"
    )
}

fn response(key: &str, compressed: bool) -> String {
    let accept = derive_accept_key(key.as_bytes());
    let extension = extension(compressed);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{extension}\r\n"
    )
}

/// What both sides say to each other first.
pub(super) fn handshake(port: u16) -> (String, String) {
    (request(port, false), response(KEY, false))
}

fn extension(compressed: bool) -> &'static str {
    if compressed { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" }
}

/// Nothing follows a head until it was answered, so that no byte beyond it can be read.
fn head(stream: &mut TcpStream) -> Result<String> {
    let mut head = Vec::new();
    let mut buffer = [0; LONGEST_HEAD];
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        if count == 0 || head.len() > LONGEST_HEAD {
            bail!("the handshake does not end");
        }
        head.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(head).context("the handshake is not text")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths at and around where their form changes.
    const LENGTHS: [usize; 7] = [0, 1, 125, 126, 65_535, 65_536, 70_003];

    fn payload(length: usize) -> Vec<u8> {
        (0..length).map(|n| n as u8).collect()
    }

    #[test]
    fn what_is_masked_is_read_in_any_pieces() {
        let wire: Vec<u8> =
            LENGTHS.iter().flat_map(|&length| masked(0x81, &payload(length))).collect();
        for piece in [1, 3, 7, 1000, wire.len()] {
            let mut reader = Reader::default();
            let mut seen = Vec::new();
            for bytes in wire.chunks(piece) {
                reader.read(&mut bytes.to_vec(), |first, payload| {
                    seen.push((first, payload.to_vec()));
                });
            }
            assert_eq!(seen, LENGTHS.map(|length| (0x81, payload(length))), "{piece}");
        }
    }

    #[test]
    fn what_is_skimmed_is_counted_in_any_pieces() {
        let mut wire = Vec::new();
        for length in LENGTHS {
            push_unmasked(&mut wire, first_byte(BINARY, false), &payload(length));
        }
        for piece in [1, 3, 7, 1000, wire.len()] {
            let mut skimmer = Skimmer::default();
            let mut seen = Vec::new();
            for bytes in wire.chunks(piece) {
                skimmer.skim(bytes, |opcode, length| seen.push((opcode, length as usize)));
            }
            assert_eq!(seen, LENGTHS.map(|length| (BINARY, length)), "{piece}");
        }
    }
}
