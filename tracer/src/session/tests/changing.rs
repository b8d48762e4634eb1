//! Options that change while connections go on.

use tracer_common::ports::PortSet;

use super::wire::{Client, Server, Wire, options};
use crate::{
    segment::Interest,
    session::{Limits, Options},
    ws::test_frames::{frame, masked},
};

fn ports(all: &[u16]) -> PortSet {
    let mut set = PortSet::EMPTY;
    all.iter().for_each(|port| set.insert(*port));
    set
}

#[test]
fn what_is_wanted_anew_is_told_from_the_next_frame_on() {
    let mut wire = Wire::upgraded();
    wire.data(Client, &masked(0x81, b"before"));
    wire.change(&Options { frames: true, ..options() });
    wire.data(Client, &masked(0x81, b"after"));
    assert_eq!(
        wire.told(),
        ["ws.message client before", "ws.frame client", "ws.message client after"]
    );
    assert_eq!(wire.tracker.stats().flows, 1);
}

#[test]
fn connections_of_a_port_that_is_gone_end_and_others_stay() {
    let mut wire = Wire::upgraded();
    wire.change(&Options { ports: ports(&[80, 7272]), ..options() });
    wire.data(Server, &frame(0x81, None, b"still here"));
    assert_eq!(wire.told(), ["ws.message server still here"]);
    // A message of which the end is to come.
    wire.data(Server, &frame(0x01, None, b"half"));
    wire.change(&Options { ports: ports(&[80]), ..options() });
    let told = wire.told();
    assert_eq!(told.last().map(String::as_str), Some("tcp.close untraced"), "{told:?}");
    assert_eq!((wire.tracker.stats().flows, wire.tracker.held()), (0, 0));
    wire.data(Server, &frame(0x80, None, b"lost"));
    assert_eq!((wire.told(), wire.interest), (vec![], Interest::Payload), "it may be wanted again");
}

#[test]
fn a_port_that_comes_back_is_joined_in_the_middle() {
    let mut wire = Wire::upgraded();
    wire.change(&Options { ports: ports(&[80]), ..options() });
    wire.data(Client, &masked(0x81, b"nobody listens"));
    wire.change(&options());
    wire.told();
    wire.data(Client, &masked(0x81, b"back again"));
    wire.data(Client, &masked(0x81, b"and on"));
    let told = wire.told();
    assert!(told.contains(&"ws.open midstream".to_owned()), "{told:?}");
    assert!(told.contains(&"ws.message client and on".to_owned()), "{told:?}");
}

#[test]
fn an_unanswered_syn_of_a_port_that_is_gone_is_forgotten() {
    let mut wire = Wire::new();
    wire.connect();
    wire.client.port += 1;
    wire.send(Client, 2, &[]);
    assert_eq!(wire.tracker.holdings().half_open, 1);
    wire.change(&Options { ports: ports(&[80]), ..options() });
    assert_eq!(wire.tracker.holdings().half_open, 0);
}

#[test]
fn bounds_stay_what_they_were() {
    let mut wire =
        Wire::with(Options { limits: Limits { connections: 1, ..options().limits }, ..options() });
    wire.change(&options());
    wire.connect();
    wire.client.port += 1;
    wire.connect();
    assert_eq!(wire.tracker.stats().flows, 1);
}
