//! Connections on the traced port that are no WebSocket: named, and from then on left in the kernel.
//! Of HTTP that is the body of a long answer; its heads are told.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use crate::{
    netns::Namespace,
    observed::Event,
    tracer::{Tracer, wait_for},
};

/// What goes each way once the tracer knows what it is.
const BULK: usize = 8 << 20;
/// A TLS record (RFC 8446 section 5.1) with the beginning of a ClientHello.
const HELLO: &[u8] = b"\x16\x03\x01\x00\x04\x01\x00\x00\x00";

/// Talks something like TLS: a hello, and once `named` says so, the bulk both ways, an end.
fn talk(namespace: &Namespace, named: impl FnOnce()) {
    let listener = namespace.run(|| TcpListener::bind("127.0.0.1:7272")).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let mut client = namespace.run(|| TcpStream::connect(address)).expect("it listens");
    let (mut server, _) = listener.accept().expect("the client connects");
    client.write_all(HELLO).expect("the server reads");
    named();
    thread::scope(|scope| {
        scope.spawn(|| send_and_receive(&mut server, BULK + HELLO.len()));
        send_and_receive(&mut client, BULK);
    });
}

fn send_and_receive(stream: &mut TcpStream, expected: usize) {
    let mut other = stream.try_clone().expect("a second handle");
    thread::scope(|scope| {
        scope.spawn(move || {
            other.write_all(&vec![7; BULK]).expect("the peer reads");
            other.shutdown(Shutdown::Write).expect("it is connected");
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("the peer ends well");
        assert_eq!(received.len(), expected);
    });
}

/// Runs the talk. Returns the end of the connection, and the last `stats`.
fn traced(options: &[&str]) -> (Event, Event) {
    let namespace = Namespace::new();
    let tracer = Tracer::start(&namespace, options);
    talk(&namespace, || wait_for("the connection to be named", || tracer.has_told("tls")));
    wait_for("the connection to end", || tracer.has_told("tcp.close"));
    let mut events = tracer.interrupt().events();
    let stats = events.pop().expect("the last event is of the end");
    let end = events.pop().expect("the one before is of the connection");
    let kinds: Vec<_> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["start", "tcp.open", "not_websocket"]);
    (end, stats)
}

fn assert_told_in_full(end: &Event, stats: &Event) {
    assert_eq!(stats.number("lost"), Some(0), "{stats}");
    assert_eq!(end.text("how"), Some("fin"), "{end}");
    for (field, sent) in [("client_bytes", BULK + HELLO.len()), ("server_bytes", BULK)] {
        let told = end.number(field).expect("it is counted") as usize;
        // Retransmitted bytes count as often as they were sent.
        assert!(told >= sent, "{field}: {end}, {stats}");
    }
}

#[test]
fn what_is_no_websocket_stays_in_the_kernel_but_its_end_and_its_size() {
    let (end, stats) = traced(&["--port", "7272"]);
    assert_told_in_full(&end, &stats);
    let bypassed = stats.number("bypassed_bytes").expect("it is counted");
    assert!(bypassed >= BULK as u64, "of the client nothing was wanted any more: {stats}");
}

#[test]
fn with_no_bypass_everything_is_copied() {
    let (end, stats) = traced(&["--port", "7272", "--no-bypass"]);
    assert_told_in_full(&end, &stats);
    assert_eq!(stats.number("bypassed"), Some(0), "{stats}");
}

/// Bytes of a long answer.
const FILM: usize = 64 << 20;
/// Of loopback, where segments are as long as IP packets can be.
const LONGEST_SEGMENT: u64 = 1 << 16;
const GET: &[u8] = b"GET /film HTTP/1.1\r\nHost: h\r\n\r\n";

/// Answers each request on a connection: the first with a film, the second with nothing. A body is
/// sent once its head is `told`.
fn serve(listener: &TcpListener, told: impl Fn()) {
    let (mut server, _) = listener.accept().expect("the client connects");
    for length in [FILM, 0] {
        let mut request = [0; GET.len()];
        server.read_exact(&mut request).expect("the client asks");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        server.write_all(head.as_bytes()).expect("the client reads");
        told();
        server.write_all(&vec![7; length]).expect("the client reads");
    }
}

fn download(namespace: &Namespace, told: impl Fn() + Send) {
    let listener = namespace.run(|| TcpListener::bind("127.0.0.1:7272")).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let mut client = namespace.run(|| TcpStream::connect(address)).expect("it listens");
    thread::scope(|scope| {
        scope.spawn(|| serve(&listener, told));
        client.write_all(GET).expect("the server reads");
        let mut film = vec![0; FILM];
        client.read_exact(&mut film).expect("the film comes");
        client.write_all(GET).expect("the server reads");
        client.read_to_end(&mut film).expect("the server ends well");
    });
}

/// What is told of a download, the last `stats`, and how many bytes TCP may have sent again.
fn told_of_a_download(options: &[&str]) -> (Vec<Event>, Event, u64) {
    let namespace = Namespace::new();
    let tracer = Tracer::start(&namespace, options);
    let is_told = || tracer.has_told("http.response");
    download(&namespace, || wait_for("the answer to be told", is_told));
    wait_for("the connection to end", || tracer.has_told("tcp.close"));
    let mut events = tracer.interrupt().events();
    let stats = events.pop().expect("the last event is of the end");
    let of_http: Vec<_> = events.iter().filter(|event| event.kind().starts_with("http")).collect();
    assert_eq!(of_http.len(), 4, "two requests, two responses");
    assert_eq!((stats.number("gaps"), stats.number("lost")), (Some(0), Some(0)), "{stats}");
    (events, stats, namespace.sent_again() * LONGEST_SEGMENT)
}

#[test]
fn a_long_answer_stays_in_the_kernel_but_the_one_behind_it_is_told() {
    let (events, stats, again) = told_of_a_download(&["--port", "7272"]);
    let is_right =
        |told: Option<u64>, sent| told.is_some_and(|told| (sent..=sent + again).contains(&told));
    assert!(is_right(stats.number("elided_bytes"), FILM as u64), "{again}, {stats}");
    let end = events.last().expect("it ends");
    let heads = 2 * "HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n".len() - "7108864".len();
    assert!(is_right(end.number("server_bytes"), (FILM + heads) as u64), "{again}, {end}");
}

#[test]
fn a_long_answer_is_copied_where_nothing_is_to_be_bypassed() {
    let (_, stats, _) =
        told_of_a_download(&["--port", "7272", "--no-bypass", "--ring-size", "128MiB"]);
    assert_eq!(stats.number("elided_bytes"), Some(0), "{stats}");
}
