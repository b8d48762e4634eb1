//! What two peers say: the bytes of a connection's two directions, cut where frames begin.

use crate::{encode, random::Random};

/// The example key of RFC 6455 section 1.3, and the accept value that goes with it.
const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: 127.0.0.1:7272\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;

/// How peers behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// Long binary messages mostly, whole or in fragments, and text and pings between.
    Good,
    /// They compress some messages, too.
    Compressing,
    /// Now and then they break a rule.
    Bad,
}

/// What one side sends, frame by frame; the handshake is the first.
pub(crate) fn frames(
    is_client: bool,
    manners: Manners,
    limit: usize,
    random: &mut Random,
) -> Vec<Vec<u8>> {
    let mut talker = Talker { is_client, limit, random, frames: Vec::new() };
    talker.hello(manners == Manners::Compressing);
    for _ in 0..4 + talker.random.below(12) {
        match (manners, talker.random.below(10)) {
            (Manners::Bad, 0..4) => talker.misbehave(),
            (Manners::Compressing, 0..4) => talker.message(TEXT | RSV1),
            (_, 0..6) => talker.message(BINARY),
            (_, 6..8) => talker.message(TEXT),
            _ => talker.frame(FIN | PING, 20),
        }
    }
    if talker.random.below(2) == 0 {
        talker.push(FIN | CLOSE, &1000_u16.to_be_bytes());
    }
    talker.frames
}

struct Talker<'r> {
    is_client: bool,
    limit: usize,
    random: &'r mut Random,
    frames: Vec<Vec<u8>>,
}

impl Talker<'_> {
    fn hello(&mut self, compresses: bool) {
        let head = if self.is_client { REQUEST } else { RESPONSE };
        let extension = if compresses { DEFLATE } else { "" };
        self.frames.push(format!("{head}{extension}\r\n").into_bytes());
    }

    /// A message in one frame or in some, with pings between.
    fn message(&mut self, first: u8) {
        let mut opcode = first;
        for _ in 0..self.random.below(8).saturating_sub(4) {
            let len = self.len();
            self.frame(opcode, len);
            opcode = CONTINUATION;
            if self.random.below(2) == 0 {
                self.frame(FIN | PING, 5);
            }
        }
        let len = self.len();
        self.frame(FIN | opcode, len);
    }

    /// Below and around what is shown, and far above.
    fn len(&mut self) -> usize {
        let Self { limit, random, .. } = self;
        let spread = random.below(12) as usize;
        match random.below(8) {
            0 => 0,
            1 => spread * 10,
            2 => (*limit + spread).saturating_sub(6),
            3 => *limit + 4090 + spread,
            _ => *limit + 4096 + random.below(150_000) as usize,
        }
    }

    fn frame(&mut self, first: u8, len: usize) {
        let payload = match first & 0xf {
            TEXT if first & RSV1 == 0 => "aé✓🙂 ".bytes().cycle().take(len).collect(),
            _ if self.random.below(3) == 0 => self.lookalike(len),
            _ => self.random.bytes(len),
        };
        self.push(first, &payload);
    }

    /// A payload that is full of what looks like the beginning of a long message; unmasked at least.
    fn lookalike(&mut self, len: usize) -> Vec<u8> {
        let length = (self.limit as u16).saturating_add(4096 + self.random.below(9) as u16);
        let header = [&[FIN | BINARY, 126][..], &length.to_be_bytes()].concat();
        header.into_iter().cycle().take(len).collect()
    }

    fn misbehave(&mut self) {
        let (len, kind) = (self.len(), self.random.below(9));
        match kind {
            0 => self.frame(FIN | CONTINUATION, len),
            1 => self.frame(BINARY, len),
            2 => self.frame(TEXT, len),
            3 => self.frame(FIN | BINARY | RSV1, len),
            4 => self.frame(FIN | 3, len),
            5 => self.frame(FIN | PING, len),
            6 => self.frame(FIN | CLOSE, 1),
            7 => {
                let not_text = self.random.bytes(len);
                self.push(FIN | TEXT, &not_text);
            }
            _ => {
                self.is_client = !self.is_client;
                self.frame(FIN | BINARY, len);
                self.is_client = !self.is_client;
            }
        }
    }

    fn push(&mut self, first: u8, payload: &[u8]) {
        // A key of zeroes leaves a payload that looks like frames as it is.
        let key = match self.random.below(2) {
            0 => [0; 4],
            _ => (self.random.next() as u32).to_be_bytes(),
        };
        self.frames.push(encode::frame(first, self.is_client.then_some(key), payload));
    }
}
