//! JSON Lines: one flat object a line.

use std::{io, sync::LazyLock};

use base64::engine::{self, Engine as _};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::{Format, WallClock, clock::Stamp, digits, escape, prefixes::Prefixes};
use crate::{
    event::{Body, Conn, Event, WsMessage},
    ws::{frame::Opcode, message::Payload, receiver::Sender},
};

/// Writes JSON Lines.
pub struct Json {
    stamp: Stamp,
    prefixes: Prefixes,
}

impl Default for Json {
    fn default() -> Self {
        Self { stamp: Stamp::utc("{\"ts\":\""), prefixes: Prefixes::new(push_conn) }
    }
}

impl Format for Json {
    fn write(&mut self, event: &Event<'_>, clock: WallClock, buffer: &mut Vec<u8>) {
        self.stamp.write(clock.at(event.time), buffer);
        match event.body {
            Body::WsMessage(_) => buffer.extend_from_slice(b"\",\"event\":\"ws.message\""),
            _ => push_name(b"\",\"event\":\"", event.body.name(), buffer),
        }
        if let Some(conn) = event.conn {
            self.prefixes.push(conn, buffer);
        }
        // Literals, of lengths that the compiler knows, are copied in a few instructions.
        match event.from {
            Some(Sender::Client) => buffer.extend_from_slice(b",\"from\":\"client\""),
            Some(Sender::Server) => buffer.extend_from_slice(b",\"from\":\"server\""),
            None => {}
        }
        match &event.body {
            Body::WsMessage(message) => push_message(message, buffer),
            body => push_body(body, buffer),
        }
        buffer.extend_from_slice(b"}\n");
    }
}

/// Appends what names the connection. None of it needs escaping.
fn push_conn(Conn { id, client, server }: Conn, buffer: &mut Vec<u8>) {
    push_number(b",\"conn\":", id, buffer);
    buffer.extend_from_slice(b",\"client\":\"");
    digits::push_endpoint(client, buffer);
    buffer.extend_from_slice(b"\",\"server\":\"");
    digits::push_endpoint(server, buffer);
    buffer.push(b'"');
}

/// Appends a value that is safe on a terminal.
pub(super) fn push(value: &impl Serialize, buffer: &mut Vec<u8>) {
    let result = value.serialize(&mut Serializer::with_formatter(buffer, Safe));
    debug_assert!(result.is_ok(), "a Vec takes everything, and keys are strings");
}

/// Appends the body's fields.
fn push_body(body: &Body<'_>, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    push(body, buffer);
    // A body is an object of its own, and every one has fields: they go on where the line is.
    buffer[start] = b',';
    buffer.pop(); // the closing brace
}

/// Appends a message's fields, as serde would, in a fifth of the instructions.
fn push_message(message: &WsMessage<'_>, buffer: &mut Vec<u8>) {
    let WsMessage { opcode, len, wire_len, frames, compressed, truncated, missing, ref payload } =
        *message;
    match opcode {
        Opcode::TEXT => buffer.extend_from_slice(b",\"opcode\":\"text\""),
        Opcode::BINARY => buffer.extend_from_slice(b",\"opcode\":\"binary\""),
        _ => push_name(b",\"opcode\":\"", opcode.name(), buffer),
    }
    if let Some(len) = len {
        push_number(b",\"len\":", len, buffer);
    }
    push_number(b",\"wire_len\":", wire_len, buffer);
    push_number(b",\"frames\":", u64::from(frames), buffer);
    match compressed {
        true => buffer.extend_from_slice(b",\"compressed\":true"),
        false => buffer.extend_from_slice(b",\"compressed\":false"),
    }
    if truncated {
        buffer.extend_from_slice(b",\"truncated\":true");
    }
    if missing > 0 {
        push_number(b",\"missing\":", missing, buffer);
    }
    push_payload(payload, buffer);
}

/// Appends a name that needs no escaping, in quotes that `before` begins.
fn push_name(before: &[u8], name: &str, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(before);
    buffer.extend_from_slice(name.as_bytes());
    buffer.push(b'"');
}

#[inline(always)]
fn push_number(name: &[u8], number: u64, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(name);
    digits::push(number, buffer);
}

/// Appends the field that holds the payload; its name says what it is.
fn push_payload(payload: &Payload<'_>, buffer: &mut Vec<u8>) {
    match payload {
        Payload::Text(text) => {
            buffer.extend_from_slice(b",\"text\":\"");
            escape::push_json(text, buffer);
        }
        Payload::Data(data) => {
            buffer.extend_from_slice(b",\"data\":\"");
            push_base64(data, buffer);
        }
        Payload::Undecoded(why) => {
            buffer.extend_from_slice(b",\"undecoded\":\"");
            buffer.extend_from_slice(why.name().as_bytes());
        }
    }
    buffer.push(b'"');
}

/// Encodes with vector instructions, where the processor that it runs on has them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64: LazyLock<engine::Simd> =
    LazyLock::new(|| engine::Simd::standard(engine::general_purpose::PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static BASE64: LazyLock<engine::GeneralPurpose> =
    LazyLock::new(|| engine::general_purpose::STANDARD);

fn push_base64(data: &[u8], buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.resize(start + data.len().div_ceil(3) * 4, 0);
    let result = BASE64.encode_slice(data, &mut buffer[start..]);
    debug_assert!(result == Ok(buffer.len() - start), "padded base64 has this length");
}

/// Compact JSON that is safe on a terminal too: besides what JSON wants escaped, whatever could
/// control the terminal or reorder the line is written as `\u....`.
struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Without an early exit compilers make vector instructions of it.
        if fragment.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut escaped = Vec::new();
        escape::push_json(fragment, &mut escaped);
        writer.write_all(&escaped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{segment::Endpoint, ws::message::Undecoded};

    fn message(payload: Payload<'_>) -> String {
        let client = Endpoint::from("10.0.0.1:60653".parse::<std::net::SocketAddr>().unwrap());
        let server = Endpoint::from("10.0.0.2:7272".parse::<std::net::SocketAddr>().unwrap());
        let body = Body::WsMessage(WsMessage {
            opcode: Opcode::TEXT,
            len: Some(5),
            wire_len: 5,
            frames: 1,
            compressed: false,
            payload,
            truncated: false,
            missing: 0,
        });
        let conn = Some(Conn { id: 1, client, server });
        let event = Event { time: 1_500_000_000, conn, from: Some(Sender::Client), body };
        let mut buffer = Vec::new();
        Json::default().write(&event, WallClock::default(), &mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn one_flat_object_a_line() {
        assert_eq!(
            message(Payload::Text("a\"b")),
            "{\"ts\":\"1970-01-01T00:00:01.500000000Z\",\"event\":\"ws.message\",\"conn\":1,\
             \"client\":\"10.0.0.1:60653\",\"server\":\"10.0.0.2:7272\",\"from\":\"client\",\
             \"opcode\":\"text\",\"len\":5,\"wire_len\":5,\"frames\":1,\"compressed\":false,\
             \"text\":\"a\\\"b\"}\n"
        );
    }

    #[test]
    fn a_message_has_the_fields_of_its_type_in_their_order() {
        for (len, missing, flag) in [(Some(7), 0, false), (None, 9, true), (Some(0), 0, true)] {
            let message = WsMessage {
                opcode: Opcode::BINARY,
                len,
                wire_len: u64::MAX,
                frames: u32::MAX,
                compressed: flag,
                payload: Payload::Undecoded(Undecoded::Gap),
                truncated: flag,
                missing,
            };
            let mut by_hand = Vec::new();
            push_message(&message, &mut by_hand);
            let mut by_serde = Vec::new();
            push_body(&Body::WsMessage(message), &mut by_serde);
            by_serde.extend_from_slice(b",\"undecoded\":\"gap\"");
            assert_eq!(String::from_utf8(by_hand), String::from_utf8(by_serde));
        }
    }

    #[test]
    fn payloads_are_text_or_base64_or_a_reason() {
        assert!(message(Payload::Data(b"\x00\xff")).contains("\"data\":\"AP8=\""));
        let undecoded = message(Payload::Undecoded(Undecoded::ContextLost));
        assert!(undecoded.contains("\"undecoded\":\"context-lost\""));
    }

    #[test]
    fn base64_reads_back_the_same_whatever_the_length() {
        let bytes = crate::test_random::Random::new(5).bytes(1000);
        for len in 0..bytes.len() {
            let mut encoded = b"> ".to_vec();
            push_base64(&bytes[..len], &mut encoded);
            let decoded = engine::general_purpose::STANDARD.decode(&encoded[2..]);
            assert_eq!(decoded.as_deref(), Ok(&bytes[..len]));
        }
    }

    #[test]
    fn what_a_terminal_could_obey_is_escaped_and_reads_back_the_same() {
        let text = "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}é👩\u{e0041}\n";
        let line = message(Payload::Text(text));
        assert!(!line.trim_end().contains(escape::is_unsafe), "{line:?}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["text"], text);
    }
}
