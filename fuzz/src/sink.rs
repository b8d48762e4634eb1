//! Events come in; each is written as JSON and as text, and the lines are checked: JSON parses, and
//! no control character of a peer's reaches a terminal.

use serde::de::IgnoredAny;
use tracer::{
    event::{Body, Event, Sink, Stats},
    output::{Format as _, Json, Style, Text, WallClock},
};

/// Events written before only one in a few is.
const ALL: u64 = 128;
/// One in so many, then: a flood of events of one kind would take all the time.
const FEW: u64 = 16;

/// Writes, checks and counts events.
pub struct Checked {
    json: Json,
    text: Text,
    buffer: Vec<u8>,
    events: u64,
    messages: u64,
    violations: u64,
    opened: u64,
}

impl Default for Checked {
    fn default() -> Self {
        Self {
            json: Json::default(),
            text: Text::new(Style { color: false, hex: false }),
            buffer: Vec::new(),
            events: 0,
            messages: 0,
            violations: 0,
            opened: 0,
        }
    }
}

impl Sink for Checked {
    fn emit(&mut self, event: &Event<'_>) {
        match event.body {
            Body::WsMessage(_) => self.messages += 1,
            Body::WsViolation { .. } => self.violations += 1,
            Body::WsOpen(_) => self.opened += 1,
            _ => {}
        }
        self.events += 1;
        if self.events > ALL && !self.events.is_multiple_of(FEW) {
            return;
        }
        self.buffer.clear();
        self.json.write(event, WallClock::default(), &mut self.buffer);
        check_json(&self.buffer);
        self.buffer.clear();
        self.text.write(event, WallClock::default(), &mut self.buffer);
        check_text(&self.buffer);
    }
}

fn check_json(lines: &[u8]) {
    let lines = lines.strip_suffix(b"\n").expect("an event is a line");
    assert!(!lines.contains(&b'\n'), "an event is one line");
    let _parsed: IgnoredAny = serde_json::from_slice(lines).expect("a line is JSON");
    assert!(!lines.iter().any(u8::is_ascii_control), "a control character that is not escaped");
}

fn check_text(lines: &[u8]) {
    let lines = std::str::from_utf8(lines).expect("text is UTF-8");
    let raw = lines.chars().find(|&c| c.is_control() && c != '\n');
    assert_eq!(raw, None, "a control character reaches the terminal in {lines:?}");
}

impl Checked {
    /// Holds the tracker's counters against the events that came.
    pub fn check(&self, stats: &Stats, max_flows: usize) {
        assert_eq!(stats.messages, self.messages, "messages counted and told");
        assert!(stats.violations >= self.violations, "violations counted and told");
        assert!(stats.flows <= max_flows as u64, "{} connections at a time", stats.flows);
        assert!(stats.flows <= stats.connections, "more connections open than were opened");
        assert!(self.opened <= stats.connections, "more upgrades than connections");
    }
}
