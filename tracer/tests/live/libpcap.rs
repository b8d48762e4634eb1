//! The same conversations through libpcap: `--source libpcap` shows what the classifier would.

use std::collections::HashSet;

use crate::{
    assert_shows,
    netns::{HERE, Namespace},
    server::Server,
    talk,
    tracer::{Finished, Tracer},
    traffic::{SMALL, large},
};

const ANY: &[&str] = &["--port", "7272", "--source", "libpcap", "--segments"];
const NAMED: &[&str] = &["--port", "7272", "--source", "libpcap", "-i", "lo,veth0", "--segments"];

/// Checks that no segment with data was shown twice, as loopback and `any` could. TCP itself sends
/// some again, within microseconds where a thread that changed CPUs reordered a packet: not more
/// than the kernel has counted.
fn assert_once(finished: &Finished, namespaces: &[&Namespace]) {
    let events = finished.events();
    let mut seen = HashSet::new();
    let segments = events.iter().filter(|e| e.kind() == "segment" && e.number("len") != Some(0));
    let repeated = segments.filter(|event| {
        let numbers = ["conn", "raw_seq", "raw_ack", "win", "len"].map(|field| event.number(field));
        let texts = ["from", "flags", "options"].map(|field| event.text(field));
        !seen.insert((numbers, texts))
    });
    let repeated = repeated.count() as u64;
    let sent_again = namespaces.iter().map(|namespace| namespace.sent_again()).sum::<u64>();
    assert!(!seen.is_empty());
    assert!(repeated <= sent_again, "{repeated} shown twice, {sent_again} sent again");
}

fn over_loopback(ip: &str, options: &[&str]) {
    let namespace = Namespace::new();
    let _there = namespace.connect("veth0");
    let server = Server::start(&namespace, ip, 3);
    let tracer = Tracer::start(&namespace, options);
    let said = talk(&namespace, server, &[SMALL, SMALL, large]);
    let finished = tracer.interrupt();
    assert_once(&finished, &[&namespace]);
    assert_shows(&finished, said);
}

#[test]
fn on_loopback_of_any_interface() {
    over_loopback("127.0.0.1", ANY);
    over_loopback("::1", ANY);
}

#[test]
fn on_loopback_by_name() {
    over_loopback("127.0.0.1", NAMED);
}

#[test]
fn on_veth() {
    for (ip, options) in [(HERE[0], ANY), (HERE[1], NAMED)] {
        let here = Namespace::new();
        let there = here.connect("veth0");
        let server = Server::start(&here, ip, 2);
        let tracer = Tracer::start(&here, options);
        let said = talk(&there, server, &[SMALL, large]);
        let finished = tracer.interrupt();
        assert_once(&finished, &[&here, &there]);
        assert_shows(&finished, said);
    }
}

#[test]
fn an_interface_that_goes_away_ends_the_run_and_is_named() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, HERE[0], 1);
    let tracer = Tracer::start(&here, NAMED);
    talk(&there, server, &[SMALL]);
    here.ip("link del veth0");
    let finished = tracer.wait();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("cannot capture on veth0 any more"), "{}", finished.stderr);
}
