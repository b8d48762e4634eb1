//! What becomes of frames: headers and payload go in, messages and control frames come out.

use std::cmp::min;

use super::{
    super::{
        frame::{Header, MAX_CONTROL_LEN, Opcode},
        mask,
        message::{Builder, Message, Payload, Undecoded},
        resync,
        rule::Rule,
    },
    BETWEEN, Context, Item, Partial, Receiver, Sender, State, check,
};

impl Receiver {
    /// Takes a message that is all there, in one frame that is neither compressed nor wrong, as most
    /// are: a short cut through what follows. `None`: it is another one, and nothing was done.
    pub(super) fn whole_message(&mut self, bytes: &[u8], ctx: &mut Context<'_>) -> Option<usize> {
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

    pub(super) fn begin_frame(
        &mut self,
        header: Header,
        offset: u64,
        ctx: &mut Context<'_>,
    ) -> Result<(), ()> {
        if self.probation > 0 {
            if !resync::is_legal(&header, self.sender, self.may_compress()) {
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
    pub(super) fn payload_bytes(
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

    pub(super) fn wants_content(&self, header: &Header, ctx: &Context<'_>) -> bool {
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
    pub(super) fn end_of_frame(&mut self, header: Header, plain: &[u8], ctx: &mut Context<'_>) {
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
pub(super) fn tell_cut(message: &mut Builder, unfinished: bool, ctx: &mut Context<'_>) {
    let message = Message { unfinished, ..message.cut() };
    check::report_invalid_text(&message, ctx.out);
    (ctx.out)(Item::Message(&message));
}
