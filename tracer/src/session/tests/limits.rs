use std::net::SocketAddr;

use super::wire::{Client, REQUEST, RESPONSE, Server, Wire, options};
use crate::{
    segment::Interest,
    session::{Limits, Options},
    ws::test_frames::masked,
};

const EXTENSION: &[u8] = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

fn with_limits(limits: Limits) -> Wire {
    Wire::with(Options { limits, ..options() })
}

fn from_port(wire: &mut Wire, port: u16) {
    wire.client = SocketAddr::from(([10, 0, 0, 1], port)).into();
}

#[test]
fn a_flood_of_syns_displaces_no_connection() {
    let mut wire = Wire::upgraded();
    let established = wire.client;
    for port in 1..=60_000 {
        if port != 7272 {
            from_port(&mut wire, port);
            let seq = u32::from(port);
            wire.seen(Client, seq, 2, &[], 0);
        }
    }
    let stats = wire.tracker.stats();
    let kept = options().limits.half_open as u64;
    assert_eq!((stats.flows, stats.forgotten_syns), (1, 59_999 - kept));
    wire.client = established;
    wire.data(Client, &masked(0x81, b"alive"));
    assert_eq!(wire.told(), ["ws.message client alive"]);
}

#[test]
fn beyond_the_limit_the_connection_not_seen_for_longest_goes() {
    let mut wire = with_limits(Limits { connections: 2, ..options().limits });
    for port in [1, 2, 3] {
        from_port(&mut wire, port);
        wire.connect();
    }
    let told = wire.events();
    let evicted: Vec<_> = told.iter().filter(|event| event["how"] == "evicted").collect();
    assert_eq!((evicted.len(), &evicted[0]["client"]), (1, &"10.0.0.1:1".into()));
    assert_eq!(wire.tracker.stats().flows, 2);
}

#[test]
fn bytes_that_wait_are_bounded_per_direction() {
    let mut wire = with_limits(Limits { waiting_per_direction: 12_000, ..options().limits });
    wire.connect();
    wire.lose(Client, b"x");
    for _ in 0..10 {
        wire.data(Client, &[0; 1000]);
    }
    assert_eq!(wire.told(), ["tcp.open"]);
    wire.data(Client, &[0; 1000]);
    assert_eq!(wire.told()[0], "gap client 1 lost");
}

#[test]
fn what_connections_hold_is_bounded_in_all_and_the_largest_go_first() {
    let mut wire = with_limits(Limits { memory: 100_000, ..options().limits });
    for port in 1..=20 {
        from_port(&mut wire, port);
        wire.connect();
        wire.lose(Client, b"x");
        wire.data(Client, &vec![0; 1000 * usize::from(port)]);
    }
    let events = wire.events();
    let evicted: Vec<_> = events
        .iter()
        .filter(|event| event["how"] == "evicted")
        .map(|event| &event["client"])
        .collect();
    assert!(evicted.contains(&&"10.0.0.1:14".into()) && !evicted.contains(&&"10.0.0.1:1".into()));
    // What had waited is told before the end.
    let lost = events.iter().filter(|event| event["cause"] == "lost").count();
    assert_eq!(lost, evicted.len());
}

#[test]
fn an_evicted_connection_is_joined_again() {
    let mut wire = with_limits(Limits { memory: 10_000, ..options().limits });
    wire.connect();
    wire.lose(Client, b"x");
    wire.data(Client, &[0; 11_000]);
    wire.data(Client, &masked(0x81, b"this is enough to be found"));
    let told = wire.told();
    let expected = ["ws.open midstream", "ws.message client this is enough to be found"];
    assert_eq!(told[told.len() - 2..], expected);
}

#[test]
fn unfinished_compressed_messages_keep_nobody_from_inflating() {
    let mut wire = with_limits(Limits { inflaters: 2, ..options().limits });
    let hello = masked(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    for port in 1..=9 {
        from_port(&mut wire, port);
        wire.connect();
        wire.data(Client, &[b"", &REQUEST[..REQUEST.len() - 2], EXTENSION].concat());
        wire.data(Server, &[b"", &RESPONSE[..RESPONSE.len() - 2], EXTENSION].concat());
        wire.data(Client, &hello);
        assert_eq!(wire.told().last().unwrap(), "ws.message client Hello");
        // The next one is never finished, and every other connection ends in the middle of it.
        wire.data(Client, &hello[..8]);
        if port % 2 == 0 {
            wire.rst(Client);
        }
    }
}

#[test]
fn what_is_left_out_counts_and_so_does_the_end() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, b"\x16\x03\x01\x00\x04\x01\x00\x00\x00");
    assert_eq!(wire.interest, Interest::Nothing);
    wire.told();
    wire.lose(Client, &[0; 5000]);
    wire.left_out = 6000;
    wire.snapped(Client, &[0; 1000], 0);
    wire.lose(Server, &[0; 70]);
    wire.left_out = 70;
    wire.fin(Server);
    wire.left_out = 0;
    wire.fin(Client);
    let events = wire.events();
    let traffic = ["client_bytes", "server_bytes"].map(|field| events[0][field].as_u64());
    assert_eq!((events.len(), traffic), (1, [Some(6009), Some(70)]));
}

#[test]
fn a_websocket_is_wanted_and_so_is_http_which_may_become_one() {
    let mut wire = Wire::upgraded();
    wire.data(Client, &masked(0x81, b"hello"));
    assert_eq!(wire.interest, Interest::Payload);
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wire.interest, Interest::Payload);
}

#[test]
fn silence_ends_a_connection() {
    let mut wire = Wire::upgraded();
    let idle = options().limits.idle;
    assert_eq!(wire.tracker.next_tick(), Some(wire.now + idle));
    wire.wait(idle);
    assert_eq!(wire.told(), ["tcp.close timeout"]);
    assert_eq!(wire.tracker.next_tick(), None);
}

#[test]
fn violations_of_one_connection_are_told_up_to_a_limit_and_counted_beyond() {
    let mut wire = Wire::upgraded();
    for _ in 0..1000 {
        wire.data(Client, &masked(0x83, b""));
    }
    assert_eq!(wire.told().len(), 100);
    assert_eq!(wire.tracker.stats().violations, 1000);
}

#[test]
fn a_capture_that_ends_gives_out_what_waits() {
    let mut wire = Wire::upgraded();
    wire.lose(Client, &masked(0x81, b"lost"));
    wire.data(Client, &masked(0x81, b"the last text before the capture ended"));
    wire.data(Server, b"");
    wire.finish();
    assert_eq!(
        wire.told(),
        ["gap client 10 lost", "ws.message client the last text before the capture ended"]
    );
}
