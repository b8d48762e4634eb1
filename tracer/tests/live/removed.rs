//! Somebody takes the tracer's classifier away while it runs: it says so, and attaches it again.

use crate::{
    Script, assert_shows,
    attached::{attached, knows_tcx},
    client::{Client, Say},
    log::conversations,
    netns::{HERE, Namespace},
    observed::{self, assert_same},
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

const CLSACT: &[&str] = &["--port", "7272", "--attach", "clsact"];
const SENTENCE: &str = "somebody has removed the classifier from veth0, now it is attached again: what passed in \
     between was not seen";
const ONE: &[Script] = &[SMALL];

/// What the tracer has attached to veth0.
fn at_veth0(namespace: &Namespace) -> usize {
    attached(namespace).iter().filter(|classifier| classifier.0 == "veth0").count()
}

/// A connection that a tracer watches from its beginning, in the first of two namespaces.
fn watched() -> ([Namespace; 2], Server, Tracer, Client) {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, HERE[0], 1);
    let tracer = Tracer::start(&here, CLSACT);
    let client = Client::connect(&there, server.address());
    ([here, there], server, tracer, client)
}

#[test]
fn with_its_qdisc_or_its_filters_it_is_attached_again_and_goes_on() {
    for tc in [
        "qdisc del dev veth0 clsact",
        "filter del dev veth0 ingress",
        "filter del dev veth0 egress",
    ] {
        let ([here, _there], server, tracer, mut client) = watched();
        client.say(Say::text(1, 100));
        here.command("tc", tc);
        wait_for("it to be attached again", || tracer.has_said(SENTENCE));
        assert_eq!(at_veth0(&here), 2);
        client.say(Say::binary(2, 1000));
        let said = conversations([client.close()]);
        server.logs();
        let finished = tracer.interrupt();
        let events = finished.events();
        // Nothing was said while it was away, so all is shown.
        assert_same(&said, &observed::conversations(&events));
        assert_eq!(
            finished.stderr.matches("somebody has removed").count(),
            1,
            "{}",
            finished.stderr
        );
        assert_eq!(attached(&here), []);
        assert!(!here.command("tc", "qdisc show dev veth0").contains("clsact"));
    }
}

#[test]
fn what_passes_in_between_is_a_gap() {
    let ([here, _there], server, tracer, mut client) = watched();
    client.say(Say::text(1, 100));
    wait_for("the first message to be shown", || tracer.has_told("ws.message"));
    here.command("tc", "qdisc del dev veth0 clsact");
    client.say(Say::binary(2, 1000));
    wait_for("it to be attached again", || tracer.has_said(SENTENCE));
    client.say(Say::text(3, 100));
    client.close();
    server.logs();
    let events = tracer.interrupt().events();
    let lost = events.iter().filter(|e| e.kind() == "gap" && e.text("cause") == Some("lost"));
    let senders: Vec<_> = lost.filter_map(|e| e.text("from")).collect();
    assert!(senders.contains(&"client") && senders.contains(&"server"), "{senders:?}");
    let shown = observed::conversations(&events);
    let (_, shown) = shown.first_key_value().expect("one connection");
    let shown =
        [&shown.c2s, &shown.s2c].map(|items| items.iter().filter(|i| i.opcode == "text").count());
    assert_eq!(shown, [2; 2], "before and after");
}

#[test]
fn at_the_end_it_is_told_too() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let tracer = Tracer::start(&here, CLSACT);
    let said = talk(&there, Server::start(&here, HERE[0], 1), ONE);
    here.command("tc", "qdisc del dev veth0 clsact");
    let finished = tracer.interrupt();
    let sentence = "somebody has removed the classifier from veth0: what passed since was not seen";
    assert!(finished.stderr.contains(sentence), "{}", finished.stderr);
    assert_shows(&finished, said);
}

#[test]
fn a_qdisc_that_is_somebody_elses_by_now_stays() {
    let here = Namespace::new();
    let _there = here.connect("veth0");
    let tracer = Tracer::start(&here, CLSACT);
    here.command("tc", "qdisc del dev veth0 clsact");
    here.command("tc", "qdisc add dev veth0 clsact");
    wait_for("it to be attached again", || tracer.has_said(SENTENCE));
    assert_eq!(at_veth0(&here), 2);
    tracer.interrupt();
    assert!(here.command("tc", "qdisc show dev veth0").contains("clsact"));
    assert_eq!(at_veth0(&here), 0);
}

#[test]
fn by_tcx_it_stays_whatever_happens_to_qdiscs() {
    let here = Namespace::new();
    if !knows_tcx(&here) {
        return;
    }
    let there = here.connect("veth0");
    here.command("tc", "qdisc add dev veth0 clsact");
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    here.command("tc", "qdisc del dev veth0 clsact");
    let said = talk(&there, Server::start(&here, HERE[0], 1), ONE);
    let finished = tracer.interrupt();
    assert!(!finished.stderr.contains("removed"), "{}", finished.stderr);
    assert_shows(&finished, said);
}
