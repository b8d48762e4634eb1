//! Every message of every connection: IPv4 and IPv6, loopback and veth, small messages and large.

use crate::{
    Script, assert_shows,
    client::{Client, Say},
    netns::{HERE, Namespace},
    server::Server,
    talk,
    tracer::Tracer,
};

/// Lengths around those at which the frame header grows, and others.
const LENGTHS: [usize; 12] = [0, 1, 2, 3, 64, 124, 125, 126, 127, 128, 500, 1000];
const LARGE: usize = 3 << 20;

/// Texts, binaries, fragments and pings of all small lengths.
pub(crate) fn small(client: &mut Client) {
    for (n, len) in LENGTHS.into_iter().enumerate() {
        client.say(Say::text(n, len));
        client.say(Say::binary(n, len));
        client.say(Say::text(n, len).in_fragments(2));
        client.say(Say::binary(n, len).in_fragments(3));
    }
}

/// The same as a value, for several clients at once.
pub(crate) const SMALL: Script = small;

/// Messages of megabytes.
pub(crate) fn large(client: &mut Client) {
    client.say(Say::text(1, LARGE));
    client.say(Say::binary(2, LARGE).in_fragments(4));
    client.say(Say::text(3, 100));
}

fn on_loopback(ip: &str, scripts: &[Script]) {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, ip, scripts.len());
    let tracer = Tracer::start(&namespace, &["--port", "7272"]);
    let said = talk(&namespace, server, scripts);
    assert_shows(&tracer.interrupt(), said);
}

fn on_veth(ip: &str, scripts: &[Script]) {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, ip, scripts.len());
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    let said = talk(&there, server, scripts);
    assert_shows(&tracer.interrupt(), said);
}

#[test]
fn small_messages_on_ipv4_loopback() {
    on_loopback("127.0.0.1", &[SMALL; 4]);
}

#[test]
fn small_messages_on_ipv6_loopback() {
    on_loopback("::1", &[SMALL; 4]);
}

#[test]
fn small_messages_on_ipv4_veth() {
    on_veth(HERE[0], &[SMALL; 4]);
}

#[test]
fn small_messages_on_ipv6_veth() {
    on_veth(HERE[1], &[SMALL; 4]);
}

#[test]
fn large_messages_on_ipv4_loopback() {
    on_loopback("127.0.0.1", &[large, large, small]);
}

#[test]
fn large_messages_on_ipv6_loopback() {
    on_loopback("::1", &[large, large, small]);
}

#[test]
fn large_messages_on_ipv4_veth() {
    on_veth(HERE[0], &[large, large, small]);
}

#[test]
fn large_messages_on_ipv6_veth() {
    on_veth(HERE[1], &[large, large, small]);
}
