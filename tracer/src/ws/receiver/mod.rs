//! One direction of a WebSocket connection: the stream's bytes and gaps go in; frames, messages,
//! control frames and broken rules come out.

mod check;
mod frames;
mod inflation;

use std::cmp::min;

use self::inflation::Inflation;
use super::{
    extension::Side,
    frame::{Header, MAX_HEADER_LEN, Opcode},
    inflaters::Inflaters,
    message::{Builder, Message},
    rule::Rule,
};

/// What a receiver finds.
#[derive(Debug)]
pub enum Item<'a> {
    /// A frame begins, at this offset in the stream.
    Frame(&'a Header, u64),
    /// A data message is complete, or damaged and over.
    Message(&'a Message<'a>),
    /// A ping, pong or close frame: its opcode, payload (as much as was captured), and length.
    Control(Opcode, &'a [u8], u64),
    /// The sender broke a rule; the detail says how.
    Violation(Rule, String),
}

/// Which side sends what the receiver receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Masks its frames.
    Client,
    /// Does not.
    Server,
}

impl Sender {
    /// The name that events have.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// The other side.
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What permessage-deflate means for the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not agreed on.
    None,
    /// Agreed on.
    Deflate(Side),
    /// The handshake was not seen.
    Unknown,
}

/// What receivers share and borrow while they work.
pub struct Context<'c> {
    /// Payload bytes to show of a message.
    pub payload_limit: usize,
    /// The inflate machines of all directions.
    pub inflaters: &'c mut Inflaters,
    /// Room to unmask in.
    pub scratch: &'c mut Vec<u8>,
    /// Where items go.
    pub out: &'c mut dyn FnMut(Item<'_>),
}

/// The place of the next frame header is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desync {
    /// How many of the bytes given were used before that was noticed.
    pub used: usize,
}

/// Frames that a header found by searching must be followed by before it is trusted.
const PROBATION: u8 = 4;

#[derive(Debug)]
enum State {
    /// Between frames, with the first `have` bytes of a header.
    Header { bytes: [u8; MAX_HEADER_LEN], have: u8 },
    /// In a frame, with so many bytes of payload to come.
    Payload { header: Header, left: u64 },
}

/// What came so far of a control frame that did not come in one piece.
#[derive(Debug, Default)]
struct Partial {
    payload: Vec<u8>,
    /// A piece is missing; what follows it is not collected.
    is_cut: bool,
}

// Two cache lines.
const _: () = assert!(size_of::<Receiver>() <= 128);

const BETWEEN: State = State::Header { bytes: [0; MAX_HEADER_LEN], have: 0 };

/// Receives what one side sends. Every open connection has two: what few need is in boxes.
pub struct Receiver {
    sender: Sender,
    state: State,
    /// Offset in the stream of the next byte.
    offset: u64,
    /// Offset in the stream at which the latest frame began, or the first is to: its lower half.
    frame_began: u32,
    message: Option<Builder>,
    control: Option<Box<Partial>>,
    /// `None`: nothing is compressed.
    inflation: Option<Box<Inflation>>,
    closed: bool,
    /// A continuation may go on with a message that began before anything was seen.
    may_be_inside_message: bool,
    probation: u8,
}

impl Receiver {
    /// Receives from the first frame on, which begins at this offset in the stream.
    pub fn new(sender: Sender, compression: Compression, offset: u64) -> Self {
        Self {
            sender,
            state: BETWEEN,
            offset,
            frame_began: offset as u32,
            message: None,
            control: None,
            inflation: Inflation::new(compression),
            closed: false,
            may_be_inside_message: false,
            probation: 0,
        }
    }

    /// Goes on at a frame header that was found by searching.
    pub fn resume(&mut self, offset: u64) {
        self.state = BETWEEN;
        self.offset = offset;
        self.frame_began = offset as u32;
        self.may_be_inside_message = true;
        self.probation = PROBATION;
        self.closed = false;
        self.lose_window();
    }

    /// Whether RSV1 may be set.
    pub fn may_compress(&self) -> bool {
        self.inflation.is_some()
    }

    /// Forgets what compressed messages refer to.
    pub fn lose_window(&mut self) {
        if let Some(inflation) = &mut self.inflation {
            inflation.lose_window();
        }
    }

    /// Bytes of memory beyond the struct's own.
    pub fn memory(&self) -> usize {
        self.control.as_ref().map_or(0, |partial| partial.payload.capacity())
            + self.inflation.as_ref().map_or(0, |inflation| inflation.memory())
            + self.message.as_ref().map_or(0, Builder::memory)
    }

    /// Takes the next bytes of the stream.
    pub fn data(&mut self, bytes: &[u8], ctx: &mut Context<'_>) -> Result<(), Desync> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = match self.state {
                State::Header { have: 0, .. } => match self.whole_message(rest, ctx) {
                    Some(used) => Ok(used),
                    None => self.header_bytes(rest, ctx),
                },
                State::Header { .. } => self.header_bytes(rest, ctx),
                State::Payload { header, left } => Ok(self.payload_bytes(header, left, rest, ctx)),
            };
            let used = used.map_err(|()| Desync { used: bytes.len() - rest.len() })?;
            self.offset += used as u64;
            rest = &rest[used..];
        }
        Ok(())
    }

    /// Takes the news that the next `bytes` bytes of the stream are missing.
    pub fn gap(&mut self, bytes: u64, ctx: &mut Context<'_>) -> Result<(), Desync> {
        self.offset += bytes;
        match self.state {
            State::Payload { header, left } if bytes <= left => {
                if let Some(message) = self.message.as_mut().filter(|_| !header.opcode.is_control())
                {
                    message.miss(bytes);
                    self.lose_context(ctx);
                }
                if header.opcode.is_control() && bytes > 0 {
                    self.control.get_or_insert_default().is_cut = true;
                }
                self.state = State::Payload { header, left: left - bytes };
                if left == bytes {
                    self.end_of_frame(header, &[], ctx);
                }
                Ok(())
            }
            _ => {
                self.abandon(ctx);
                Err(Desync { used: 0 })
            }
        }
    }

    /// Offset in the stream at which the latest frame began, if that is sure.
    pub fn frame_began(&self) -> Option<u32> {
        (self.probation == 0).then_some(self.frame_began)
    }

    /// Takes the news that the next `bytes` bytes, which nobody wants to see, were left out. False
    /// where they are not of a payload, or somebody does want to.
    pub fn elide(&mut self, bytes: u64, ctx: &mut Context<'_>) -> bool {
        let State::Payload { header, left } = self.state else { return false };
        if bytes > left || self.wants_content(&header, ctx) {
            return false;
        }
        if let Some(message) = self.message.as_mut().filter(|_| !header.opcode.is_reserved()) {
            message.count(bytes);
        }
        self.offset += bytes;
        self.state = State::Payload { header, left: left - bytes };
        if left == bytes {
            self.end_of_frame(header, &[], ctx);
        }
        true
    }

    /// Ends what is in progress, because the stream ends or its framing is lost.
    pub fn abandon(&mut self, ctx: &mut Context<'_>) {
        let left = match self.state {
            State::Payload { header, left } if !header.opcode.is_control() => {
                Some((header.fin, left))
            }
            _ => None,
        };
        self.state = BETWEEN;
        self.control = None;
        if let Some(mut message) = self.message.take() {
            message.miss(left.map_or(0, |(_, left)| left));
            let is_last_frame = left.is_some_and(|(fin, _)| fin);
            frames::tell_cut(&mut message, !is_last_frame, ctx);
        }
        self.lose_context(ctx);
    }

    fn lose_context(&mut self, ctx: &mut Context<'_>) {
        if let Some(inflation) = &mut self.inflation {
            inflation.lose(ctx.inflaters);
        }
    }

    /// Takes header bytes; returns how many. An error: this is no header, the framing is lost.
    fn header_bytes(&mut self, bytes: &[u8], ctx: &mut Context<'_>) -> Result<usize, ()> {
        let State::Header { bytes: kept, have } = &mut self.state else { return Ok(0) };
        let before = usize::from(*have);
        // Mostly the whole header is there.
        if before == 0
            && let Some(header) = Header::parse(bytes)
        {
            self.begin_frame(header, self.offset, ctx)?;
            return Ok(usize::from(header.header_len));
        }
        let taken = min(bytes.len(), MAX_HEADER_LEN - before);
        kept[before..before + taken].copy_from_slice(&bytes[..taken]);
        let Some(header) = Header::parse(&kept[..before + taken]) else {
            *have += taken as u8;
            return Ok(taken);
        };
        self.begin_frame(header, self.offset - before as u64, ctx)?;
        Ok(usize::from(header.header_len) - before)
    }
}

#[cfg(test)]
mod tests;
