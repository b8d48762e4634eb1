//! Interfaces that are renamed, go down, move to another namespace, come back, and vanish while the
//! tracer looks at them.

use std::fs;

use crate::{
    assert_shows,
    attached::{attached, is_one_set, is_traced},
    client::{Client, Say},
    netns::{HERE, Namespace, THERE},
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

const ANY: &[&str] = &["--port", "7272"];

/// How many descriptors the tracer has that keep it attached (TCX only).
fn links(tracer: &Tracer) -> usize {
    let descriptors =
        fs::read_dir(format!("/proc/{}/fd", tracer.pid().as_raw_pid())).expect("it runs");
    let targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("bpf_link")).count()
}

/// How many of the classifiers are attached by TCX.
fn tcx(namespace: &Namespace) -> usize {
    attached(namespace).iter().filter(|(_, _, how, _)| *how == "tcx").count()
}

fn wait_until_traced(namespace: &Namespace, interface: &str) {
    wait_for("the interface to be traced", || is_traced(namespace, interface).then_some(()));
}

#[test]
fn a_renamed_interface_stays_traced_under_its_new_name() {
    for options in [ANY, &["--port", "7272", "-i", "veth0"]] {
        let here = Namespace::new();
        let there = here.connect("veth0");
        let server = Server::start(&here, HERE[0], 1);
        let tracer = Tracer::start(&here, options);
        let mut client = Client::connect(&there, server.address());
        client.say(Say::text(1, 100));
        here.ip("link set veth0 down");
        here.ip("link set veth0 name front");
        here.ip("link set front up");
        client.say(Say::text(2, 100));
        let said = (vec![client.close()], server.logs());
        assert!(is_traced(&here, "front"));
        here.ip("link del front");
        wait_for("nothing to be attached", || (!is_traced(&here, "front")).then_some(()));
        let finished = tracer.interrupt();
        for sentence in ["veth0 is front now", "front is gone"] {
            assert!(finished.stderr.contains(sentence), "{sentence}: {}", finished.stderr);
        }
        assert_shows(&finished, said);
        assert_eq!(attached(&here), []);
    }
}

#[test]
fn news_that_are_late_put_no_classifier_on_another_interface() {
    let here = Namespace::new();
    let tracer = Tracer::start(&here, ANY);
    tracer.pause();
    // When the tracer hears of the first as `veth0`, the second has that name.
    let first = here.cable("veth0");
    let second = here.cable("veth1");
    for rename in ["veth0 name spare", "veth1 name veth0", "spare name veth1"] {
        here.ip(&format!("link set {rename}"));
    }
    here.address("veth1", HERE);
    here.ip("link set veth0 up");
    tracer.resume();
    wait_until_traced(&here, "veth0");
    wait_until_traced(&here, "veth1");
    assert!(is_one_set(&attached(&here)), "{:?}", attached(&here));
    // Each is detached when it goes, not the other.
    here.ip("link del veth0");
    drop(second);
    wait_for("the name to be gone", || (!is_traced(&here, "veth0")).then_some(()));
    let said = talk(&first, Server::start(&here, HERE[0], 1), &[SMALL]);
    assert_eq!(links(&tracer), tcx(&here));
    assert_shows(&tracer.interrupt(), said);
    assert_eq!(attached(&here), []);
}

#[test]
fn an_interface_that_goes_down_and_up_stays_traced() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, HERE[0], 1);
    let tracer = Tracer::start(&here, ANY);
    let mut client = Client::connect(&there, server.address());
    for n in 0..3 {
        client.say(Say::text(n, 100));
        here.ip("link set veth0 down");
        assert!(is_traced(&here, "veth0"));
        here.ip("link set veth0 up");
    }
    client.say(Say::binary(3, 5000));
    assert!(is_one_set(&attached(&here)), "{:?}", attached(&here));
    let said = (vec![client.close()], server.logs());
    assert_shows(&tracer.interrupt(), said);
}

#[test]
fn an_interface_in_another_namespace_is_not_traced_until_it_is_back() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let away = here.another();
    let tracer = Tracer::start(&here, ANY);
    let (mut clients, mut servers) = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    here.ip(&format!("link set veth0 netns {}", away.path()));
    wait_for("it to be left alone", || (!is_traced(&away, "veth0")).then_some(()));
    away.address("veth0", HERE);
    // This is not for us to see.
    talk(&there, Server::start(&away, HERE[0], 1), &[SMALL]);
    assert_eq!(attached(&away), []);
    away.ip(&format!("link set veth0 netns {}", here.path()));
    here.address("veth0", HERE);
    wait_until_traced(&here, "veth0");
    let more = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    clients.extend(more.0);
    servers.extend(more.1);
    assert!(is_one_set(&attached(&here)), "{:?}", attached(&here));
    assert_eq!(links(&tracer), tcx(&here));
    assert_shows(&tracer.interrupt(), (clients, servers));
    assert_eq!(attached(&here), []);
}

#[test]
fn what_comes_and_goes_leaves_no_links_behind() {
    let here = Namespace::new();
    let tracer = Tracer::start(&here, ANY);
    let before = (attached(&here), links(&tracer));
    for _ in 0..10 {
        here.ip("link add veth0 type veth peer name veth1");
        here.ip("link set veth0 up");
        here.ip("link del veth0");
    }
    // Slower than that, so that it is attached to.
    for _ in 0..3 {
        here.ip("link add veth0 type veth peer name veth1");
        wait_until_traced(&here, "veth0");
        wait_until_traced(&here, "veth1");
        here.ip("link del veth0");
    }
    let is_as_before = || ((attached(&here), links(&tracer)) == before).then_some(());
    wait_for("everything to be as before", is_as_before);
    let said = talk(&here, Server::start(&here, "127.0.0.1", 1), &[SMALL]);
    assert_shows(&tracer.interrupt(), said);
}

#[test]
fn what_vanishes_within_a_connection_does_no_harm_to_others() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, HERE[0], 1);
    let lasting = Server::start(&here, "127.0.0.1", 1);
    let tracer = Tracer::start(&here, ANY);
    let mut stays = Client::connect(&here, lasting.address());
    let mut client = Client::connect(&there, server.address());
    client.say(Say::text(1, 100));
    here.ip("link del veth0");
    stays.say(Say::text(2, 100));
    // The address went with the interface, so the server hears of the end when it looks.
    let cut = client.vanish();
    let said = stays.close();
    drop(server);
    let finished = tracer.interrupt();
    let shown = crate::observed::conversations(&finished.events());
    let expected = crate::conversations([cut, said]);
    crate::observed::assert_same(&expected, &shown);
    assert!(shown.keys().any(|peer| peer.starts_with(THERE[0])));
    lasting.logs();
}
