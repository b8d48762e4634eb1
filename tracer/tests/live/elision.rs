//! Long messages of which only the beginning is shown: what stays in the kernel makes no difference.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
};

use serde_json::Value;

use crate::{
    client::{Client, Say},
    forge::frame,
    netns::{HERE, Namespace},
    observed::Event,
    server::Server,
    tracer::{Finished, Tracer, wait_for},
};

/// A snap length that cuts nothing: with any, the kernel leaves out nothing else.
const WHOLE: [&str; 2] = ["--snaplen", "10000000"];
const BINARY: u8 = 2;
const RSV1: u8 = 0x40;

const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// Two tracers of the same traffic.
pub(crate) struct Both {
    eliding: Tracer,
    copying: Tracer,
}

impl Both {
    /// Starts them.
    pub(crate) fn start(namespace: &Namespace, options: &[&str]) -> Self {
        // Large enough for those who copy everything, however busy the machine.
        let options = [&["--port", "7272", "--ring-size", "64MiB"], options].concat();
        let eliding = Tracer::start(namespace, &options);
        Self { eliding, copying: Tracer::start(namespace, &[&options[..], &WHOLE].concat()) }
    }

    /// Waits until both have seen at least so many connections to their ends.
    pub(crate) fn wait_for_ends(&self, connections: usize) {
        for tracer in [&self.eliding, &self.copying] {
            let ended = || (tracer.times_told("tcp.close") >= connections).then_some(());
            wait_for("the connections' ends to be told", ended);
        }
    }

    /// Checks that both tell the same. Returns how many bytes the one has left out.
    pub(crate) fn compare(self) -> u64 {
        let (eliding, copying) = (self.eliding.interrupt(), self.copying.interrupt());
        let (elided, copied) = (left_out(&eliding), left_out(&copying));
        let (eliding, copying) = (told(&eliding), told(&copying));
        for (elided, copied) in eliding.iter().zip(&copying) {
            assert_eq!(elided, copied, "with and without leaving out");
        }
        assert_eq!(eliding.len(), copying.len());
        assert_eq!(copied, 0);
        elided
    }
}

/// The last `stats`.
fn stats(finished: &Finished) -> Event {
    finished.events().pop().expect("the last event is of the end")
}

/// How many bytes were left out, of a run in which none were lost.
fn left_out(finished: &Finished) -> u64 {
    let stats = stats(finished);
    assert_eq!(stats.number("lost"), Some(0), "{stats}");
    stats.number("elided_bytes").unwrap_or_default()
}

/// What is told between the first line and the last, without what differs from run to run.
fn told(finished: &Finished) -> Vec<String> {
    let output = fs::read_to_string(finished.output()).expect("the output is there");
    let lines = output.lines().map(|line| serde_json::from_str(line).expect("lines are JSON"));
    let mut events: Vec<Value> = lines.collect();
    events.pop();
    events.remove(0);
    // Two classifiers may see segments of two CPUs in two orders; two FINs, for one.
    for end in events.iter_mut().filter(|event| event["event"] == "tcp.close") {
        let fields = end.as_object_mut().expect("an event is an object");
        fields.retain(|name, _| name != "from" && name != "by");
    }
    let key = |event: &Value| [event["client"].to_string(), event["from"].to_string()];
    events.sort_by_key(key);
    let is_the_same = |name: &str| {
        name != "ts" && name != "conn" && !name.ends_with("_us") && !name.ends_with("_ms")
    };
    for event in &mut events {
        event.as_object_mut().expect("an event is an object").retain(|name, _| is_the_same(name));
    }
    events.iter().map(Value::to_string).collect()
}

/// Says messages of every size, whole and in fragments, and waits now and then until the tracer has
/// told them: only then it has said for sure that the kernel follows the frames rightly. Returns how
/// many bytes are binary.
fn every_size(client: &mut Client, tracer: &Tracer) -> usize {
    let mut binary = 0;
    for n in 0..60 {
        for len in [5, 4000 + n, 65_536, 100_000 + n * 1000] {
            client.say(Say::binary(n, len));
            client.say(Say::text(n, 50));
            binary += len;
        }
        client.say(Say::binary(n, 300_000).in_fragments(3));
        client.say(Say::text(n, 70_000));
        binary += 300_000;
        if n % 20 == 0 {
            // Each of ten messages has an echo.
            let told = || (tracer.times_told("ws.message") >= (n + 1) * 20).then_some(());
            wait_for("the messages to be told", told);
        }
    }
    client.say(Say::binary(0, 1 << 20));
    binary + (1 << 20)
}

#[test]
fn what_stays_in_the_kernel_makes_no_difference() {
    for limit in ["0", "4096"] {
        let namespace = Namespace::new();
        let server = Server::start(&namespace, "127.0.0.1", 1);
        let both = Both::start(&namespace, &["--payload-limit", limit, "--frames"]);
        let mut client = Client::connect(&namespace, server.address());
        let binary = every_size(&mut client, &both.eliding);
        client.close();
        server.logs();
        let elided = both.compare();
        println!("--payload-limit {limit}: {elided} bytes left out of 2 × {binary}");
        assert!(elided > 0);
    }
}

#[test]
fn connections_are_followed_each_for_itself() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let server = Server::start(&here, HERE[0], 4);
    let both = Both::start(&here, &["--payload-limit", "100"]);
    let binary: usize = thread::scope(|scope| {
        let talk = || {
            let mut client = Client::connect(&there, server.address());
            let binary = every_size(&mut client, &both.eliding);
            client.close();
            binary
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(talk)).collect();
        clients.into_iter().map(|client| client.join().expect("it got its echoes")).sum()
    });
    server.logs();
    let elided = both.compare();
    println!("{elided} bytes left out of 2 × {binary}");
    assert!(elided > 0);
}

#[test]
fn a_connection_joined_late_is_followed_too() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "::1", 1);
    let mut client = Client::connect(&namespace, server.address());
    client.say(Say::text(0, 100));
    let both = Both::start(&namespace, &["--payload-limit", "4096"]);
    let binary = every_size(&mut client, &both.eliding);
    client.close();
    server.logs();
    let elided = both.compare();
    println!("{elided} bytes left out of 2 × {binary}");
    // How many is a matter of how soon the tracer has seen that the kernel follows rightly.
    assert!(elided > 0);
}

#[test]
fn where_all_is_wanted_all_is_copied() {
    let namespace = Namespace::new();
    let wants: [&[&str]; 3] =
        [&["--payload-limit", "unlimited"], &["--payload-limit", "64KiB"], &["--segments"]];
    let tracers = wants.map(|options| {
        let defaults: &[&str] = &["--port", "7272", "--ring-size", "64MiB"];
        Tracer::start(&namespace, &[defaults, options].concat())
    });
    let server = Server::start(&namespace, "127.0.0.1", 1);
    let mut client = Client::connect(&namespace, server.address());
    (0..20).for_each(|n| client.say(Say::binary(n, 200_000)));
    client.close();
    server.logs();
    for tracer in tracers {
        assert_eq!(left_out(&tracer.interrupt()), 0);
    }
}

/// Sends long messages in DEFLATE's stored blocks (RFC 1951 section 3.2.4).
fn compress(mut stream: TcpStream, _: SocketAddr) {
    let mut request = [0; 1024];
    assert!(stream.read(&mut request).expect("a request") > 0);
    stream.write_all(RESPONSE).expect("a response");
    let block = [&[0, 0, 0x80, 0xff, 0x7f], &[7; 0x8000][..]].concat();
    let message = frame(BINARY | RSV1, None, &[&block.repeat(4)[..], &[0]].concat());
    for _ in 0..50 {
        stream.write_all(&message).expect("a message");
    }
}

#[test]
fn compressed_messages_are_copied() {
    let namespace = Namespace::new();
    let server = Server::serving(&namespace, "127.0.0.1", 1, compress);
    let tracer = Tracer::start(&namespace, &["--port", "7272", "--payload-limit", "0"]);
    let mut stream = namespace.run(|| TcpStream::connect(server.address())).expect("it listens");
    stream.write_all(REQUEST).expect("a request");
    stream.read_to_end(&mut Vec::new()).expect("the server's FIN");
    drop(stream);
    server.logs();
    let finished = tracer.interrupt();
    assert_eq!(left_out(&finished), 0);
    let is_right = |event: &&Event| event.is("compressed") && event.number("len") == Some(0x20000);
    assert_eq!(finished.events().iter().filter(is_right).count(), 50);
}

/// The messages of one side.
fn messages<'a>(events: &'a [Event], from: &'a str) -> impl Iterator<Item = &'a Event> {
    events.iter().filter(move |e| e.kind() == "ws.message" && e.text("from") == Some(from))
}

/// The last messages of one side: their lengths, and whether anything of them is missing.
fn last_messages(events: &[Event], from: &str, count: usize) -> Vec<(Option<u64>, bool)> {
    let messages: Vec<_> = messages(events, from).collect();
    let last = &messages[messages.len() - count..];
    last.iter().map(|e| (e.number("len"), e.number("missing").unwrap_or(0) > 0)).collect()
}

/// Says a binary message of that length, and waits until it and its echo are told: then the ring has
/// room for the next.
fn say_and_wait(client: &mut Client, tracer: &Tracer, len: usize) {
    client.say(Say::binary(0, len));
    let is_it = |e: &&Event| e.kind() == "ws.message" && e.number("len") == Some(len as u64);
    let both = || (tracer.events().iter().filter(is_it).count() == 2).then_some(());
    wait_for("message and echo to be told", both);
}

#[test]
fn what_is_lost_is_told_and_what_comes_after_is_right_and_followed_again() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", 1);
    let options = ["--port", "7272", "--ring-size", "4MiB", "--payload-limit", "100"];
    let tracer = Tracer::start(&namespace, &options);
    let mut client = Client::connect(&namespace, server.address());
    (0..20).for_each(|n| client.say(Say::binary(n, 100_000)));
    // Text is copied: soon there is room for nothing.
    tracer.pause();
    for n in 0..5 {
        client.say(Say::text(n, 1_000_000));
        client.say(Say::binary(n, 100_000));
    }
    tracer.resume();
    wait_for("the loss, and what comes after it from both sides, to be told", || {
        client.say(Say::text(0, 10));
        let is_short = |e: &Event| e.number("len") == Some(13);
        let sides = ["client", "server"];
        let events = tracer.events();
        let both = sides.iter().all(|&side| messages(&events, side).any(is_short));
        (both && tracer.has_told("gap").is_some()).then_some(())
    });
    // Each fits into the ring with its echo, even if all of it is copied.
    let lengths = (0..20).map(|n| 1_100_000 + n);
    lengths.clone().for_each(|len| say_and_wait(&mut client, &tracer, len));
    client.close();
    server.logs();
    let finished = tracer.interrupt();
    let (events, stats) = (finished.events(), stats(&finished));
    assert!(stats.number("lost") > Some(0), "{stats}");
    let expected: Vec<_> = lengths.map(|len| (Some(len as u64), false)).collect();
    for side in ["client", "server"] {
        assert_eq!(last_messages(&events, side, 20), expected, "{side}");
    }
    // More than there was before the loss.
    assert!(stats.number("elided_bytes") > Some(2 * (20 + 5) * 100_000), "{stats}");
}
