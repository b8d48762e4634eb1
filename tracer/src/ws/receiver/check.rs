//! The rules about frames (RFC 6455 sections 5 and 7, RFC 7692 section 6): which one a header or a
//! payload breaks.

use super::{Context, Item, Receiver, Sender};
use crate::ws::{
    close::{self, Close},
    frame::{Header, MAX_CONTROL_LEN, Opcode},
    message::Message,
    rule::Rule,
};

impl Receiver {
    /// Names every rule that a header breaks.
    pub(super) fn check(&self, header: &Header, ctx: &mut Context<'_>) {
        let mut broken = |rule, detail: String| (ctx.out)(Item::Violation(rule, detail));
        let opcode = header.opcode.name();
        if self.closed {
            broken(Rule::AfterClose, format!("a {opcode} frame after the close frame"));
        }
        match (self.sender, header.mask) {
            (Sender::Client, None) => {
                broken(Rule::MaskMissing, format!("an unmasked {opcode} frame from the client"));
            }
            (Sender::Server, Some(_)) => {
                broken(Rule::MaskUnexpected, format!("a masked {opcode} frame from the server"));
            }
            _ => {}
        }
        if header.opcode.is_reserved() {
            broken(Rule::ReservedOpcode, format!("opcode {}", header.opcode.0));
        }
        if !header.is_shortest_form() {
            broken(Rule::LengthForm, format!("length {} is not in its shortest form", header.len));
        }
        if header.is_oversized() {
            broken(Rule::LengthTooLarge, format!("length {} has its top bit set", header.len));
        }
        self.check_reserved_bits(header, &mut broken);
        if header.opcode.is_control() {
            check_control(header, &mut broken);
        } else {
            self.check_order(header, &mut broken);
        }
    }

    fn check_reserved_bits(&self, header: &Header, broken: &mut dyn FnMut(Rule, String)) {
        let begins_message = matches!(header.opcode, Opcode::TEXT | Opcode::BINARY);
        let compressed = header.rsv & Header::RSV1 != 0 && self.may_compress();
        let undefined = if compressed { header.rsv & !Header::RSV1 } else { header.rsv };
        if undefined != 0 {
            broken(Rule::ReservedBits, format!("reserved bits {undefined:03b} are set"));
        }
        if compressed && !begins_message {
            broken(Rule::CompressedBit, format!("RSV1 on a {} frame", header.opcode.name()));
        }
    }

    fn check_order(&self, header: &Header, broken: &mut dyn FnMut(Rule, String)) {
        match (header.opcode, &self.message) {
            (Opcode::CONTINUATION, None) if !self.may_be_inside_message => {
                broken(
                    Rule::ContinuationUnexpected,
                    "a continuation frame outside a message".to_owned(),
                );
            }
            (Opcode::TEXT | Opcode::BINARY, Some(_)) => {
                broken(
                    Rule::ContinuationMissing,
                    format!("a {} frame before the last message has ended", header.opcode.name()),
                );
            }
            _ => {}
        }
    }
}

pub(super) fn report_invalid_text(message: &Message<'_>, out: &mut dyn FnMut(Item<'_>)) {
    if message.is_invalid_text() {
        out(Item::Violation(Rule::InvalidUtf8, "a text message is not UTF-8".to_owned()));
    }
}

fn check_control(header: &Header, broken: &mut dyn FnMut(Rule, String)) {
    let opcode = header.opcode.name();
    if !header.fin {
        broken(Rule::ControlFragmented, format!("a {opcode} frame without FIN"));
    }
    if header.len > MAX_CONTROL_LEN {
        broken(Rule::ControlTooLong, format!("a {opcode} frame of {} bytes", header.len));
    }
}

pub(super) fn check_close(payload: &[u8], ctx: &mut Context<'_>) {
    let mut broken = |rule, detail: String| (ctx.out)(Item::Violation(rule, detail));
    let Some(Close { code, reason }) = Close::parse(payload) else {
        return broken(Rule::CloseLength, "a close frame with one byte of payload".to_owned());
    };
    if let Some(code) = code.filter(|&code| !close::is_valid_on_wire(code)) {
        broken(Rule::CloseCode, format!("close code {code}"));
    }
    if std::str::from_utf8(reason).is_err() {
        broken(Rule::InvalidUtf8, "the close reason is not UTF-8".to_owned());
    }
}
