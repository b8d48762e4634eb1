//! Trackers that share a run: each has connections of its own.

use std::{collections::BTreeSet, net::SocketAddr};

use super::wire::{Client, Wire, options};
use crate::session::{Limits, Options, Tracker};

fn several(limits: Limits) -> [Wire; 2] {
    let options = Options { limits, ..options() };
    let mut wires = Tracker::several(options, 2).into_iter().map(Wire::watched_by);
    [(); 2].map(|()| wires.next().unwrap())
}

fn from_port(wire: &mut Wire, port: u16) {
    wire.client = SocketAddr::from(([10, 0, 0, 1], port)).into();
}

fn connect(wire: &mut Wire, port: u16) {
    from_port(wire, port);
    wire.connect();
}

/// Has a connection hold so many bytes, which wait for one that is missing.
fn hold(wire: &mut Wire, port: u16, bytes: usize) {
    connect(wire, port);
    wire.lose(Client, b"x");
    wire.data(Client, &vec![0; bytes]);
}

/// How many connections were given up.
fn evicted(wire: &mut Wire) -> usize {
    wire.events().iter().filter(|event| event["how"] == "evicted").count()
}

#[test]
fn no_two_connections_have_the_same_number() {
    let mut wires = several(Limits::default());
    for port in 1..=5 {
        wires.iter_mut().for_each(|wire| connect(wire, port));
    }
    let events = wires.iter_mut().flat_map(Wire::events);
    let numbers: Vec<_> = events.map(|event| event["conn"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), 10, "a `tcp.open` each");
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), (1..=10).collect());
}

#[test]
fn together_they_follow_as_many_connections_as_are_allowed() {
    let [mut busy, mut quiet] = several(Limits { connections: 100, ..Limits::default() });
    (1..=75).for_each(|port| connect(&mut busy, port));
    (1..=25).for_each(|port| connect(&mut quiet, port));
    assert_eq!((evicted(&mut busy), evicted(&mut quiet)), (0, 0));
    connect(&mut busy, 76);
    connect(&mut quiet, 26);
    assert_eq!((evicted(&mut busy), evicted(&mut quiet)), (1, 1));
    assert_eq!(busy.tracker.stats().flows + quiet.tracker.stats().flows, 100);
}

#[test]
fn one_that_holds_all_it_can_leaves_the_other_its_part() {
    let [mut busy, mut quiet] = several(Limits { memory: 100_000, ..Limits::default() });
    (1..=7).for_each(|port| hold(&mut busy, port, 10_000));
    assert_eq!(evicted(&mut busy), 0, "three quarters are there for one");
    hold(&mut quiet, 1, 20_000);
    assert_eq!(evicted(&mut quiet), 0);
    hold(&mut busy, 8, 10_000);
    hold(&mut quiet, 2, 10_000);
    assert!(evicted(&mut busy) > 0 && evicted(&mut quiet) > 0);
}

#[test]
fn what_one_holds_no_more_the_other_can() {
    let [mut first, mut second] = several(Limits { memory: 100_000, ..Limits::default() });
    (1..=7).for_each(|port| hold(&mut first, port, 10_000));
    first.wait(Limits::default().idle);
    assert_eq!(first.tracker.stats().flows, 0);
    (1..=7).for_each(|port| hold(&mut second, port, 10_000));
    assert_eq!(evicted(&mut second), 0);
}
