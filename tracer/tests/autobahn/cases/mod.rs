//! The cases of the Autobahn test suite as data: what its tester, the client, puts on the wire, how
//! a conforming echo server answers, what an observer has to show of both, and which rules the
//! client breaks. A family of cases is a module; their numbers are Autobahn's.

pub(crate) mod closing;
pub(crate) mod compression;
pub(crate) mod corpus;
pub(crate) mod deflater;
pub(crate) mod fragmentation;
pub(crate) mod framing;
pub(crate) mod limits;
pub(crate) mod pings;
pub(crate) mod reserved;
pub(crate) mod utf8;
pub(crate) mod utf8_sequences;

use tracer::ws::rule::Rule;

use crate::{
    frame::{Frame, close},
    observed::{Conversation, Item},
};

/// Who is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Client,
    Server,
}

/// How the bytes of some frames are cut into writes.
#[derive(Clone, Copy)]
pub(crate) enum Chops {
    /// Not at all.
    Together,
    /// Between frames.
    ByFrame,
    /// Every so many bytes.
    Of(usize),
}

/// One peer writes, while the other one reads. Only then comes the next step, so that both runs
/// have the same bytes in the same order, and no reset overtakes them.
pub(crate) struct Step {
    pub(crate) by: Peer,
    pub(crate) writes: Vec<Vec<u8>>,
}

/// One connection from upgrade to close.
pub(crate) struct Case {
    /// Autobahn's number.
    pub(crate) id: String,
    /// What both peers put on the wire, the upgrade included.
    pub(crate) steps: Vec<Step>,
    /// What is to be shown.
    pub(crate) said: Conversation,
    /// The rules that the client breaks, in order.
    pub(crate) broken: Vec<Rule>,
    /// Frames of data messages that the client sends.
    pub(crate) data_frames: u64,
    /// Whether the messages are compressed.
    pub(crate) compressed: bool,
    keys: u32,
}

/// The example key of RFC 6455 section 1.3, and the accept value that goes with it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

impl Case {
    /// A connection that is upgraded, without compression.
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self::upgraded(id.into(), "", "")
    }

    /// A connection on which both agree to permessage-deflate: the offer and the answer to it.
    pub(crate) fn compressed(id: impl Into<String>, offer: &str, answer: &str) -> Self {
        let header = |value| format!("Sec-WebSocket-Extensions: {value}\r\n");
        Self { compressed: true, ..Self::upgraded(id.into(), &header(offer), &header(answer)) }
    }

    fn upgraded(id: String, offer: &str, answer: &str) -> Self {
        let request = format!(
            "GET /case/{id} HTTP/1.1\r\nHost: echo.test:7272\r\nUpgrade: websocket\r\nConnection: \
             Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}\r\n"
        );
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n{answer}\r\n"
        );
        let step = |by, head: String| Step { by, writes: vec![head.into_bytes()] };
        Self {
            id,
            steps: vec![step(Peer::Client, request), step(Peer::Server, response)],
            said: Conversation::default(),
            broken: Vec::new(),
            data_frames: 0,
            compressed: false,
            keys: 0,
        }
    }

    /// The client puts frames on the wire; what they come to is for [`Case::saying`].
    pub(crate) fn plays(mut self, chops: Chops, frames: &[Frame]) -> Self {
        self.data_frames += frames.iter().filter(|frame| frame.is_data()).count() as u64;
        let encoded: Vec<_> = frames.iter().map(|frame| frame.encode(Some(self.key()))).collect();
        let writes = match chops {
            Chops::Together => vec![encoded.concat()],
            Chops::ByFrame => encoded,
            Chops::Of(size) => encoded.concat().chunks(size).map(<[u8]>::to_vec).collect(),
        };
        self.steps.push(Step { by: Peer::Client, writes });
        self
    }

    /// The client puts the beginning of a frame on the wire, in chops of these lengths of payload.
    pub(crate) fn plays_part_of(mut self, frame: &Frame, chops: &[usize]) -> Self {
        self.data_frames += 1;
        let encoded = frame.encode(Some(self.key()));
        let whole = frame.payload_len();
        let (mut chop, mut rest) = encoded.split_at(encoded.len() - whole + chops[0]);
        let mut writes = vec![chop.to_vec()];
        for len in &chops[1..] {
            (chop, rest) = rest.split_at(*len);
            writes.push(chop.to_vec());
        }
        self.steps.push(Step { by: Peer::Client, writes });
        self
    }

    /// A masking key, never the same twice in a connection.
    fn key(&mut self) -> [u8; 4] {
        self.keys += 1;
        self.keys.wrapping_mul(0x9e37_79b9).to_be_bytes()
    }

    /// What the client's frames come to: whole messages and control frames in the order in which
    /// they end.
    pub(crate) fn saying(mut self, items: impl IntoIterator<Item = Item>) -> Self {
        self.said.c2s.extend(items);
        self
    }

    /// The client sends frames each of which is whole.
    pub(crate) fn sends(self, chops: Chops, frames: &[Frame]) -> Self {
        self.plays(chops, frames).saying(frames.iter().map(Frame::item))
    }

    /// The server answers with whole frames.
    pub(crate) fn answered(mut self, frames: &[Frame]) -> Self {
        self.said.s2c.extend(frames.iter().map(Frame::item));
        self.answered_raw(frames)
    }

    /// The server puts frames on the wire; what they come to is for [`Case::answering`].
    pub(crate) fn answered_raw(mut self, frames: &[Frame]) -> Self {
        let bytes = frames.iter().flat_map(|frame| frame.encode(None)).collect();
        self.steps.push(Step { by: Peer::Server, writes: vec![bytes] });
        self
    }

    /// What the server's frames come to.
    pub(crate) fn answering(mut self, items: impl IntoIterator<Item = Item>) -> Self {
        self.said.s2c.extend(items);
        self
    }

    /// The client breaks these rules.
    pub(crate) fn breaking(mut self, rules: &[Rule]) -> Self {
        self.broken.extend(rules);
        self
    }

    /// The client closes, all being well.
    pub(crate) fn closed(self) -> Self {
        self.sends(Chops::Together, &[close(1000)]).answered(&[close(1000)])
    }

    /// The server closes because of what the client did, which says no more.
    pub(crate) fn abandoned(self, code: u16, rules: &[Rule]) -> Self {
        self.answered(&[close(code)]).breaking(rules)
    }

    /// The server closes because of what the client did, and the client answers.
    pub(crate) fn failed(self, code: u16, rules: &[Rule]) -> Self {
        self.abandoned(code, rules).sends(Chops::Together, &[close(1000)])
    }
}

/// Something of which an observer cannot show all: only opcode and length count.
pub(crate) fn not_whole(opcode: &str, len: u64) -> Item {
    let (opcode, sha256) = (opcode.to_owned(), String::new());
    Item { opcode, len, sha256, head: "(not whole)".to_owned() }
}
