//! Events as entries of the systemd journal, in its native protocol: fields for programs, which are
//! those of the JSON line, and a message for people, which is the line of text.

use std::io::Write as _;

use serde_json::Value;

use super::{Format, Json, Style, Text, WallClock, escape, json};
use crate::event::{Body, Event, Start, Stats};

/// What `journalctl -t` selects by.
const IDENTIFIER: &str = "tracer";
/// Stands before the name of each field of an event.
const PREFIX: &str = "TRACER_";

/// Writes entries (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).
pub struct Journal {
    text: Text,
    json: Json,
    line: Vec<u8>,
}

impl Journal {
    /// Entries whose messages look like this.
    pub fn new(style: Style) -> Self {
        // The journal is read with tools that have colours of their own.
        let text = Text::new(Style { color: false, ..style });
        Self { text, json: Json::default(), line: Vec::new() }
    }

    /// For people: the line, or where text has none, a summary.
    fn message(&mut self, event: &Event<'_>, clock: WallClock) -> &[u8] {
        self.line.clear();
        match &event.body {
            Body::Start(start) => start_message(start, &mut self.line),
            Body::Stats(stats) => stats_message(stats, &mut self.line),
            _ => self.text.write(event, clock, &mut self.line),
        }
        self.line.strip_suffix(b"\n").unwrap_or(&self.line)
    }

    /// The fields of the JSON line.
    fn fields(&mut self, event: &Event<'_>, clock: WallClock) -> serde_json::Map<String, Value> {
        self.line.clear();
        self.json.write(event, clock, &mut self.line);
        let read = serde_json::from_slice(&self.line);
        debug_assert!(read.is_ok(), "what is written can be read: {read:?}");
        read.unwrap_or_default()
    }
}

impl Format for Journal {
    fn write(&mut self, event: &Event<'_>, clock: WallClock, buffer: &mut Vec<u8>) {
        push("MESSAGE", self.message(event, clock), buffer);
        push("PRIORITY", priority(&event.body), buffer);
        push("SYSLOG_IDENTIFIER", IDENTIFIER.as_bytes(), buffer);
        for (name, value) in self.fields(event, clock) {
            push(&format!("{PREFIX}{}", name.to_ascii_uppercase()), &text_of(&value), buffer);
        }
    }
}

/// As syslog(3) counts: 4 is a warning, 6 is information.
fn priority(body: &Body<'_>) -> &'static [u8] {
    match body {
        Body::WsViolation { .. } | Body::Gap { .. } | Body::Dropped { .. } => b"4",
        _ => b"6",
    }
}

/// Appends a field. A value of several lines has its length before it.
fn push(name: &str, value: &[u8], buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        buffer.push(b'\n');
        buffer.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        buffer.push(b'=');
    }
    buffer.extend_from_slice(value);
    buffer.push(b'\n');
}

/// A field's value. `journalctl -o cat` prints what it is given, so here, too, nothing that a peer sent
/// may reach a terminal raw.
fn text_of(value: &Value) -> Vec<u8> {
    let mut text = Vec::new();
    match value {
        Value::String(string) => escape::push(string, &mut text),
        // A number, a Boolean, or the headers.
        other => json::push(other, &mut text),
    }
    text
}

fn start_message(start: &Start<'_>, line: &mut Vec<u8>) {
    let Start { version, source, ports, interfaces, .. } = start;
    let interfaces = interfaces.join(", ");
    let on = if interfaces.is_empty() { "" } else { " on " };
    let result = write!(line, "tracer {version} begins: {source}, port {ports}{on}{interfaces}");
    debug_assert!(result.is_ok(), "a Vec takes everything");
}

fn stats_message(stats: &Stats, line: &mut Vec<u8>) {
    let Stats { segments, connections, flows, messages, lost, dropped, .. } = stats;
    let result = write!(
        line,
        "so far {segments} segments in {connections} connections ({flows} open), {messages} messages; \
         {lost} segments lost, {dropped} events dropped"
    );
    debug_assert!(result.is_ok(), "a Vec takes everything");
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, collections::BTreeMap};

    use super::*;
    use crate::{
        event::{Conn, GapCause, WsMessage},
        segment::Endpoint,
        ws::{frame::Opcode, message::Payload, receiver::Sender},
    };

    /// The fields of an entry, as journald reads them.
    fn parse(mut entry: &[u8]) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        while !entry.is_empty() {
            let end = entry.iter().position(|&byte| byte == b'\n').expect("a whole line");
            let (line, rest) = (&entry[..end], &entry[end + 1..]);
            let (name, value, rest) = match line.iter().position(|&byte| byte == b'=') {
                Some(equals) => (&line[..equals], &line[equals + 1..], rest),
                None => {
                    let (len, rest) = rest.split_first_chunk().expect("a length");
                    let (value, rest) = rest.split_at(u64::from_le_bytes(*len) as usize);
                    (line, value, rest.strip_prefix(b"\n").expect("a newline after the value"))
                }
            };
            let [name, value] = [name, value].map(|part| String::from_utf8(part.to_vec()).unwrap());
            assert!(fields.insert(name, value).is_none(), "a field twice");
            entry = rest;
        }
        fields
    }

    fn entry(body: Body<'_>) -> BTreeMap<String, String> {
        let [client, server] = ["10.0.0.1:60653", "10.0.0.2:7272"]
            .map(|address| Endpoint::from(address.parse::<std::net::SocketAddr>().unwrap()));
        let conn = Some(Conn { id: 7, client, server });
        let event = Event { time: 1_500_000_000, conn, from: Some(Sender::Client), body };
        let mut buffer = Vec::new();
        Journal::new(Style { color: true, hex: false }).write(
            &event,
            WallClock::default(),
            &mut buffer,
        );
        parse(&buffer)
    }

    fn message(text: &str) -> Body<'_> {
        Body::WsMessage(WsMessage {
            opcode: Opcode::TEXT,
            len: Some(text.len() as u64),
            wire_len: text.len() as u64,
            frames: 1,
            compressed: false,
            payload: Payload::Text(text),
            truncated: false,
            missing: 0,
        })
    }

    #[test]
    fn an_entry_has_the_fields_of_the_json_line_and_the_line_of_text() {
        let entry = entry(message("hi"));
        let fields: Vec<_> = entry
            .iter()
            .filter(|(name, _)| *name != "MESSAGE")
            .map(|(n, v)| (&n[..], &v[..]))
            .collect();
        let expected = [
            ("PRIORITY", "6"),
            ("SYSLOG_IDENTIFIER", "tracer"),
            ("TRACER_CLIENT", "10.0.0.1:60653"),
            ("TRACER_COMPRESSED", "false"),
            ("TRACER_CONN", "7"),
            ("TRACER_EVENT", "ws.message"),
            ("TRACER_FRAMES", "1"),
            ("TRACER_FROM", "client"),
            ("TRACER_LEN", "2"),
            ("TRACER_OPCODE", "text"),
            ("TRACER_SERVER", "10.0.0.2:7272"),
            ("TRACER_TEXT", "hi"),
            ("TRACER_TS", "1970-01-01T00:00:01.500000000Z"),
            ("TRACER_WIRE_LEN", "2"),
        ];
        assert_eq!(fields, expected);
        // Not coloured, though colour was asked for.
        assert!(entry["MESSAGE"].ends_with(" #7 10.0.0.1:60653 → text 2 B  hi"), "{entry:?}");
    }

    #[test]
    fn a_message_of_several_lines_is_one_field() {
        let headers = [("Host", Cow::Borrowed("x")), ("Cookie", Cow::Borrowed("a\u{1b}b"))];
        let entry = entry(Body::HttpRequest { method: "GET", path: "/", headers: &headers });
        let lines: Vec<_> = entry["MESSAGE"].lines().skip(1).collect();
        assert_eq!(lines, ["    Host: x", "    Cookie: a\\u{1b}b"]);
        assert_eq!(entry["TRACER_HEADERS"], r#"[["Host","x"],["Cookie","a\u001bb"]]"#);
    }

    #[test]
    fn nothing_in_an_entry_could_harm_a_terminal() {
        let text = "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}é\n=\r";
        for (name, value) in entry(message(text)) {
            assert!(!value.contains(escape::is_unsafe), "{name}: {value:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_a_warning() {
        let gap = Body::Gap { bytes: 1, cause: GapCause::Lost };
        let dropped = Body::Dropped { events: 3, bytes: 4 };
        for (body, priority) in [(gap, "4"), (dropped, "4"), (message(""), "6")] {
            assert_eq!(entry(body)["PRIORITY"], priority);
        }
    }

    #[test]
    fn what_text_does_not_show_has_a_message_too() {
        let interfaces = ["lo".to_owned(), "eth0".to_owned()];
        let start = Start {
            v: 1,
            version: "9",
            host: "h",
            kernel: "6",
            source: "live",
            netns: None,
            interfaces: &interfaces,
            ports: "80",
        };
        let started = entry(Body::Start(start));
        assert_eq!(started["MESSAGE"], "tracer 9 begins: live, port 80 on lo, eth0");
        assert_eq!(started["TRACER_INTERFACES"], r#"["lo","eth0"]"#);
        let stats = entry(Body::Stats(Stats { messages: 5, dropped: 3, ..Stats::default() }));
        assert!(stats["MESSAGE"].contains(" 5 messages; 0 segments lost, 3 events dropped"));
        assert_eq!(stats["TRACER_DROPPED"], "3");
    }
}
