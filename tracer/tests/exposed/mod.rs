//! Metrics as their readers see them: an exposition comes in, its series come out; and what they have
//! to be by the events of the same run, worked out from these alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::observed::Event;

/// An exposition: values by series, and the families' names and types.
pub(crate) struct Exposed {
    pub(crate) values: BTreeMap<String, f64>,
    pub(crate) families: BTreeMap<String, String>,
}

impl Exposed {
    /// Reads OpenMetrics text, as strictly as these tests need it.
    pub(crate) fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("no end: {text}"));
        let (mut values, mut families) = (BTreeMap::new(), BTreeMap::new());
        for line in body.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').expect("a name and a type");
                assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').expect("a series and a value");
                let value = value.parse().unwrap_or_else(|e| panic!("{e}: {line}"));
                assert!(values.insert(series.to_owned(), value).is_none(), "twice: {line}");
            }
        }
        Self { values, families }
    }

    /// The value of a series. Panics where there is none.
    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> f64 {
        *self.values.get(series).unwrap_or_else(|| panic!("no {series}"))
    }
}

/// What the series that come from events have to be.
#[derive(Default)]
pub(crate) struct Told {
    counters: BTreeMap<String, u64>,
    /// What was observed by a histogram, and how many of it make a unit.
    observed: BTreeMap<(&'static str, String), (Vec<u64>, f64)>,
}

/// Families that come from events; `ws.violation` tells all of them unless a connection has over 100.
const FAMILIES: [&str; 22] = [
    "tracer_connections",
    "tracer_closed_connections",
    "tracer_tcp_handshake_seconds",
    "tracer_tcp_conflicts",
    "tracer_not_websocket",
    "tracer_http_requests",
    "tracer_http_responses",
    "tracer_websocket_opened",
    "tracer_websocket_handshake_seconds",
    "tracer_websocket_closed",
    "tracer_messages",
    "tracer_message_bytes",
    "tracer_message_wire_bytes",
    "tracer_message_size_bytes",
    "tracer_undecoded_messages",
    "tracer_control_frames",
    "tracer_ping_seconds",
    "tracer_close_frames",
    "tracer_violations",
    "tracer_gaps",
    "tracer_gap_bytes",
    "tracer_segments",
];

impl Told {
    /// Adds up all events of a run.
    pub(crate) fn by(events: &[Event]) -> Self {
        let mut told = Self::default();
        events.iter().for_each(|event| told.event(event));
        told
    }

    fn event(&mut self, event: &Event) {
        let from = event.text("from").unwrap_or("nobody");
        match event.kind() {
            "tcp.open" => self.time("tracer_tcp_handshake_seconds", String::new(), event, "rtt_us"),
            "tcp.close" => self.end(event),
            "tcp.conflict" => self.count("tracer_tcp_conflicts", &[]),
            "not_websocket" => self.field("tracer_not_websocket", event, "looks_like"),
            "http.request" => self.count("tracer_http_requests", &[]),
            "http.response" => {
                let class = match event.number("status").expect("a status") {
                    status @ 100..600 => format!("{}xx", status / 100),
                    _ => "other".to_owned(),
                };
                self.count("tracer_http_responses", &[("class", &class)]);
            }
            "gap" => {
                self.field("tracer_gaps", event, "cause");
                let labels = [("cause", event.text("cause").expect("a cause"))];
                self.add("tracer_gap_bytes", &labels, event.number("bytes").expect("bytes"));
            }
            "stats" => {
                for (family, field) in
                    [("tracer_connections", "connections"), ("tracer_segments", "segments")]
                {
                    let total = event.number(field).expect("a total");
                    self.counters.insert(name(family, &[]), total);
                }
            }
            _ => self.websocket(from, event),
        }
    }

    fn websocket(&mut self, from: &str, event: &Event) {
        match event.kind() {
            "ws.open" => {
                self.field("tracer_websocket_opened", event, "joined");
                let family = "tracer_websocket_handshake_seconds";
                self.time(family, String::new(), event, "handshake_us");
            }
            "ws.message" => self.message(from, event),
            "ws.ping" => self.control(from, "ping"),
            "ws.pong" => {
                self.control(from, "pong");
                let labels = format!(",from=\"{from}\"");
                self.time("tracer_ping_seconds", labels, event, "rtt_us");
            }
            "ws.close" => {
                self.control(from, "close");
                let code = event.number("code").map_or_else(|| "none".to_owned(), class);
                self.count("tracer_close_frames", &[("from", from), ("code", &code)]);
            }
            "ws.violation" => self.field("tracer_violations", event, "rule"),
            _ => {}
        }
    }

    fn message(&mut self, from: &str, event: &Event) {
        let labels = [("from", from), ("opcode", event.text("opcode").expect("an opcode"))];
        self.count("tracer_messages", &labels);
        let wire_len = event.number("wire_len").expect("its length on the wire");
        self.add("tracer_message_wire_bytes", &labels, wire_len);
        if let Some(len) = event.number("len") {
            self.add("tracer_message_bytes", &labels, len);
            let family = ("tracer_message_size_bytes", format!(",from=\"{from}\""));
            self.observed.entry(family).or_insert((Vec::new(), 1.0)).0.push(len);
        }
        if event.text("undecoded").is_some() {
            let why = event.text("undecoded").expect("it is there");
            self.count("tracer_undecoded_messages", &[("why", why)]);
        }
    }

    fn end(&mut self, event: &Event) {
        self.field("tracer_closed_connections", event, "how");
        if let Some(code) = event.number("ws_close") {
            self.count("tracer_websocket_closed", &[("code", &class(code))]);
        }
    }

    fn control(&mut self, from: &str, opcode: &str) {
        self.count("tracer_control_frames", &[("from", from), ("opcode", opcode)]);
    }

    fn field(&mut self, family: &str, event: &Event, field: &str) {
        let value = event.text(field).unwrap_or_else(|| panic!("no {field}: {event}"));
        self.count(family, &[(field, value)]);
    }

    fn count(&mut self, family: &str, labels: &[(&str, &str)]) {
        self.add(family, labels, 1);
    }

    fn add(&mut self, family: &str, labels: &[(&str, &str)], amount: u64) {
        *self.counters.entry(name(family, labels)).or_default() += amount;
    }

    /// Microseconds, where the event has them. `labels` are those after `le`.
    fn time(&mut self, family: &'static str, labels: String, event: &Event, field: &str) {
        if let Some(micros) = event.number(field) {
            self.observed.entry((family, labels)).or_insert((Vec::new(), 1e6)).0.push(micros);
        }
    }

    /// All series that cannot be 0, with their values; the buckets are those that were exposed.
    fn series(&self, exposed: &Exposed) -> BTreeMap<String, f64> {
        let mut series: BTreeMap<_, _> =
            self.counters.iter().map(|(name, value)| (name.clone(), *value as f64)).collect();
        for ((family, labels), (values, scale)) in &self.observed {
            let alone = labels.strip_prefix(',').map_or_else(String::new, |l| format!("{{{l}}}"));
            let sum = values.iter().sum::<u64>() as f64 / scale;
            series.insert(format!("{family}_sum{alone}"), sum);
            series.insert(format!("{family}_count{alone}"), values.len() as f64);
            let (begin, end) = (format!("{family}_bucket{{le=\""), format!("\"{labels}}}"));
            for name in exposed.values.keys() {
                let rest = name.strip_prefix(&begin).and_then(|rest| rest.strip_suffix(&end));
                let Some(bound) = rest else { continue };
                let bound: f64 = bound.parse().expect("a number");
                let within = values.iter().filter(|value| **value as f64 / scale <= bound);
                series.insert(name.clone(), within.count() as f64);
            }
        }
        series
    }
}

/// Of a code in a close frame.
fn class(code: u64) -> String {
    match code {
        1000..=1015 => code.to_string(),
        3000..=3999 => "3xxx".to_owned(),
        4000..=4999 => "4xxx".to_owned(),
        _ => "other".to_owned(),
    }
}

fn name(family: &str, labels: &[(&str, &str)]) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    match labels.as_slice() {
        [] => format!("{family}_total"),
        labels => format!("{family}_total{{{}}}", labels.join(",")),
    }
}

/// Checks that every series that comes from events is what these events add up to.
#[track_caller]
pub(crate) fn assert_adds_up(exposed: &Exposed, events: &[Event]) {
    let told = Told::by(events).series(exposed);
    let is_told = |series: &&String| {
        let name = series.split('{').next().unwrap_or_default();
        let suffixes = ["_total", "_sum", "_count", "_bucket"];
        suffixes.iter().any(|s| name.strip_suffix(s).is_some_and(|name| FAMILIES.contains(&name)))
    };
    let all: BTreeSet<_> = exposed.values.keys().filter(is_told).chain(told.keys()).collect();
    let wrong: Vec<_> = all
        .into_iter()
        .map(|name| (name, exposed.values.get(name), told.get(name).copied().unwrap_or_default()))
        .filter(|(_, exposed, told)| *exposed != Some(told))
        .collect();
    assert!(wrong.is_empty(), "exposed, and told by events: {wrong:#?}");
    let families: BTreeSet<_> = exposed.families.keys().map(String::as_str).collect();
    let missing: Vec<_> = FAMILIES.iter().filter(|family| !families.contains(**family)).collect();
    assert!(missing.is_empty(), "families that are not exposed: {missing:?}");
}
