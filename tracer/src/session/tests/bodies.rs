//! Long HTTP bodies, of which the capture need not copy anything.

use tracer_common::follow::MAX_REST;

use super::wire::{Client, Server, Wire};
use crate::segment::Interest;

const GET: &[u8] = b"GET /film HTTP/1.1\r\nHost: h\r\n\r\n";

/// A request and the head of its answer.
fn answered(length: u64) -> Wire {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, GET);
    wire.data(Server, format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    wire
}

#[test]
fn the_end_of_a_long_body_is_named_until_it_is_left_out() {
    let mut wire = answered(1_000_000);
    let end = wire.seq(Server).wrapping_add(1_000_000);
    assert_eq!(wire.interest, Interest::Behind(end));
    wire.data(Client, b"");
    assert_ne!(wire.interest, Interest::Behind(end), "the client's direction goes on");
    wire.data(Server, &[7; 1000]);
    assert_eq!(wire.interest, Interest::Behind(end), "its end does not move");
    wire.elided(Server, &[7; 1000], 0);
    assert_eq!(wire.interest, Interest::Payload);
}

#[test]
fn short_bodies_and_those_whose_end_is_not_known_are_copied() {
    assert_eq!(answered(200_000).interest, Interest::Payload);
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, GET);
    wire.data(Server, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf00000\r\n");
    assert_eq!(wire.interest, Interest::Payload);
}

#[test]
fn a_very_long_body_is_named_piece_by_piece() {
    let piece = u64::from(MAX_REST);
    let mut wire = answered(3 * piece + 300_000);
    let first = wire.seq(Server).wrapping_add(300_000);
    assert_eq!(wire.interest, Interest::Behind(first));
    wire.data(Server, &vec![7; 300_001]);
    assert_eq!(wire.interest, Interest::Behind(first.wrapping_add(MAX_REST)));
}

#[test]
fn nothing_is_named_while_something_is_missing() {
    let mut wire = answered(1_000_000);
    wire.lose(Server, &[7; 1000]);
    wire.data(Server, &[7; 1000]);
    assert_eq!(wire.interest, Interest::Payload);
}

#[test]
fn what_follows_a_body_that_was_left_out_is_decoded() {
    let (mut eliding, mut copying) = (answered(300_000), answered(300_000));
    for part in [&[7; 100_000][..]; 3] {
        eliding.elided(Server, part, 0);
        copying.data(Server, part);
    }
    for wire in [&mut eliding, &mut copying] {
        wire.data(Client, GET);
        wire.data(Server, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        wire.fin(Client);
        wire.fin(Server);
        wire.finish();
    }
    let told = eliding.told();
    assert_eq!(told, copying.told());
    assert_eq!(told.iter().filter(|event| event.starts_with("http.response")).count(), 2);
}
