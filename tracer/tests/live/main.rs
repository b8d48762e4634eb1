//! The tracer on the running kernel: each test makes network namespaces of its own, lets two
//! independent WebSocket libraries talk in them, and compares what the tracer shows with what both
//! endpoints logged. Needs root; without it every test fails and says so.

#[path = "../exposed/mod.rs"]
mod exposed;
#[path = "../forge/mod.rs"]
mod forge;
#[path = "../observed/mod.rs"]
mod observed;
#[expect(dead_code, reason = "unit tests use more of it")]
#[path = "../../src/test_random.rs"]
mod random;

mod attached;
mod client;
mod device;
mod foreign;
mod held;
mod kernel;
mod log;
mod netns;
mod once;
mod server;
mod tracer;
mod wire;

mod attaching;
mod budget;
mod bypass;
mod elision;
mod faults;
mod full_speed;
mod impaired;
mod injected;
mod inside;
mod interfaces;
mod journal;
#[cfg(feature = "libpcap")]
mod libpcap;
mod links;
mod metrics;
mod moving;
mod offload;
mod others;
mod outputs;
mod privileges;
mod prometheus;
mod reload;
mod removed;
mod rings;
mod service;
mod streams;
mod traffic;

use std::thread;

use client::Client;
use kernel::left_out;
use log::{Log, conversations};
use netns::Namespace;
use observed::{Event, assert_same};
use server::Server;
use tracer::Finished;

/// What one client says.
type Script = fn(&mut Client);

/// Lets a client for each script talk to the server, all at the same time, and returns what both
/// sides logged.
fn talk(from: &Namespace, server: Server, scripts: &[Script]) -> (Vec<Log>, Vec<Log>) {
    let address = server.address();
    let clients = thread::scope(|scope| {
        let run = |script: Script| {
            let mut client = Client::connect(from, address);
            script(&mut client);
            client.close()
        };
        let running: Vec<_> = scripts.iter().map(|&s| scope.spawn(move || run(s))).collect();
        running
            .into_iter()
            .map(|client| client.join().expect("the client got its echoes"))
            .collect()
    });
    (clients, server.logs())
}

/// Checks that the tracer showed exactly what the endpoints said, and lost nothing.
fn assert_shows(finished: &Finished, (clients, servers): (Vec<Log>, Vec<Log>)) {
    let events = finished.events();
    let said = conversations(clients);
    assert_same(&conversations(servers), &said);
    assert_nothing_lost(&events);
    assert_same(&said, &observed::conversations(&events));
}

/// Checks the last `stats` event.
fn assert_nothing_lost(events: &[Event]) {
    let stats = events.last().expect("events");
    assert_eq!(stats.kind(), "stats", "the last event: {stats}");
    assert_eq!(stats.number("lost"), Some(0), "{stats}");
    let gap = events.iter().find(|e| e.kind() == "gap" && e.text("cause") != Some("midstream"));
    assert!(gap.is_none(), "{}; {stats}", gap.unwrap());
}
