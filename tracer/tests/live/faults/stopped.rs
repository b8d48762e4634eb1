//! SIGSTOP under load: nobody who is watched waits for a tracer that does not run. It says what it
//! missed, and goes on with the connections that it knew.

use super::{count, ends_with, missing, small_ring};
use crate::{
    attached::attached,
    client::{Client, Say},
    netns::{HERE, Namespace},
    observed::Event,
    server::Server,
    tracer::{Tracer, wait_for},
};

const CLIENTS: usize = 2;
/// Many times what the ring holds.
const MISSED: usize = 400;
/// So few at a time that the ring holds them, however slow the tracer is.
const AFTERWARDS: usize = 30;

/// The conversation's messages as text that occurs once.
fn marked(word: &str, n: usize) -> Say {
    Say::text(n, 40).saying(&format!("{word} {n} "))
}

fn events_of<'e>(events: &'e [Event], client: &str, kind: &str) -> Vec<&'e Event> {
    let is_its = |e: &&Event| e.kind() == kind && e.text("client") == Some(client);
    events.iter().filter(is_its).collect()
}

/// The texts that a side was shown to have said, of those with this word.
fn told<'e>(events: &'e [Event], client: &str, from: &str, word: &str) -> Vec<&'e str> {
    let messages = events_of(events, client, "ws.message").into_iter();
    let of_side = messages.filter(|e| e.text("from") == Some(from));
    of_side.filter_map(|e| e.text("text")).filter(|text| text.starts_with(word)).collect()
}

#[test]
fn a_stopped_tracer_holds_nobody_up_says_what_it_missed_and_goes_on() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, HERE[0], CLIENTS);
    let tracer = Tracer::start(&here, &small_ring());
    let mut clients = [(); CLIENTS].map(|()| Client::connect(&there, server.address()));
    for client in &mut clients {
        client.say(marked("before", 0));
    }
    wait_for("what was said before", || ends_with(tracer.output(), "before 0").then_some(()));
    tracer.pause();
    // Each waits for its echo: it would hang if anything waited for the tracer.
    for n in 0..MISSED {
        clients.iter_mut().for_each(|client| client.say(Say::text(n, 1000)));
    }
    tracer.resume();
    wait_for("the tracer to catch up", || {
        clients.iter_mut().for_each(|client| client.say(marked("again", 0)));
        ends_with(tracer.output(), "again 0").then_some(())
    });
    for n in 0..AFTERWARDS {
        for client in &mut clients {
            client.say(marked("after", n));
        }
    }
    let last = format!("after {} ", AFTERWARDS - 1);
    wait_for("what was said afterwards", || ends_with(tracer.output(), &last).then_some(()));
    let logs = clients.map(Client::close);
    server.logs();
    let events = tracer.interrupt().events();
    assert_eq!(attached(&here), []);
    assert!(count(&events, "lost") > 0, "{}", events.last().expect("events"));
    for log in logs {
        went_on(&events, &log.client);
    }
}

/// Checks what is told of a client.
fn went_on(events: &[Event], client: &str) {
    for from in ["client", "server"] {
        assert!(missing(events, client, from, "lost") > 0, "{client} {from} lost nothing");
        // Framing is found again within the first messages, and from then on nothing is missing.
        let expected: Vec<_> = (AFTERWARDS / 2..AFTERWARDS).collect();
        let shown = told(events, client, from, "after").into_iter();
        let shown: Vec<usize> = shown.map(number).collect();
        assert!(shown.ends_with(&expected), "{client} {from}: {shown:?}");
    }
    for kind in ["tcp.open", "ws.open", "tcp.close"] {
        assert_eq!(events_of(events, client, kind).len(), 1, "{client} {kind}");
    }
    let numbers: std::collections::BTreeSet<_> =
        events_of(events, client, "ws.message").iter().map(|e| e.number("conn")).collect();
    assert_eq!(numbers.len(), 1, "it is the same connection: {numbers:?}");
}

/// The second word.
fn number(text: &str) -> usize {
    let number = text.split(' ').nth(1).and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no number in {text}"))
}
