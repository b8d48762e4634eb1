//! 64 connections that echo 100-byte messages as fast as they can: the tracer shows each of them,
//! and says that it lost none.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    env,
    fs::File,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use fastwebsockets::{Frame, OpCode};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::{JoinSet, LocalSet},
};
use tokio_tungstenite::accept_async;

use crate::{client::connect, netns::Namespace, server::PORT, tracer::Tracer};

const CONNECTIONS: usize = 64;
const LENGTH: usize = 100;
/// For how long, unless `TRACER_LOAD_SECONDS` says otherwise.
const SECONDS: u64 = 3;

/// Messages by the client's `ip:port`.
type Counts = BTreeMap<String, u64>;

#[test]
fn at_full_speed_every_message_is_shown_and_none_lost() {
    at_full_speed(&["--port", "7272"]);
}

#[test]
fn at_full_speed_several_threads_show_every_message_too() {
    at_full_speed(&["--port", "7272", "--threads", "4"]);
}

fn at_full_speed(options: &[&str]) {
    let seconds = env::var("TRACER_LOAD_SECONDS").map_or(SECONDS, |s| s.parse().expect("seconds"));
    let namespace = Namespace::alone();
    let tracer = Tracer::start(&namespace, options);
    let (asked, echoed) = load(&namespace, Duration::from_secs(seconds));
    let finished = tracer.interrupt();
    assert!(finished.status.success(), "{}: {}", finished.status, finished.stderr);
    let shown = count(finished.output());
    let total: u64 = asked.values().sum();
    println!("{total} echoes in {seconds} s, {} a second", total / seconds);
    assert_eq!(asked, echoed, "the endpoints agree");
    assert_eq!(asked, shown.asked);
    assert_eq!(asked, shown.echoed);
    assert_eq!(shown.lost, Some(0));
}

/// What all clients and what the server counted, each side on a thread of its own.
fn load(namespace: &Namespace, time: Duration) -> (Counts, Counts) {
    let address = SocketAddr::from(([127, 0, 0, 1], PORT));
    let listener = namespace.run(|| std::net::TcpListener::bind(address)).expect("a free port");
    listener.set_nonblocking(true).expect("it can be polled");
    thread::scope(|scope| {
        let serve = || {
            on_this_thread(async {
                echo_all(TcpListener::from_std(listener).expect("it is polled")).await
            })
        };
        let server = scope.spawn(serve);
        let asked = namespace.run(|| on_this_thread(ask_all(address, time)));
        (asked, server.join().expect("the server served"))
    })
}

fn on_this_thread<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, future)
}

/// The server, on one thread as well: how many messages of each client it echoed.
async fn echo_all(listener: TcpListener) -> Counts {
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (stream, peer) = listener.accept().await.expect("a client");
        connections.spawn_local(echo_one(stream, peer));
    }
    connections.join_all().await.into_iter().collect()
}

async fn echo_one(stream: TcpStream, peer: SocketAddr) -> (String, u64) {
    stream.set_nodelay(true).expect("delay can be switched off");
    let mut socket = accept_async(stream).await.expect("an upgrade");
    let mut count = 0;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() {
            socket.send(message).await.expect("an echo can be sent");
            count += 1;
        }
    }
    (peer.to_string(), count)
}

/// The clients: how many echoes each got.
async fn ask_all(server: SocketAddr, time: Duration) -> Counts {
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        clients.spawn_local(ask_one(server, time));
    }
    clients.join_all().await.into_iter().collect()
}

async fn ask_one(server: SocketAddr, time: Duration) -> (String, u64) {
    let (mut socket, address) = connect(server).await.expect("the server answers");
    let start = Instant::now();
    let mut n = 0;
    while start.elapsed() < time {
        let message = numbered(n);
        let frame = Frame::text(message.clone().into());
        socket.write_frame(frame).await.expect("a message can be sent");
        let echo = socket.read_frame().await.expect("an echo");
        assert!(echo.opcode == OpCode::Text && *echo.payload == *message, "not the echo");
        n += 1;
    }
    let frame = Frame::close(1000, b"");
    socket.write_frame(frame).await.expect("a close frame can be sent");
    (address.to_string(), n)
}

/// A message that tells its place, so that a missing or doubled one cannot hide.
fn numbered(n: u64) -> Vec<u8> {
    format!("{n:<LENGTH$}").into_bytes()
}

/// What a line of the output says, as far as it matters here.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    client: Option<Cow<'a, str>>,
    from: Option<Cow<'a, str>>,
    text: Option<Cow<'a, str>>,
    len: Option<u64>,
    lost: Option<u64>,
}

#[derive(Default)]
struct Shown {
    asked: Counts,
    echoed: Counts,
    lost: Option<u64>,
}

/// Counts the messages in the output, each of which has to be the next of its direction.
fn count(output: &Path) -> Shown {
    let mut shown = Shown::default();
    for line in BufReader::new(File::open(output).expect("the output is there")).lines() {
        let line = line.expect("UTF-8");
        let event: Line<'_> = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        match &*event.event {
            "ws.message" => shown.add(&event, &line),
            "stats" => shown.lost = event.lost,
            "gap" | "ws.violation" | "not_websocket" => panic!("{line}"),
            _ => {}
        }
    }
    shown
}

impl Shown {
    fn add(&mut self, event: &Line<'_>, line: &str) {
        let counts = match event.from.as_deref() {
            Some("client") => &mut self.asked,
            Some("server") => &mut self.echoed,
            _ => panic!("nobody sent {line}"),
        };
        let client = event.client.as_deref().unwrap_or_else(|| panic!("no client: {line}"));
        let next = match counts.get_mut(client) {
            Some(next) => next,
            None => counts.entry(client.to_owned()).or_default(),
        };
        let text = event.text.as_deref().map(|text| (text.trim_end().parse(), event.len));
        assert_eq!(text, Some((Ok(*next), Some(LENGTH as u64))), "the next message: {line}");
        *next += 1;
    }
}
