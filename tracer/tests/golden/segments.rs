//! `--segments` says of each segment what tcpdump says of it: the captures come in, and what
//! tcpdump 4.99.3 printed of them (`tcpdump -nn -tt -r`) is what has to come out.

use std::fs;

use crate::{observed::Event, run::Run, truth::capture};

/// The event as tcpdump would print it.
fn as_tcpdump(event: &Event) -> String {
    let text = |field| event.text(field).unwrap_or_else(|| panic!("no {field}: {event}"));
    let number = |field| event.number(field).unwrap_or_else(|| panic!("no {field}: {event}"));
    let (client, server) = (text("client"), text("server"));
    let (from, to) = if text("from") == "client" { (client, server) } else { (server, client) };
    let (from, to) = (from.replace(':', "."), to.replace(':', "."));
    let (flags, len) = (text("flags"), number("len"));
    let mut line = format!("{} IP {from} > {to}: Flags [{flags}]", seconds(text("ts")));
    if flags.contains('S') {
        line += &format!(", seq {}", number("raw_seq"));
    } else if len > 0 {
        line += &format!(", seq {}:{}", number("seq"), number("seq") + len);
    } else if flags != "." {
        line += &format!(", seq {}", number("seq"));
    }
    if let Some(ack) = event.number("ack") {
        line += &format!(", ack {ack}");
    }
    line += &format!(", win {}", number("win"));
    if !text("options").is_empty() {
        line += &format!(", options [{}]", text("options"));
    }
    line + &format!(", length {len}")
}

/// `2026-11-22T06:41:35.831919000Z` as seconds since the epoch with microseconds.
fn seconds(ts: &str) -> String {
    let (_, fraction) = ts.split_once('.').unwrap_or_else(|| panic!("no fraction: {ts}"));
    assert!(fraction.len() == 10 && fraction.ends_with('Z'), "not UTC with nanoseconds: {ts}");
    let time: jiff::Timestamp = ts.parse().unwrap_or_else(|e| panic!("{ts}: {e}"));
    format!("{}.{}", time.as_second(), &fraction[..6])
}

/// tcpdump shows the acknowledgment number of a SYN-ACK as it is on the wire, for want of anything
/// to relate it to. Here all are relative.
fn with_relative_ack(line: &str) -> String {
    match line.split_once(", ack ") {
        Some((before, after)) if before.contains("Flags [S.]") => {
            let (_, after) = after.split_once(',').expect("more fields");
            format!("{before}, ack 1,{after}")
        }
        _ => line.to_owned(),
    }
}

fn check_segments(name: &str) {
    let run = Run::with(&format!("{name}.pcap"), &["--segments"]);
    let shown: Vec<_> = run.of_kind("segment").map(as_tcpdump).collect();
    let expected = fs::read_to_string(capture(&format!("{name}.tcpdump.txt")));
    let expected = expected.expect("what tcpdump printed");
    let expected: Vec<_> = expected.lines().map(with_relative_ack).collect();
    for (n, (expected, shown)) in expected.iter().zip(&shown).enumerate() {
        assert_eq!(expected, shown, "segment {n}: tcpdump (left) and the tracer (right)");
    }
    assert_eq!(expected.len(), shown.len());
}

#[test]
fn segments_of_a_long_connection_as_tcpdump_shows_them() {
    check_segments("ws-plain");
}

#[test]
fn segments_of_short_and_of_reset_connections_as_tcpdump_shows_them() {
    check_segments("ws-closecodes");
}
