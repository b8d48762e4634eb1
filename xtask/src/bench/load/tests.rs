//! Loads, small and short, played within the test: both ends, and a client that is not ours.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use tungstenite::{Message, client::IntoClientRequest as _};

use super::{client::Clients, *};

/// What `play` returns, and what the server has counted.
fn with_server<T>(load: &Load, listener: &TcpListener, play: impl FnOnce() -> T) -> (T, Counts) {
    let (parent, end) = io::pipe().expect("a pipe");
    thread::scope(|scope| {
        let server = scope.spawn(move || server::serve(load, listener, parent));
        let played = {
            // Closed even when it panics: then the server ends.
            let _end = end;
            play()
        };
        (played, server.join().expect("no panic").expect("no connection broke"))
    })
}

/// A load like another one, on a port that is free, with a listener on it.
fn elsewhere(name: &str, connections: usize, talking: usize, kind: Kind) -> (Load, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let load = named(name).expect("there is such a load");
    (Load { port, connections, talking, kind, name: load.name, what: load.what }, listener)
}

fn play(name: &str, connections: usize, talking: usize) -> (Report, Counts) {
    let (load, listener) =
        elsewhere(name, connections, talking, named(name).expect("there is such a load").kind);
    with_server(&load, &listener, || {
        let spoken = messages::spoken(&load).expect("messages");
        let clients = Clients::connect(&load, &spoken).expect("connections");
        clients.report(Duration::from_millis(20), |_| Ok(())).expect("no connection broke")
    })
}

#[test]
fn both_ends_count_the_same_under_every_load() {
    for (name, connections, talking) in [
        ("echo64", 3, 3),
        ("many", 5, 2),
        ("deflate", 2, 2),
        ("fanout", 4, 1),
        ("stream-64k-1", 2, 2),
        ("stream-1m-1", 1, 1),
    ] {
        let (report, server) = play(name, connections, talking);
        let clients = report.all;
        assert!(report.window.received > 0, "{name}");
        assert_eq!((clients.sent, clients.received), (server.received, server.sent), "{name}");
    }
}

#[test]
fn who_does_not_talk_says_one_thing() {
    let (report, _) = play("many", 5, 0);
    assert_eq!((report.all.sent, report.all.received), (5, 5));
}

#[test]
fn what_one_says_is_said_to_all() {
    let (report, _) = play("fanout", 4, 1);
    assert_eq!(report.all.received, 4 * report.all.sent);
}

#[test]
fn probes_are_all_sent_before_the_silence() {
    let pace = Pace { probes: 7, least: Duration::ZERO, most: Duration::from_micros(500) };
    let (load, listener) = elsewhere("probe-idle", 1, 1, Kind::Probe(pace));
    let (report, _) = with_server(&load, &listener, || {
        let spoken = messages::spoken(&load).expect("messages");
        let clients = Clients::connect(&load, &spoken).expect("a connection");
        clients.report(Duration::from_millis(5), |_| Ok(())).expect("no connection broke")
    });
    assert_eq!((report.all.received, report.window), (7, Counts::default()));
}

#[test]
fn another_client_understands_the_server() {
    let (load, listener) = elsewhere("echo64", 1, 1, Kind::Echo { compressed: false });
    let ((), counts) = with_server(&load, &listener, || {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, load.port)).expect("it listens");
        let request = format!("ws://127.0.0.1:{}/chat", load.port);
        let request = request.into_client_request().expect("a request");
        let (mut socket, _) = tungstenite::client(request, stream).expect("an upgrade");
        for length in [0, 125, 126, 70_000] {
            let message = Message::Text("x".repeat(length).into());
            socket.send(message.clone()).expect("it can be sent");
            assert_eq!(socket.read().expect("an echo"), message);
        }
        socket.close(None).expect("it can be closed");
        assert!(matches!(socket.read(), Ok(Message::Close(_))));
    });
    assert_eq!((counts.sent, counts.received), (4, 4));
}

#[test]
fn loads_are_found_by_name() {
    assert_eq!(named("many").expect("it is there").connections, 10_000);
    let error = named("mani").expect_err("it is not there");
    assert!(error.contains("no load mani; there are echo64, stream-64k-1"), "{error}");
}
