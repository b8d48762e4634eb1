//! A wire that loses packets, doubles them and lets some overtake others: TCP repairs that for the
//! endpoints, so the tracer has to show what they say, whichever end it is at.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    Script, assert_shows,
    client::{Client, Say},
    elision::Both,
    netns::{HERE, Namespace},
    observed::Event,
    server::Server,
    talk,
    tracer::Tracer,
    traffic::SMALL,
    wire::{Faults, Wire},
};

/// Enough to keep several segments under way.
fn long(client: &mut Client) {
    for n in 0..3 {
        client.say(Say::binary(n, 200_000).in_fragments(3));
        client.say(Say::text(n, 50_000));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum At {
    Server,
    Client,
}

fn is_shown(at: At, faults: Faults, scripts: &[Script], options: &[&str]) {
    let here = Namespace::new();
    let (wire, there) = Wire::lay(&here, faults);
    let server = Server::start(&here, HERE[0], scripts.len());
    let side = if at == At::Server { &here } else { &there };
    let tracer = Tracer::start(side, &[&["--port", "7272"], options].concat());
    let said = talk(&there, server, scripts);
    let finished = tracer.interrupt();
    let done = wire.cut();
    eprintln!("{done:?}");
    assert_shows(&finished, said);
}

#[test]
fn one_in_a_hundred() {
    let faults = Faults { lost: 1, doubled: 1, late: 1, ..Faults::default() };
    for at in [At::Server, At::Client] {
        is_shown(at, faults, &[SMALL, SMALL, long, long], &[]);
    }
}

#[test]
fn one_in_twenty() {
    let faults = Faults { lost: 5, doubled: 5, late: 5, ..Faults::default() };
    for at in [At::Server, At::Client] {
        is_shown(at, faults, &[SMALL, SMALL, long, long], &[]);
    }
}

#[test]
fn one_in_five() {
    let faults = Faults { lost: 20, doubled: 20, late: 20, ..Faults::default() };
    for at in [At::Server, At::Client] {
        is_shown(at, faults, &[SMALL, SMALL], &[]);
    }
}

#[test]
fn a_segment_that_arrives_seconds_later_than_those_behind_it_is_no_gap() {
    // Longer than what the tracer waits for a segment that it may itself have missed.
    let faults = Faults { stuck: Duration::from_secs(5), ..Faults::default() };
    for at in [At::Client, At::Server] {
        is_shown(at, faults, &[SMALL, long], &[]);
    }
}

#[test]
fn each_segment_that_was_sent_again_is_shown_with_all_others() {
    let here = Namespace::new();
    let faults = Faults { lost: 20, doubled: 20, late: 20, ..Faults::default() };
    let (wire, there) = Wire::lay(&here, faults);
    let server = Server::start(&here, HERE[0], 1);
    let sides = [&here, &there].map(|side| Tracer::start(side, &["--port", "7272", "--segments"]));
    let said = talk(&there, server, &[SMALL]);
    let finished = sides.map(Tracer::interrupt);
    wire.cut();
    let sent_twice = finished.each_ref().map(|finished| {
        let events = finished.events();
        let segments = events.iter().filter(|e| e.kind() == "segment" && e.number("len") > Some(0));
        let key = |e: &Event| (e.text("from").map(str::to_owned), e.number("raw_seq"));
        let mut seen = BTreeSet::new();
        segments.filter(|segment| !seen.insert(key(segment))).count()
    });
    assert!(sent_twice.iter().all(|count| *count > 0), "{sent_twice:?}");
    for finished in finished {
        assert_shows(&finished, said.clone());
    }
}

#[test]
fn what_stays_in_the_kernel_makes_no_difference_on_a_bad_wire() {
    let here = Namespace::new();
    let faults = Faults { lost: 3, doubled: 3, late: 3, ..Faults::default() };
    let (wire, there) = Wire::lay(&here, faults);
    let server = Server::start(&here, HERE[0], 2);
    let both =
        [&here, &there].map(|side| Both::start(side, &["--payload-limit", "1000", "--frames"]));
    talk(&there, server, &[long, long]);
    // The endpoints are done before their last segments have arrived.
    both.iter().for_each(|both| both.wait_for_ends(2));
    // What is still under way, the one would see and the other, which ends later, would not.
    wire.cut();
    for both in both {
        assert!(both.compare() > 0, "something was left out");
    }
}
