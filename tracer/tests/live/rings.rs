//! Several ring buffers, each with a consumer of its own: who gets what, and that nobody can tell
//! from what is shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Stdio},
};

use aya::maps::{MapData, RingBuf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tracer::{
    capture::live::{
        attach::{Attachment, Attachments},
        interface::{Interface, LinkLayer},
        program::{Classifier, Settings},
        ring::Records,
    },
    cli::Attach,
    config::PortList,
};
use tracer_common::packet::flags::FIN;

use crate::{
    Script, assert_nothing_lost,
    attached::{attached, is_one_set},
    client::Say,
    log::conversations,
    netns::{HERE, Namespace},
    observed::{self, Event, assert_same},
    server::Server,
    talk,
    tracer::{Finished, Tracer, wait_for},
    traffic::SMALL,
};

const RINGS: u32 = 4;
const RING_SIZE: u32 = 1 << 20;
const CONNECTIONS: usize = 32;

/// The classifier with so many rings, which hold everything.
fn load(rings: u32) -> Classifier {
    let ports: PortList = "7272".parse().expect("a port");
    let settings = Settings {
        rings,
        ring_size: RING_SIZE,
        snaplen: u32::MAX,
        pure_acks: false,
        shown: u32::MAX,
    };
    Classifier::load(settings, &ports.set()).expect("it can be loaded")
}

/// The classifier with several rings, on the loopback interface of a namespace.
fn classifier(namespace: &Namespace) -> (Classifier, Attachments) {
    let mut classifier = load(RINGS);
    let mut attachments = Attachments::new(Attach::Auto);
    let loopback = Interface {
        index: 1,
        name: "lo".to_owned(),
        layer: Some(LinkLayer::Ethernet),
        is_loopback: true,
        is_up: true,
    };
    let attached = namespace.run(|| attachments.attach(&mut classifier, &loopback));
    assert_eq!(attached.expect("it can be attached"), Attachment::New);
    (classifier, attachments)
}

/// What one side of a connection sent.
#[derive(Debug, Default, Clone, Copy)]
struct Sent {
    records: usize,
    is_ended: bool,
}

/// What client and server of each connection sent, by the client's port.
type Connections = BTreeMap<u16, [Sent; 2]>;

/// Takes what is in a ring now.
fn take(ring: &mut Records, connections: &mut Connections) {
    ring.drain(|segment| {
        let ports = [segment.source.port, segment.destination.port];
        let sender = usize::from(ports[0] == 7272);
        let sent = &mut connections.entry(ports[sender]).or_default()[sender];
        sent.records += 1;
        sent.is_ended |= segment.flags & FIN != 0;
        true
    });
}

/// What came into each ring, when all connections have ended: nobody waits for the last segments, and
/// a record that another CPU is still writing hides those behind it.
fn wait_for_all(rings: Vec<RingBuf<MapData>>) -> Vec<Connections> {
    let mut rings: Vec<_> = rings
        .into_iter()
        .map(|ring| (Records::new(ring, RING_SIZE as usize), Connections::new()))
        .collect();
    wait_for("both sides' ends of all connections", || {
        rings.iter_mut().for_each(|(ring, connections)| take(ring, connections));
        let sides = rings.iter().flat_map(|(_, connections)| connections.values().flatten());
        (sides.filter(|sent| sent.is_ended).count() == 2 * CONNECTIONS).then_some(())
    });
    rings.into_iter().map(|(_, connections)| connections).collect()
}

#[test]
fn both_directions_of_a_connection_go_into_one_ring_and_connections_into_several() {
    for ip in ["127.0.0.1", "::1"] {
        let namespace = Namespace::new();
        let (mut classifier, mut attachments) = classifier(&namespace);
        let server = Server::start(&namespace, ip, CONNECTIONS);
        let script: Script = |client| client.say(Say::text(1, 100));
        talk(&namespace, server, &[script; CONNECTIONS]);
        let rings = wait_for_all(classifier.take_records().expect("the rings are there"));
        assert_eq!(rings.len(), RINGS as usize);
        let used = rings.iter().filter(|connections| !connections.is_empty()).count();
        assert!(used > 1, "{rings:?}");
        let ports: BTreeSet<_> = rings.iter().flat_map(BTreeMap::keys).collect();
        let connections: usize = rings.iter().map(BTreeMap::len).sum();
        assert_eq!((ports.len(), connections), (CONNECTIONS, CONNECTIONS), "{rings:?}");
        // SYN, request or response, message, close frame, FIN: some may share a segment.
        let mut sides = rings.iter().flat_map(BTreeMap::values).flatten();
        assert!(sides.all(|sent| sent.records >= 3), "{rings:?}");
        attachments.detach_all(&mut classifier);
    }
}

/// What was told of each connection by each side, and the last `stats`, without what differs from
/// run to run.
fn told(finished: &Finished) -> (BTreeMap<String, Vec<String>>, String) {
    let events = finished.events();
    assert_nothing_lost(&events);
    let is_alone = |kind| events.iter().filter(|event| event.kind() == kind).count() == 1;
    assert!(events[0].kind() == "start" && is_alone("start") && is_alone("stats"));
    let mut told = BTreeMap::<_, Vec<_>>::new();
    for event in &events[1..events.len() - 1] {
        // Peers may close at the same time, on two CPUs: each classifier has an order of its own.
        let side = if event.kind() == "tcp.close" { None } else { event.text("from") };
        let who = format!("{:?} {side:?}", event.text("client"));
        told.entry(who).or_default().push(without_time(event));
    }
    (told, events.last().map(without_time).expect("events"))
}

/// An event without times and durations, and without its connection's number; an end without whose.
fn without_time(event: &Event) -> String {
    let mut value: Value = event.as_ref().clone();
    let fields = value.as_object_mut().expect("checked when parsed");
    fields.retain(|name, _| {
        name != "ts" && !name.ends_with("_us") && !name.ends_with("_ms") && name != "conn"
    });
    if event.kind() == "tcp.close" {
        fields.retain(|name, _| name != "from" && name != "by");
    }
    value.to_string()
}

/// The number of each client's connection.
fn numbers(events: &[Event]) -> BTreeSet<(&str, u64)> {
    let of_connections = events.iter().filter_map(|e| Some((e.text("client")?, e.number("conn")?)));
    of_connections.collect()
}

fn wait_for_the_ends(tracer: &Tracer) {
    wait_for("all connections to end", || {
        (tracer.times_told("tcp.close") == CONNECTIONS).then_some(())
    });
}

#[test]
fn several_threads_tell_what_one_does() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, HERE[1], CONNECTIONS);
    let one = Tracer::start(&here, &["--port", "7272", "--threads", "1"]);
    let several = Tracer::start(&here, &["--port", "7272", "--threads", "4"]);
    let (clients, servers) = talk(&there, server, &[SMALL; CONNECTIONS]);
    wait_for_the_ends(&one);
    wait_for_the_ends(&several);
    let (one, several) = (one.interrupt(), several.interrupt());
    let said = conversations(clients);
    assert_same(&conversations(servers), &said);
    assert_same(&said, &observed::conversations(&several.events()));
    let (of_one, of_several) = (told(&one), told(&several));
    for (side, events) in &of_one.0 {
        assert_eq!(Some(events), of_several.0.get(side), "{side}");
    }
    assert_eq!(of_one.0.len(), of_several.0.len());
    assert_eq!(of_one.1, of_several.1, "the totals");
    let events = several.events();
    let given: Vec<_> = numbers(&events).into_iter().map(|(_, number)| number).collect();
    assert_eq!(given.len(), CONNECTIONS, "one for each connection");
    assert_eq!(given.into_iter().collect::<BTreeSet<_>>(), (1..=CONNECTIONS as u64).collect());
    assert!(several.stderr.contains(", 4 threads;"), "{}", several.stderr);
}

#[test]
fn a_count_is_of_all_threads_together() {
    const WANTED: usize = 70;
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", CONNECTIONS);
    let options = ["--port", "7272", "--threads", "4", "--count", "70"];
    let tracer = Tracer::start(&namespace, &options);
    let script: Script = |client| (0..10).for_each(|n| client.say(Say::text(n, 10)));
    talk(&namespace, server, &[script; CONNECTIONS]);
    let events = tracer.wait().events();
    assert_eq!(events.iter().filter(|event| event.kind() == "ws.message").count(), WANTED);
    assert_eq!(events.last().map(Event::kind), Some("stats"));
}

#[test]
fn several_threads_end_though_nobody_reads() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", 8);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(["--format", "json", "--threads", "4"]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = namespace.run(|| command.spawn()).expect("the tracer starts");
    let is_attached = || is_one_set(&attached(&namespace)).then_some(());
    wait_for("the tracer to be attached", is_attached);
    let script: Script = |client| (0..200).for_each(|n| client.say(Say::text(n, 2000)));
    talk(&namespace, server, &[script; 8]);
    kill_process(Pid::from_child(&child), Signal::INT).expect("the tracer is still there");
    let status = wait_for("the tracer to end", || child.try_wait().expect("it is our child"));
    // Only now is read what it has written, and it is not all.
    let output = child.wait_with_output().expect("it has ended");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the output is blocked"), "{stderr}");
    assert_eq!(attached(&namespace), []);
}

#[test]
fn several_threads_without_a_segment_are_a_failure_too() {
    let namespace = Namespace::new();
    let finished = Tracer::start(&namespace, &["--threads", "4"]).interrupt();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("no segment on port 7272"), "{}", finished.stderr);
}
