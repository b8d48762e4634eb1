//! What the tracer printed: JSON Lines come in, each connection's messages and control frames come
//! out, in the form in which endpoints log what they sent and received.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Bytes of a payload that a failure message quotes.
const QUOTED: usize = 60;

/// One line of the tracer's output.
pub(crate) struct Event(Value);

impl Event {
    /// Reads all lines of a run. Panics on a line that is not a JSON object with an `event`.
    pub(crate) fn parse_all(lines: &[u8]) -> Vec<Self> {
        let lines = str::from_utf8(lines).expect("the output is UTF-8");
        lines.lines().map(Self::parse).collect()
    }

    fn parse(line: &str) -> Self {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
        assert!(value["event"].is_string(), "no event in {line}");
        Self(value)
    }

    /// The kind of event, such as `ws.message`.
    pub(crate) fn kind(&self) -> &str {
        self.text("event").expect("checked when parsed")
    }

    /// A field that is text; absent and null are the same.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.0[field].as_str()
    }

    /// A field that is a number; absent and null are the same.
    pub(crate) fn number(&self, field: &str) -> Option<u64> {
        self.0[field].as_u64()
    }

    /// Whether a field is `true`.
    pub(crate) fn is(&self, field: &str) -> bool {
        self.0[field] == true
    }

    /// The message or control frame that the event tells of, if it is of that kind.
    pub(crate) fn item(&self) -> Option<Item> {
        let opcode = match self.kind() {
            "ws.message" => self.text("opcode").unwrap_or_else(|| panic!("no opcode: {self}")),
            "ws.ping" => "ping",
            "ws.pong" => "pong",
            "ws.close" => return Some(Item::close(self.number("code"), self.text("reason"))),
            _ => return None,
        };
        let len = self.number("len").or(self.number("wire_len"));
        let len = len.unwrap_or_else(|| panic!("no len: {self}"));
        if self.is("truncated") || self.text("undecoded").is_some() {
            return Some(Item::damaged(opcode, len));
        }
        let item = Item::new(opcode, &self.payload());
        assert_eq!(item.len, len, "the payload is not as long as `len` says: {self}");
        Some(item)
    }

    /// The payload: `text`, or `data` in base64 where it is binary or not UTF-8.
    fn payload(&self) -> Vec<u8> {
        match (self.text("text"), self.text("data")) {
            (Some(text), None) => {
                assert_ne!(self.text("opcode"), Some("binary"), "binary shown as text: {self}");
                text.as_bytes().to_vec()
            }
            (None, Some(data)) => {
                let data = STANDARD.decode(data).unwrap_or_else(|e| panic!("{e}: {self}"));
                let hidden = self.text("opcode") == Some("text") && str::from_utf8(&data).is_ok();
                assert!(!hidden, "text shown as base64: {self}");
                data
            }
            _ => panic!("exactly one of text and data: {self}"),
        }
    }
}

/// All of it.
impl AsRef<Value> for Event {
    fn as_ref(&self) -> &Value {
        &self.0
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.600}", self.0.to_string())
    }
}

/// A message or control frame, as an endpoint or the tracer saw it.
#[derive(Clone, Eq)]
pub(crate) struct Item {
    /// `text`, `binary`, `ping`, `pong` or `close`.
    pub(crate) opcode: String,
    /// Length of the payload in bytes.
    pub(crate) len: u64,
    /// SHA-256 of the payload in hex; empty where the tracer did not have all of it.
    pub(crate) sha256: String,
    /// The payload's beginning, for failure messages.
    pub(crate) head: String,
}

impl Item {
    /// Of a whole payload.
    pub(crate) fn new(opcode: &str, payload: &[u8]) -> Self {
        let sha256 = Sha256::digest(payload).iter().map(|byte| format!("{byte:02x}")).collect();
        let head = payload[..payload.len().min(QUOTED)].escape_ascii().to_string();
        Self { opcode: opcode.to_owned(), len: payload.len() as u64, sha256, head }
    }

    /// A close frame. No code and 1005 are the same: the frame was empty (RFC 6455 section 7.1.5).
    pub(crate) fn close(code: Option<u64>, reason: Option<&str>) -> Self {
        let code = code.filter(|&code| code != 1005);
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend(u16::try_from(code).expect("a close code").to_be_bytes());
        }
        payload.extend(reason.unwrap_or_default().as_bytes());
        Self::new("close", &payload)
    }

    /// Something of which not every payload byte was there to be seen.
    fn damaged(opcode: &str, len: u64) -> Self {
        let (opcode, sha256) = (opcode.to_owned(), String::new());
        Self { opcode, len, sha256, head: "(not whole)".to_owned() }
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        (&self.opcode, self.len, &self.sha256) == (&other.opcode, other.len, &other.sha256)
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opcode, len, sha256, head } = self;
        write!(f, "{opcode}, {len} bytes, sha256 {sha256:.12}…, \"{head}\"")
    }
}

/// Both directions of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Conversation {
    /// What the client sent, in order.
    pub(crate) c2s: Vec<Item>,
    /// What the server sent, in order.
    pub(crate) s2c: Vec<Item>,
}

/// Conversations by the client's `ip:port`.
pub(crate) type Conversations = BTreeMap<String, Conversation>;

/// The conversations that the events tell of. Checks on the way that a client's events all have
/// one connection number, and that no two clients share one.
pub(crate) fn conversations(events: &[Event]) -> Conversations {
    let mut found = Conversations::new();
    let mut numbers = BTreeSet::new();
    for event in events {
        let Some(item) = event.item() else { continue };
        let client = event.text("client").unwrap_or_else(|| panic!("no client: {event}"));
        numbers.insert((client, event.number("conn")));
        let conversation = found.entry(client.to_owned()).or_default();
        match event.text("from") {
            Some("client") => conversation.c2s.push(item),
            Some("server") => conversation.s2c.push(item),
            from => panic!("sent from {from:?}: {event}"),
        }
    }
    let distinct: BTreeSet<_> = numbers.iter().map(|(_, conn)| conn).collect();
    assert!(distinct.len() == found.len() && numbers.len() == found.len(), "{numbers:?}");
    found
}

/// Panics at the first difference between what was said and what the tracer showed.
pub(crate) fn assert_same(expected: &Conversations, shown: &Conversations) {
    let (expected_clients, shown_clients): (Vec<_>, Vec<_>) =
        (expected.keys().collect(), shown.keys().collect());
    assert_eq!(expected_clients, shown_clients, "connections expected (left) and shown (right)");
    for (client, expected) in expected {
        let shown = &shown[client];
        assert_same_items(&format!("{client} c2s"), &expected.c2s, &shown.c2s);
        assert_same_items(&format!("{client} s2c"), &expected.s2c, &shown.s2c);
    }
}

/// Panics at the first difference in one direction.
fn assert_same_items(place: &str, expected: &[Item], shown: &[Item]) {
    let longer = expected.len().max(shown.len());
    let Some(n) = (0..longer).find(|&n| expected.get(n) != shown.get(n)) else { return };
    panic!(
        "{place}: the first difference is at n={n}\n  expected: {:?}\n  shown:    {:?}\n  \
         {} expected and {} shown in all",
        expected.get(n),
        shown.get(n),
        expected.len(),
        shown.len(),
    );
}
