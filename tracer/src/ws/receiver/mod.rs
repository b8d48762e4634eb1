//! One direction of a WebSocket connection: the stream's bytes and gaps go in; frames, messages,
//! control frames and broken rules come out.

mod check;
mod inflation;

use std::cmp::min;

use self::inflation::Inflation;
use super::{
    extension::Side,
    frame::{Header, MAX_CONTROL_LEN, MAX_HEADER_LEN, Opcode},
    inflaters::Inflaters,
    mask,
    message::{Builder, Message, Payload, Undecoded},
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
            tell_cut(&mut message, !is_last_frame, ctx);
        }
        self.lose_context(ctx);
    }

    fn lose_context(&mut self, ctx: &mut Context<'_>) {
        if let Some(inflation) = &mut self.inflation {
            inflation.lose(ctx.inflaters);
        }
    }

    /// Takes a message that is all there, in one frame that is neither compressed nor wrong, as most
    /// are: a short cut through what follows. `None`: it is another one, and nothing was done.
    fn whole_message(&mut self, bytes: &[u8], ctx: &mut Context<'_>) -> Option<usize> {
        let header = Header::parse(bytes)?;
        let Header { fin, rsv, opcode, mask, len, header_len } = header;
        let payload = bytes[usize::from(header_len)..].get(..usize::try_from(len).ok()?)?;
        let begins_and_ends = fin && matches!(opcode, Opcode::TEXT | Opcode::BINARY);
        let is_legal = rsv == 0
            && mask.is_some() == (self.sender == Sender::Client)
            && header.is_shortest_form()
            && !self.closed;
        if !begins_and_ends || !is_legal || self.message.is_some() || self.probation > 0 {
            return None;
        }
        self.may_be_inside_message = false;
        self.frame_began = self.offset as u32;
        (ctx.out)(Item::Frame(&header, self.offset));
        // Text is checked beyond what is shown.
        let wanted = if opcode == Opcode::TEXT { usize::MAX } else { ctx.payload_limit };
        let mut plain = &payload[..min(wanted, payload.len())];
        if let Some(key) = mask {
            plain = mask::unmask(plain, key, 0, ctx.scratch);
        }
        let message = Message {
            opcode,
            payload: Payload::of(opcode, plain, ctx.payload_limit),
            len: Some(len),
            wire_len: len,
            frames: 1,
            compressed: false,
            missing: 0,
            unfinished: false,
        };
        check::report_invalid_text(&message, ctx.out);
        (ctx.out)(Item::Message(&message));
        Some(usize::from(header_len) + payload.len())
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

    fn begin_frame(
        &mut self,
        header: Header,
        offset: u64,
        ctx: &mut Context<'_>,
    ) -> Result<(), ()> {
        if self.probation > 0 {
            if !super::resync::is_legal(&header, self.sender, self.may_compress()) {
                // What it made of the bytes so far is not worth telling.
                self.message = None;
                self.abandon(ctx);
                return Err(());
            }
            self.probation -= 1;
        }
        self.frame_began = offset as u32;
        (ctx.out)(Item::Frame(&header, offset));
        self.check(&header, ctx);
        if !header.opcode.is_control() && !header.opcode.is_reserved() {
            self.begin_data_frame(&header, ctx);
        }
        self.state = State::Payload { header, left: header.len };
        if header.len == 0 {
            self.end_of_frame(header, &[], ctx);
        }
        Ok(())
    }

    fn begin_data_frame(&mut self, header: &Header, ctx: &mut Context<'_>) {
        if header.opcode != Opcode::CONTINUATION || self.message.is_none() {
            let compressed = header.rsv & Header::RSV1 != 0
                && self.may_compress()
                && header.opcode != Opcode::CONTINUATION;
            if let Some(mut superseded) = self.message.take() {
                tell_cut(&mut superseded, true, ctx);
                if let Some(inflation) = &mut self.inflation {
                    inflation.release(ctx.inflaters);
                }
            }
            self.message = Some(self.begin_message(header.opcode, compressed, ctx));
        }
        self.may_be_inside_message = false;
        if let Some(message) = &mut self.message {
            message.frame(header.len);
        }
    }

    fn begin_message(
        &mut self,
        opcode: Opcode,
        compressed: bool,
        ctx: &mut Context<'_>,
    ) -> Builder {
        let mut message = Builder::new(opcode, compressed);
        if compressed
            && let Some(inflation) = &mut self.inflation
            && !inflation.begin(ctx.inflaters)
        {
            message.give_up(Undecoded::Limit);
        }
        message
    }

    /// Takes payload bytes; returns how many.
    fn payload_bytes(
        &mut self,
        header: Header,
        left: u64,
        bytes: &[u8],
        ctx: &mut Context<'_>,
    ) -> usize {
        let taken = min(left, bytes.len() as u64) as usize;
        let left_after = left - taken as u64;
        self.state = State::Payload { header, left: left_after };
        let chunk = &bytes[..taken];
        let mut scratch = std::mem::take(ctx.scratch);
        let plain = match header.mask {
            Some(key) if self.wants_content(&header, ctx) => {
                mask::unmask(chunk, key, header.len - left, &mut scratch)
            }
            _ => chunk,
        };
        if left_after == 0 {
            self.end_of_frame(header, plain, ctx);
        } else {
            self.payload(header, plain, ctx);
        }
        *ctx.scratch = scratch;
        taken
    }

    fn wants_content(&self, header: &Header, ctx: &Context<'_>) -> bool {
        if header.opcode.is_control() {
            return true;
        }
        self.message.as_ref().is_some_and(|message| {
            message.is_inflating() || message.wants_content(ctx.payload_limit)
        })
    }

    /// Takes a piece of payload that is not the frame's last.
    fn payload(&mut self, header: Header, plain: &[u8], ctx: &mut Context<'_>) {
        if header.opcode.is_control() {
            return self.collect_control(plain);
        }
        match &mut self.message {
            _ if header.opcode.is_reserved() => {}
            Some(message) if message.is_inflating() => self.inflate(plain, false, ctx),
            Some(message) if message.wants_content(ctx.payload_limit) => {
                message.push(plain, ctx.payload_limit);
            }
            Some(message) => message.count(plain.len() as u64),
            None => {}
        }
    }

    /// Takes the last piece of a frame's payload.
    fn end_of_frame(&mut self, header: Header, plain: &[u8], ctx: &mut Context<'_>) {
        self.state = BETWEEN;
        if header.opcode.is_control() {
            return self.end_of_control(header, plain, ctx);
        }
        if header.opcode.is_reserved() {
            return; // Nobody knows what it belongs to.
        }
        if !header.fin {
            return self.payload(header, plain, ctx);
        }
        let Some(message) = &self.message else { return };
        let is_inflating = message.is_inflating();
        if is_inflating {
            self.inflate(plain, true, ctx);
        }
        if let Some(mut message) = self.message.take() {
            let last = if is_inflating { &[] } else { plain };
            let message = message.finish(last, ctx.payload_limit);
            check::report_invalid_text(&message, ctx.out);
            (ctx.out)(Item::Message(&message));
        }
        if let Some(inflation) = &mut self.inflation {
            inflation.rest(ctx.inflaters);
        }
    }

    /// Inflates a piece of the message, the last one where `fin` is set.
    fn inflate(&mut self, compressed: &[u8], fin: bool, ctx: &mut Context<'_>) {
        let (Some(message), Some(inflation)) = (&mut self.message, &mut self.inflation) else {
            return;
        };
        let Some((inflater, window)) = inflation.machine(ctx.inflaters) else {
            message.give_up(Undecoded::Limit);
            return self.lose_context(ctx);
        };
        let limit = ctx.payload_limit;
        let mut push = |plain: &[u8]| message.push(plain, limit);
        let result = match fin {
            true => inflater.finish(window, compressed, &mut push),
            false => inflater.feed(window, compressed, &mut push),
        };
        if result.is_ok() {
            return;
        }
        if inflation.is_incomplete() {
            message.give_up(Undecoded::ContextLost);
        } else {
            message.give_up(Undecoded::Corrupt);
            let detail = "a compressed message does not inflate".to_owned();
            (ctx.out)(Item::Violation(Rule::DeflateData, detail));
        }
        self.lose_context(ctx);
    }

    fn collect_control(&mut self, plain: &[u8]) {
        let Partial { payload, is_cut } = &mut **self.control.get_or_insert_default();
        if !*is_cut {
            let free = MAX_CONTROL_LEN as usize - payload.len();
            payload.extend_from_slice(&plain[..min(free, plain.len())]);
        }
    }

    fn end_of_control(&mut self, header: Header, plain: &[u8], ctx: &mut Context<'_>) {
        // Mostly it comes in one piece, of legal length.
        let is_whole = plain.len() as u64 == header.len && header.len <= MAX_CONTROL_LEN;
        if !is_whole {
            self.collect_control(plain);
        }
        let collected = self.control.take();
        let collected = collected.as_ref().map_or(&[][..], |partial| &partial.payload);
        let payload = if is_whole { plain } else { collected };
        if header.opcode.is_reserved() {
            return;
        }
        if header.opcode == Opcode::CLOSE {
            self.closed = true;
            if payload.len() as u64 == header.len {
                check::check_close(payload, ctx);
            }
        }
        (ctx.out)(Item::Control(header.opcode, payload, header.len));
    }
}

/// Tells of a message that ends before its last frame does; `unfinished`: there may have been more
/// frames.
fn tell_cut(message: &mut Builder, unfinished: bool, ctx: &mut Context<'_>) {
    let message = Message { unfinished, ..message.cut() };
    check::report_invalid_text(&message, ctx.out);
    (ctx.out)(Item::Message(&message));
}

#[cfg(test)]
mod tests;
