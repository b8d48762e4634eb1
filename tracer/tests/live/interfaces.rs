//! Which interfaces are looked at: named ones, any, those that come and go; and a segment that
//! passes several of them is shown once.

use crate::{
    assert_shows,
    attached::is_traced,
    netns::{HERE, Namespace},
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

#[test]
fn a_named_interface_is_traced_and_no_other() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let tracer = Tracer::start(&here, &["--port", "7272", "--interface", "veth0"]);
    talk(&here, Server::start(&here, "127.0.0.1", 1), &[SMALL]);
    let said = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    assert_shows(&tracer.interrupt(), said);
}

#[test]
fn several_interfaces_can_be_named() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let tracer = Tracer::start(&here, &["--port", "7272", "-i", "lo,veth0"]);
    let (mut clients, mut servers) = talk(&here, Server::start(&here, "127.0.0.1", 1), &[SMALL]);
    let more = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    clients.extend(more.0);
    servers.extend(more.1);
    assert_shows(&tracer.interrupt(), (clients, servers));
}

#[test]
fn an_interface_that_appears_later_is_traced() {
    let here = Namespace::new();
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    let there = here.connect("veth0");
    wait_for("the new interface to be traced", || is_traced(&here, "veth0").then_some(()));
    let said = talk(&there, Server::start(&here, HERE[1], 2), &[SMALL; 2]);
    assert_shows(&tracer.interrupt(), said);
}

#[test]
fn an_interface_that_vanishes_does_no_harm() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    let (mut clients, mut servers) = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    here.ip("link del veth0");
    let more = talk(&here, Server::start(&here, "::1", 1), &[SMALL]);
    clients.extend(more.0);
    servers.extend(more.1);
    assert_shows(&tracer.interrupt(), (clients, servers));
}

#[test]
fn an_interface_that_comes_back_is_traced_again() {
    let here = Namespace::new();
    let _first = here.connect("veth0");
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    here.ip("link del veth0");
    let there = here.connect("veth0");
    wait_for("the interface to be traced again", || is_traced(&here, "veth0").then_some(()));
    let said = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    assert_shows(&tracer.interrupt(), said);
}

#[test]
fn a_message_that_passes_a_bridge_and_its_port_is_shown_once() {
    let here = Namespace::new();
    let there = here.cable("veth0");
    here.ip("link add bridge0 type bridge");
    here.ip("link set veth0 master bridge0");
    here.ip("link set veth0 up");
    here.address("bridge0", HERE);
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    let said = talk(&there, Server::start(&here, HERE[0], 2), &[SMALL; 2]);
    assert_shows(&tracer.interrupt(), said);
}

#[test]
fn a_message_to_an_own_address_that_is_not_loopback_is_shown_once() {
    // The kernel sends it over `lo`.
    let here = Namespace::new();
    let _there = here.connect("veth0");
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    let said = talk(&here, Server::start(&here, HERE[0], 1), &[SMALL]);
    assert_shows(&tracer.interrupt(), said);
}
