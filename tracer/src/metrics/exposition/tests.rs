use std::{borrow::Cow, collections::BTreeSet};

use super::*;
use crate::{
    event::{Body, Control, Event, Joined, TcpClose, Traffic, WsMessage, WsOpen},
    metrics::Meter,
    ws::{frame::Opcode, message::Payload, receiver::Sender},
};

/// What docs/metrics.md says of how many series there are: without rings and outputs.
const SERIES: usize = 298;
const SERIES_OF_A_RING: usize = 2;
const SERIES_OF_AN_OUTPUT: usize = 3;

fn series(snapshot: Snapshot) -> BTreeSet<String> {
    let text = encode(snapshot);
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let series: BTreeSet<_> = lines
        .iter()
        .map(|line| line.rsplit_once(' ').expect("a series and its value").0.to_owned())
        .collect();
    assert_eq!(series.len(), lines.len(), "a series comes twice");
    series
}

/// A live run's snapshot, with these counts of events.
fn snapshot(meter: Meter) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.counted.meter = meter;
    snapshot.kernel = Some(Counters::default());
    snapshot.process.resident = Some(1);
    snapshot
}

fn tell(meter: &mut Meter, from: Option<Sender>, body: Body<'_>) {
    meter.count(&Event { time: 0, conn: None, from, body });
}

/// Every number that a peer can choose.
fn every_number(meter: &mut Meter, from: Option<Sender>) {
    for n in 0..=u16::MAX {
        let (reason, code_name) = ("{\"}\n", "any");
        tell(meter, from, Body::WsClose { code: Some(n), code_name, reason, truncated: false });
        let ws_close = Some(n);
        let how = ENDS[usize::from(n) % ENDS.len()];
        let traffic = Traffic::default();
        let close = TcpClose { by: from, how, duration_ms: 0, traffic, ws_close };
        tell(meter, from, Body::TcpClose(close));
        tell(meter, from, Body::HttpResponse { status: n, headers: &[] });
    }
}

/// Every opcode there could be, and all that a message can be.
fn every_message(meter: &mut Meter, from: Option<Sender>) {
    for n in 0..=u8::MAX {
        let opcode = Opcode(n);
        let payload = Payload::Undecoded(UNDECODED[usize::from(n) % UNDECODED.len()]);
        let (len, wire_len) = (Some(u64::MAX), u64::MAX);
        let message = WsMessage {
            opcode,
            len,
            wire_len,
            frames: 1,
            compressed: false,
            truncated: false,
            missing: 0,
            payload,
        };
        tell(meter, from, Body::WsMessage(message));
    }
}

/// All else that a peer can choose of what is counted.
fn everything_else(meter: &mut Meter, from: Option<Sender>) {
    for joined in [Joined::Handshake, Joined::Midstream] {
        let (path, host) = (Some("/\"}\n"), Some("\\"));
        let (subprotocol, extensions, accept_valid) = (path, path, None);
        let handshake_us = Some(u64::MAX);
        let open =
            WsOpen { path, host, subprotocol, extensions, accept_valid, joined, handshake_us };
        tell(meter, from, Body::WsOpen(open));
    }
    for cause in CAUSES {
        tell(meter, from, Body::Gap { bytes: u64::MAX, cause });
    }
    for looks_like in LOOKS {
        tell(meter, from, Body::NotWebsocket { looks_like, sni: Some("\"} 1\n") });
    }
    let control = Control { len: 0, data: b"", truncated: false };
    let headers = [("x", Cow::Borrowed("y"))];
    tell(meter, from, Body::HttpRequest { method: "\"", path: "\n", headers: &headers });
    tell(meter, from, Body::TcpOpen { rtt_us: u64::MAX });
    tell(meter, from, Body::TcpConflict { bytes: u64::MAX });
    tell(meter, from, Body::WsPing(control));
    tell(meter, from, Body::WsPong { control, rtt_us: Some(u64::MAX) });
    tell(meter, from, Body::WsClose { code: None, code_name: "", reason: "", truncated: true });
}

#[test]
fn whatever_peers_send_there_is_no_further_series() {
    let before = series(snapshot(Meter::default()));
    assert_eq!(before.len(), SERIES);
    let mut meter = Meter::default();
    for from in [None, Some(Sender::Client), Some(Sender::Server)] {
        every_number(&mut meter, from);
        every_message(&mut meter, from);
        everything_else(&mut meter, from);
    }
    assert_eq!(meter.close_codes[0].iter().sum::<u64>(), 2 * 65_537, "all of it was counted");
    let mut sum = meter.clone();
    sum.add(&meter);
    assert_eq!(series(snapshot(sum)), before);
}

#[test]
fn rings_and_outputs_have_series_of_their_own() {
    let mut snapshot = snapshot(Meter::default());
    snapshot.rings = vec![Ring::default(); 3];
    let name = "file:/var/log/\"odd\"\n".to_owned();
    snapshot.outputs = vec![OutputFigures { name, ..OutputFigures::default() }];
    let series = series(snapshot);
    assert_eq!(series.len(), SERIES + 3 * SERIES_OF_A_RING + SERIES_OF_AN_OUTPUT);
    assert!(series.contains("tracer_ring_used_bytes{ring=\"2\"}"));
    let escaped = "tracer_output_events_total{output=\"file:/var/log/\\\"odd\\\"\\n\"}";
    assert!(series.contains(escaped), "{series:?}");
}

#[test]
fn the_number_of_series_is_documented() {
    let document = include_str!("../../../../docs/metrics.md");
    let sentence = format!(
        "{SERIES} series, {SERIES_OF_A_RING} more for each ring buffer, and {SERIES_OF_AN_OUTPUT} \
         for each output"
    );
    assert!(document.contains(&sentence), "docs/metrics.md does not say {sentence:?}");
}

#[test]
fn what_the_kernel_counts_is_preferred_to_what_was_published() {
    let mut snapshot = snapshot(Meter::default());
    snapshot.counted.stats.lost = 1;
    snapshot.kernel = Some(Counters { lost: 2, ..Counters::default() });
    assert!(encode(snapshot).contains("\ntracer_lost_segments_total 2\n"));
    let mut libpcap = Snapshot::default();
    libpcap.counted.stats.lost = 1;
    let text = encode(libpcap);
    assert!(text.contains("\ntracer_lost_segments_total 1\n"));
    assert!(!text.contains("tracer_kernel_"), "there is no classifier to ask");
}
