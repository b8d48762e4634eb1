//! A ring that is far too small for bulk traffic: what is shown and what is told to be missing add
//! up to what was sent, byte for byte.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
};

use super::{count, ends_with, missing, small_ring};
use crate::{
    forge::{TEXT, frame},
    netns::Namespace,
    observed::Event,
    server::{HANG, Server},
    tracer::{Tracer, wait_for},
};

const BINARY: u8 = 2;
/// Messages of the bulk, each larger than a record may be.
const MESSAGES: usize = 300;
const LENGTH: usize = 20_000;

const REQUEST: &[u8] = b"GET /bulk HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: \
    Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: \
    Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Each begins with its number and is like no other.
fn bulk(n: usize) -> Vec<u8> {
    let numbers = (0..LENGTH as u64 / 8).map(|i| (n as u64) << 32 | i);
    numbers.flat_map(u64::to_be_bytes).collect()
}

/// Answers the request and then each byte by one, in frames: all bytes that came in and went out.
fn serve(mut stream: TcpStream, _: SocketAddr) -> (usize, usize) {
    let mut received = vec![0; 64 << 10];
    let mut came = stream.read(&mut received).expect("a request");
    let mut sent = Vec::from(RESPONSE);
    (0..MESSAGES).for_each(|n| sent.extend(frame(BINARY, None, &bulk(n))));
    stream.write_all(&sent).expect("the bulk");
    let mut went = sent.len();
    loop {
        match stream.read(&mut received).expect("the client is there") {
            0 => return (came, went),
            count => came += count,
        }
        let answer = frame(TEXT, None, b"answered");
        stream.write_all(&answer).expect("an answer");
        went += answer.len();
    }
}

/// Takes the bulk, and says things until the tracer shows them again: the client's address.
fn talk(server: SocketAddr, tracer: &Tracer) -> SocketAddr {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.set_read_timeout(Some(HANG)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("delay can be switched off");
    stream.write_all(REQUEST).expect("a request");
    let mut reader = stream.try_clone().expect("a copy");
    let drained = thread::spawn(move || reader.read_to_end(&mut Vec::new()).expect("a FIN"));
    wait_for("the tracer to catch up", || {
        let question = frame(TEXT, Some([1, 2, 3, 4]), b"caught up?");
        stream.write_all(&question).expect("a question");
        ["caught up?", "answered"].iter().all(|text| ends_with(tracer.output(), text)).then_some(())
    });
    stream.shutdown(Shutdown::Write).expect("a FIN");
    drained.join().expect("all was read");
    stream.local_addr().expect("it was connected")
}

/// Segments that TCP has sent twice in this namespace, since it was made.
fn sent_again(namespace: &Namespace) -> u64 {
    let snmp = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/snmp"));
    let snmp = snmp.expect("procfs is mounted");
    let mut tcp = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (tcp.next().expect("names"), tcp.next().expect("values"));
    let mut fields = names.split(' ').zip(values.split(' '));
    let (_, value) = fields.find(|(name, _)| *name == "RetransSegs").expect("it is counted");
    value.parse().expect("a number")
}

#[test]
fn what_is_shown_and_what_is_told_to_be_missing_add_up() {
    let namespace = Namespace::new();
    let server = Server::serving(&namespace, "127.0.0.1", 1, serve);
    let options = [&small_ring()[..], &["--payload-limit", "64KiB"]].concat();
    let tracer = Tracer::start(&namespace, &options);
    let client = namespace.run(|| talk(server.address(), &tracer)).to_string();
    let (from_client, from_server) = server.logs()[0];
    wait_for("the end", || ends_with(tracer.output(), "tcp.close").then_some(()));
    let events = tracer.interrupt().events();
    let lost = count(&events, "lost");
    println!("{lost} records lost, {} bytes", count(&events, "lost_bytes"));
    assert!(lost > 0, "the ring was large enough: this test has tested nothing");

    let close = events.iter().find(|e| e.kind() == "tcp.close").expect("it was waited for");
    let came = |from: &str| {
        let bytes = close.number(&format!("{from}_bytes")).expect("bytes");
        bytes + missing(&events, &client, from, "lost")
    };
    let told = [came("client"), came("server")];
    let said = [from_client as u64, from_server as u64];
    if sent_again(&namespace) == 0 {
        assert_eq!(told, said, "{close}");
        let seen = count(&events, "bytes") + count(&events, "lost_bytes");
        assert_eq!(seen, said[0] + said[1], "what the kernel counted");
    } else {
        // What came twice was counted twice.
        assert!(told[0] >= said[0] && told[1] >= said[1], "{told:?} of {said:?}: {close}");
    }
    only_what_was_said(&events);
}

/// Nothing is shown that nobody has said: whole messages are those of the bulk, in their order.
fn only_what_was_said(events: &[Event]) {
    let is_whole = |e: &&Event| {
        e.kind() == "ws.message"
            && e.text("opcode") == Some("binary")
            && e.number("missing").is_none()
            && !e.is("truncated")
            && e.text("undecoded").is_none()
    };
    let all: Vec<_> =
        (0..MESSAGES).map(|n| crate::observed::Item::new("binary", &bulk(n))).collect();
    let mut left = all.iter();
    for event in events.iter().filter(is_whole) {
        let item = event.item().expect("it is a message");
        assert!(left.any(|said| *said == item), "shown, and not said: {event}");
    }
    println!("{} of {MESSAGES} messages shown whole", events.iter().filter(is_whole).count());
}
