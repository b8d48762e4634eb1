//! How connections begin and end: joined in the middle, closed, dropped, reset; and their single
//! segments, if asked for.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use crate::{
    assert_nothing_lost,
    client::{Client, Say},
    forge::{TEXT, frame},
    log::conversations,
    netns::{HERE, Namespace},
    observed::{self, Event, assert_same},
    server::{HANG, Server},
    tracer::Tracer,
    traffic::small,
};

#[test]
fn a_connection_that_was_there_first_is_joined_in_the_middle() {
    for ip in ["127.0.0.1", "::1"] {
        let namespace = Namespace::new();
        let server = Server::start(&namespace, ip, 1);
        let mut client = Client::connect(&namespace, server.address());
        small(&mut client);
        client.forget();
        let tracer = Tracer::start(&namespace, &["--port", "7272"]);
        client.say(Say::text(1, 30));
        small(&mut client);
        let said = conversations([client.close()]);
        server.logs();
        let events = tracer.interrupt().events();
        assert_same(&said, &observed::conversations(&events));
        assert_nothing_lost(&events);
        let opened: Vec<_> = events.iter().filter(|e| e.kind() == "ws.open").collect();
        let [opened] = opened[..] else { panic!("{} ws.open events", opened.len()) };
        assert_eq!(opened.text("joined"), Some("midstream"), "{opened}");
    }
}

/// How and with which code a client's connection ended, and by whom.
fn end<'a>(events: &'a [Event], client: &str) -> [Option<&'a str>; 2] {
    let ends =
        events.iter().filter(|e| e.kind() == "tcp.close" && e.text("client") == Some(client));
    let ends: Vec<_> = ends.collect();
    let [event] = ends[..] else { panic!("{client} has {} tcp.close events", ends.len()) };
    [event.text("how"), event.text("by")]
}

fn close_code(events: &[Event], client: &str) -> Option<u64> {
    let of_client = |e: &&Event| e.kind() == "tcp.close" && e.text("client") == Some(client);
    events.iter().find(of_client)?.number("ws_close")
}

#[test]
fn close_frame_fin_and_reset_are_told_apart() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, HERE[0], 3);
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    let mut clients = [(); 3].map(|()| Client::connect(&there, server.address()));
    for client in &mut clients {
        client.say(Say::text(0, 50));
    }
    let [closing, vanishing, resetting] = clients;
    let logs = [closing.close(), vanishing.vanish(), resetting.reset()];
    let [closed, vanished, reset] = logs.each_ref().map(|log| log.client.clone());
    server.logs();
    let events = tracer.interrupt().events();
    assert_same(&conversations(logs), &observed::conversations(&events));
    assert_eq!(end(&events, &closed)[0], Some("fin"));
    assert_eq!(close_code(&events, &closed), Some(1000));
    assert_eq!(end(&events, &vanished), [Some("fin"), Some("client")]);
    assert_eq!(close_code(&events, &vanished), Some(1006));
    assert_eq!(end(&events, &reset), [Some("rst"), Some("client")]);
    assert_eq!(close_code(&events, &reset), Some(1006));
}

/// What the server below says after the upgrade.
fn greeting() -> Vec<u8> {
    frame(TEXT, None, &[b'g'; 3000])
}

/// Answers one request by hand, so that every byte is known: how many bytes came in.
fn serve_by_hand(mut stream: TcpStream, _: SocketAddr) -> usize {
    let mut received = vec![0; 1024];
    let mut count = stream.read(&mut received).expect("a request");
    stream.write_all(RESPONSE).expect("a response");
    stream.write_all(&greeting()).expect("a greeting");
    stream.shutdown(std::net::Shutdown::Write).expect("a FIN");
    count += stream.read_to_end(&mut received).expect("the client's FIN");
    count
}

const REQUEST: &[u8] = b"GET /segments HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: \
    Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: \
    Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A client by hand: how many bytes came in.
fn talk_by_hand(server: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.set_read_timeout(Some(HANG)).expect("a timeout can be set");
    stream.write_all(REQUEST).expect("a request");
    let mut received = Vec::new();
    let count = stream.read_to_end(&mut received).expect("the server's FIN");
    stream.write_all(&frame(TEXT, Some([1, 2, 3, 4]), b"bye")).expect("a message");
    count
}

#[test]
fn segments_cover_every_byte_and_the_bare_acknowledgments() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::serving(&here, HERE[1], 1, serve_by_hand);
    let tracer = Tracer::start(&here, &["--port", "7272", "--segments"]);
    let to_client = there.run(|| talk_by_hand(server.address()));
    let to_server = server.logs()[0];
    let events = tracer.interrupt().events();
    let segments: Vec<_> = events.iter().filter(|e| e.kind() == "segment").collect();
    let sent_by = |side| segments.iter().filter(move |e| e.text("from") == Some(side));
    let bytes = |side| sent_by(side).map(|e| e.number("len").expect("a length")).sum::<u64>();
    assert_eq!((bytes("client"), bytes("server")), (to_server as u64, to_client as u64));
    let flags: Vec<_> = segments.iter().map(|e| e.text("flags").expect("flags")).collect();
    assert_eq!(flags[..3], ["S", "S.", "."], "{flags:?}");
    let [syn, ..] = segments[..] else { unreachable!("three at least") };
    for option in ["mss", "sackOK", "TS val", "wscale"] {
        assert!(syn.to_string().contains(option), "{syn}");
    }
    for side in ["client", "server"] {
        let fin = sent_by(side).filter(|e| e.text("flags").is_some_and(|f| f.contains('F')));
        assert_eq!(fin.count(), 1, "{flags:?}");
    }
}

#[test]
fn without_being_asked_for_no_segment_is_shown() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", 1);
    let tracer = Tracer::start(&namespace, &["--port", "7272"]);
    let mut client = Client::connect(&namespace, server.address());
    client.say(Say::text(0, 10));
    client.close();
    let events = tracer.interrupt().events();
    assert!(events.iter().any(|e| e.kind() == "ws.message"));
    assert!(events.iter().all(|e| e.kind() != "segment"));
}

#[test]
fn messages_on_ports_that_were_not_named_are_not_shown() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", 1);
    let tracer = Tracer::start(&namespace, &["--port", "80,8000-9000"]);
    let mut client = Client::connect(&namespace, server.address());
    client.say(Say::text(0, 10));
    client.close();
    // Nobody wants to watch the wrong port in silence: it is an error that names the ports.
    let finished = tracer.interrupt();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("no segment on port 80,8000-9000"), "{}", finished.stderr);
    let output = fs::read(finished.output()).expect("the output is there");
    let events = Event::parse_all(&output);
    let kinds: Vec<_> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds, ["start", "stats"]);
}

#[test]
fn count_ends_the_tracer_by_itself() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "::1", 1);
    let tracer = Tracer::start(&namespace, &["--port", "7272", "--count", "7"]);
    let mut client = Client::connect(&namespace, server.address());
    (0..10).for_each(|n| client.say(Say::text(n, 10)));
    let events = tracer.wait().events();
    assert_eq!(events.iter().filter(|e| e.kind() == "ws.message").count(), 7);
}
