//! `--metrics`: what is served adds up to what is told, says what waits, and cannot be held up by
//! whoever asks.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixListener,
    process::Command,
    thread,
};

use crate::{
    Script,
    client::Say,
    exposed::{Exposed, assert_adds_up},
    faults::SMALL_RING,
    held::Held,
    netns::Namespace,
    observed::Event,
    server::{HANG, Server},
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

/// Where metrics are unless somebody says otherwise.
pub(crate) const DEFAULT: &str = "127.0.0.1:9272";
const OPEN_METRICS: &str =
    "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Connections that the tracer serves at a time.
const SERVED: usize = 16;

fn connect(namespace: &Namespace) -> TcpStream {
    let address: SocketAddr = DEFAULT.parse().expect("an address");
    let stream = namespace.run(|| TcpStream::connect(address)).expect("the tracer listens");
    stream.set_read_timeout(Some(HANG)).expect("a timeout can be set");
    stream
}

/// What is answered to a request, up to the end of the connection.
pub(crate) fn ask(namespace: &Namespace, request: &str) -> String {
    let mut stream = connect(namespace);
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8(answer).expect("UTF-8")
}

/// What is served now.
pub(crate) fn scrape(namespace: &Namespace) -> Exposed {
    let answer = ask(namespace, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(OPEN_METRICS), "{head}");
    Exposed::parse(body)
}

/// Waits until so many connections have ended, and nothing of them is left to be told.
pub(crate) fn wait_for_ends(namespace: &Namespace, connections: usize) -> Exposed {
    wait_for("the connections to end", || {
        let exposed = scrape(namespace);
        let ends = exposed.value("tracer_closed_connections_total{how=\"fin\"}");
        (ends == connections as f64).then_some(exposed)
    })
}

#[test]
fn what_is_served_is_what_several_threads_have_told() {
    const CONNECTIONS: usize = 12;
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", CONNECTIONS);
    let options = ["--port", "7272", "--metrics", "--threads", "4", "--ring-size", "8MiB"];
    let tracer = Tracer::start(&namespace, &options);
    talk(&namespace, server, &[SMALL; CONNECTIONS]);
    let exposed = wait_for_ends(&namespace, CONNECTIONS);
    let finished = tracer.interrupt();
    assert_adds_up(&exposed, &finished.events());
    assert!(exposed.value("tracer_messages_total{from=\"client\",opcode=\"text\"}") > 0.0);
    assert_eq!(exposed.value("tracer_open_connections"), 0.0);
    assert_eq!(exposed.value("tracer_lost_segments_total"), 0.0);
    let rings: f64 =
        (0..4).map(|n| exposed.value(&format!("tracer_ring_size_bytes{{ring=\"{n}\"}}"))).sum();
    assert_eq!(rings, f64::from(8 << 20));
    let copied = exposed.value("tracer_kernel_copied_segments_total");
    assert_eq!(copied, exposed.value("tracer_segments_total"), "what was copied was decoded");
    assert!(exposed.value("tracer_kernel_matched_segments_total") > copied, "pure ACKs");
    let attached =
        |method| exposed.value(&format!("tracer_attached_interfaces{{method=\"{method}\"}}"));
    assert!(attached("tcx") + attached("clsact") >= 1.0 && attached("libpcap") == 0.0);
    assert!(exposed.value("process_resident_memory_bytes") > f64::from(1 << 20));
    assert!(exposed.value("process_cpu_seconds_total") > 0.0);
}

#[test]
fn nothing_is_served_unless_it_is_asked_for() {
    let namespace = Namespace::new();
    for options in [&["--port", "7272"][..], &["--port", "7272", "--metrics", "off"]] {
        let tracer = Tracer::start(&namespace, options);
        let address: SocketAddr = DEFAULT.parse().expect("an address");
        let refused = namespace.run(|| TcpStream::connect(address)).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        drop(tracer);
    }
}

#[test]
fn an_address_that_is_taken_is_refused_with_what_to_do() {
    let namespace = Namespace::new();
    let _first = Tracer::start(&namespace, &["--metrics"]);
    let mut second = Command::new(env!("CARGO_BIN_EXE_tracer"));
    let output = namespace.run(|| second.arg("--metrics").output()).expect("the tracer starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot listen at 127.0.0.1:9272 for --metrics"), "{stderr}");
    assert!(stderr.contains("choose another address"), "{stderr}");
}

#[test]
fn only_the_metrics_are_there_and_only_to_be_read() {
    let namespace = Namespace::new();
    let _tracer = Tracer::start(&namespace, &["--metrics"]);
    let status = |request: &str| {
        let answer = ask(&namespace, &format!("{request}Host: localhost\r\n\r\n"));
        answer.split("\r\n").next().expect("a status line").to_owned()
    };
    assert_eq!(status("GET / HTTP/1.1\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(status("GET /metrics/../etc/passwd HTTP/1.1\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(status("DELETE /metrics HTTP/1.1\r\n"), "HTTP/1.1 405 Method Not Allowed");
    let post = "POST /metrics HTTP/1.1\r\nContent-Length: 9999999999\r\n";
    assert_eq!(status(post), "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(status("GET /metrics?x=1 HTTP/1.0\r\n"), "HTTP/1.0 200 OK");
    let head = ask(&namespace, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

/// How many sockets it has.
fn sockets(tracer: &Tracer) -> usize {
    let directory = format!("/proc/{}/fd", tracer.pid());
    let all = fs::read_dir(directory).expect("the tracer is there").flatten();
    // One that was closed meanwhile is none.
    let kinds = all.filter_map(|entry| fs::read_link(entry.path()).ok());
    kinds.filter(|kind| kind.to_string_lossy().starts_with("socket:")).count()
}

/// Whether the other side has ended the connection.
fn is_ended(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket can be made not to wait");
    match stream.read(&mut [0; 64]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn clients_that_misbehave_keep_nobody_out_and_hold_nothing_up() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", 2);
    let tracer = Tracer::start(&namespace, &["--port", "7272", "--metrics"]);
    let before = sockets(&tracer);
    // Of those that say nothing, or too little, only the latest are kept.
    let mut idle: Vec<_> = (0..100).map(|_| connect(&namespace)).collect();
    // It is answered after all of them were accepted.
    scrape(&namespace);
    let held = sockets(&tracer) - before;
    assert!(held <= SERVED + 2, "{held} connections at a time");
    for (n, stream) in idle.iter_mut().enumerate() {
        let beginning = &"GET /metrics HTTP/1.1\r\nX: y"[..n % 20];
        // Refused where it was ended already.
        let _sent = stream.write_all(beginning.as_bytes());
    }
    for nonsense in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned(),
        "\r\n".repeat(10_000),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20)),
        format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(10_000)),
        format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(1 << 20)),
    ] {
        let mut stream = connect(&namespace);
        // It may be refused before all of it was sent; what matters is what comes after.
        let _sent = stream.write_all(nonsense.as_bytes());
        let _ended = stream.shutdown(Shutdown::Write);
        let _answer = stream.read_to_end(&mut Vec::new());
        scrape(&namespace);
    }
    wait_for("all that say nothing to be ended", || idle.iter_mut().all(is_ended).then_some(()));
    talk(&namespace, server, &[SMALL; 2]);
    let exposed = wait_for_ends(&namespace, 2);
    assert_adds_up(&exposed, &tracer.interrupt().events());
}

#[test]
fn a_thread_that_does_not_go_on_shows_in_what_waits() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", 2);
    let options = [&["--port", "7272", "--metrics"][..], &SMALL_RING].concat();
    let tracer = Tracer::start(&namespace, &options);
    let held = Held::hold(tracer.pid(), "decode-0");
    let script: Script = |client| (0..400).for_each(|n| client.say(Say::text(n, 2000)));
    talk(&namespace, server, &[script; 2]);
    let exposed = scrape(&namespace);
    let size = exposed.value("tracer_ring_size_bytes{ring=\"0\"}");
    let used = exposed.value("tracer_ring_used_bytes{ring=\"0\"}");
    assert!(used > size / 2.0 && used <= size, "{used} of {size}");
    assert!(exposed.value("tracer_lost_segments_total") > 0.0);
    drop(held);
    let empty = wait_for("the ring to be emptied", || {
        let exposed = scrape(&namespace);
        (exposed.value("tracer_ring_used_bytes{ring=\"0\"}") == 0.0).then_some(exposed)
    });
    let all = empty.value("tracer_ring_fill_ratio_count");
    let not_full = empty.value("tracer_ring_fill_ratio_bucket{le=\"0.5\"}");
    assert!(all > not_full, "the consumer came to a ring that was more than half full");
    assert!(tracer.interrupt().status.success());
}

#[test]
fn what_outputs_have_written_dropped_and_still_hold_is_told() {
    let namespace = Namespace::new();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("collector");
    let listener = UnixListener::bind(&path).expect("a socket");
    let target = format!("unix:{}", path.display());
    let buffer = ["--metrics", "--output-buffer", "256KiB"];
    let options = ["--port", "7272", "--output", "-", "--output", &target];
    let tracer = Tracer::start(&namespace, &[&options[..], &buffer].concat());
    let script: Script = |client| (0..400).for_each(|n| client.say(Say::text(n, 2000)));
    talk(&namespace, Server::start(&namespace, "127.0.0.1", 2), &[script; 2]);
    wait_for_ends(&namespace, 2);
    let figures = |output: &str| {
        let names = ["events_total", "dropped_events_total", "queued_bytes"];
        let exposed = scrape(&namespace);
        names.map(|name| exposed.value(&format!("tracer_output_{name}{{output=\"{output}\"}}")))
    };
    let [written, dropped, queued] = figures(&target);
    assert!(dropped > 0.0 && queued > 0.0, "{written}, {dropped}, {queued}");
    let (mut stream, _) = listener.accept().expect("the tracer has connected");
    let reading = thread::spawn(move || {
        let mut all = String::new();
        stream.read_to_string(&mut all).expect("an end");
        all
    });
    let [written, dropped, _] = wait_for("all that was kept to be written", || {
        Some(figures(&target)).filter(|[_, _, queued]| *queued == 0.0)
    });
    // What was taken out of a queue may not be written yet. On a busy machine standard output may have
    // missed something, too.
    let all = wait_for("standard output to have what it has not missed", || {
        let (shown, missed) = shown_and_missed(&tracer.events());
        let [written, dropped, _] = figures("standard output");
        ((written, dropped) == (shown, missed)).then_some(shown + missed)
    });
    wait_for("the collector to have what it has not missed", || {
        let [written, ..] = figures(&target);
        (written + dropped == all).then_some(())
    });
    assert!(written > 0.0);
    tracer.interrupt();
    let shown = Event::parse_all(reading.join().expect("no panic").as_bytes());
    assert_eq!(shown_and_missed(&shown).1, dropped);
}

/// How many events an output has, and how many it says to have missed.
fn shown_and_missed(events: &[Event]) -> (f64, f64) {
    let is_note = |event: &&Event| event.kind() == "dropped";
    let missed = events.iter().filter(is_note).filter_map(|event| event.number("events"));
    let notes = events.iter().filter(is_note).count();
    ((events.len() - notes) as f64, missed.sum::<u64>() as f64)
}

#[test]
fn figures_are_served_where_the_tracer_was_started() {
    let outside = Namespace::new();
    let inside = outside.another();
    let server = Server::start(&inside, "127.0.0.1", 1);
    let tracer = Tracer::start(&outside, &["--metrics", "--netns", &inside.path()]);
    talk(&inside, server, &[SMALL]);
    let exposed = wait_for_ends(&outside, 1);
    assert_adds_up(&exposed, &tracer.interrupt().events());
}

#[cfg(feature = "libpcap")]
#[test]
fn libpcap_is_counted_too() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", 2);
    let options = ["--port", "7272", "--metrics", "--source", "libpcap", "--interface", "lo"];
    let tracer = Tracer::start(&namespace, &options);
    talk(&namespace, server, &[SMALL; 2]);
    let exposed = wait_for_ends(&namespace, 2);
    assert_eq!(exposed.value("tracer_attached_interfaces{method=\"libpcap\"}"), 1.0);
    assert!(exposed.values.keys().all(|name| !name.starts_with("tracer_kernel")));
    assert_adds_up(&exposed, &tracer.interrupt().events());
}
