//! JSON Lines: one flat object a line.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::{Format, WallClock, clock::Stamp, escape};
use crate::{
    event::{Body, Event},
    segment::Endpoint,
    ws::{message::Payload, receiver::Sender},
};

/// Writes JSON Lines.
pub struct Json {
    stamp: Stamp,
    time: Vec<u8>,
}

impl Default for Json {
    fn default() -> Self {
        Self { stamp: Stamp::utc(), time: Vec::new() }
    }
}

/// An event as an object, in the order of its fields.
#[derive(Serialize)]
struct Line<'a> {
    ts: &'a str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "endpoint")]
    client: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "endpoint")]
    server: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Sender>,
    #[serde(flatten)]
    body: &'a Body<'a>,
}

fn endpoint<S: serde::Serializer>(
    endpoint: &Option<Endpoint>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match endpoint {
        Some(endpoint) => serializer.collect_str(endpoint),
        None => serializer.serialize_none(),
    }
}

impl Format for Json {
    fn write(&mut self, event: &Event<'_>, clock: WallClock, buffer: &mut Vec<u8>) {
        self.time.clear();
        self.stamp.write(clock.at(event.time), &mut self.time);
        let line = Line {
            ts: std::str::from_utf8(&self.time).unwrap_or_default(),
            event: event.body.name(),
            conn: event.conn.map(|conn| conn.id),
            client: event.conn.map(|conn| conn.client),
            server: event.conn.map(|conn| conn.server),
            from: event.from,
            body: &event.body,
        };
        let result = line.serialize(&mut Serializer::with_formatter(&mut *buffer, Safe));
        debug_assert!(result.is_ok(), "a Vec takes everything, and keys are strings");
        if let Body::WsMessage(message) = &event.body {
            buffer.pop(); // the closing brace
            push_payload(&message.payload, buffer);
            buffer.push(b'}');
        }
        buffer.push(b'\n');
    }
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

fn push_base64(data: &[u8], buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.resize(start + data.len().div_ceil(3) * 4, 0);
    let result = STANDARD.encode_slice(data, &mut buffer[start..]);
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
        if !fragment.contains(escape::is_unsafe) {
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
    use crate::{
        event::{Conn, WsMessage},
        ws::{frame::Opcode, message::Undecoded},
    };

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
    fn payloads_are_text_or_base64_or_a_reason() {
        assert!(message(Payload::Data(b"\x00\xff")).contains("\"data\":\"AP8=\""));
        let undecoded = message(Payload::Undecoded(Undecoded::ContextLost));
        assert!(undecoded.contains("\"undecoded\":\"context-lost\""));
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
