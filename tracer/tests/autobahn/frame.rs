//! Frames, legal or not: what a case says goes in, the bytes on the wire and what an observer is to
//! show of them come out (RFC 6455 section 5.2).

use crate::{encode, observed::Item};

/// Opcodes (RFC 6455 section 11.8).
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// One frame.
#[derive(Clone)]
pub(crate) struct Frame {
    opcode: u8,
    fin: bool,
    /// The reserved bits as a number: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    rsv: u8,
    payload: Vec<u8>,
}

/// A frame of any opcode, with FIN set.
pub(crate) fn opcode(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame { opcode, fin: true, rsv: 0, payload: payload.as_ref().to_vec() }
}

pub(crate) fn text(payload: impl AsRef<[u8]>) -> Frame {
    opcode(TEXT, payload)
}

pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Frame {
    opcode(BINARY, payload)
}

/// What goes on with a message that has begun.
pub(crate) fn rest(payload: impl AsRef<[u8]>) -> Frame {
    opcode(CONTINUATION, payload)
}

pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Frame {
    opcode(PING, payload)
}

pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Frame {
    opcode(PONG, payload)
}

/// A close frame with a code and no reason.
pub(crate) fn close(code: u16) -> Frame {
    close_saying(code, "")
}

/// A close frame with a code and a reason.
pub(crate) fn close_saying(code: u16, reason: impl AsRef<[u8]>) -> Frame {
    close_raw([&code.to_be_bytes(), reason.as_ref()].concat())
}

/// A close frame with any payload.
pub(crate) fn close_raw(payload: impl AsRef<[u8]>) -> Frame {
    opcode(CLOSE, payload)
}

/// The message cut into frames of `size` bytes, at least one.
pub(crate) fn fragments(whole: &Frame, size: usize) -> Vec<Frame> {
    let mut frames: Vec<_> = whole.payload.chunks(size).map(rest).collect();
    if frames.is_empty() {
        frames.push(rest(""));
    }
    frames.iter_mut().for_each(|frame| frame.fin = false);
    frames[0] = Frame { opcode: whole.opcode, rsv: whole.rsv, ..frames[0].clone() };
    frames.last_mut().expect("one at least").fin = true;
    frames
}

impl Frame {
    /// Without FIN.
    pub(crate) fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// With reserved bits.
    pub(crate) fn rsv(self, rsv: u8) -> Self {
        Self { rsv, ..self }
    }

    /// Whether it belongs to a data message.
    pub(crate) fn is_data(&self) -> bool {
        self.opcode <= BINARY
    }

    pub(crate) fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// What is to be shown of it, if it is a message or control frame by itself.
    pub(crate) fn item(&self) -> Item {
        let name = match self.opcode {
            TEXT => "text",
            BINARY => "binary",
            PING => "ping",
            PONG => "pong",
            CLOSE => return close_item(&self.payload),
            opcode => panic!("nothing is to be shown of opcode {opcode}"),
        };
        Item::new(name, &self.payload)
    }

    /// The bytes on the wire.
    pub(crate) fn encode(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let first = u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode;
        encode::frame(first, mask, &self.payload)
    }
}

/// Code and reason; one byte is neither, and what is not UTF-8 in a reason is replaced.
fn close_item(payload: &[u8]) -> Item {
    match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            Item::close(Some(code.into()), Some(&String::from_utf8_lossy(reason)))
        }
        _ => Item::close(None, None),
    }
}
