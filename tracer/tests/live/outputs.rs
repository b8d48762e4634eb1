//! Several outputs of a live run: whatever happens to one, the others have everything, nothing is lost
//! in the capture, and what the one has and what it says to have missed add up.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};
use tempfile::TempDir;

use crate::{
    Script, assert_nothing_lost, assert_shows,
    attached::attached,
    client::{Client, Say},
    left_out,
    log::Log,
    netns::Namespace,
    observed::Event,
    server::Server,
    talk,
    tracer::{Finished, Tracer, wait_for},
    traffic::SMALL,
};

const CONNECTIONS: usize = 2;
/// Of all of them, less than a small buffer holds,
const SOME: Script = |client| (0..15).for_each(|n| client.say(Say::text(n, 2000)));
/// and so often more than sockets and small buffers hold.
const ROUNDS: usize = 20;

/// A place for files and sockets.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().expect("UTF-8")
    }

    /// A collector's socket, and the output that leads to it.
    fn collector(&self) -> (UnixListener, String) {
        let listener = UnixListener::bind(self.path("collector")).expect("a socket");
        (listener, format!("unix:{}", self.name("collector")))
    }
}

/// Waits for the tracer's connection, but not for ever.
fn accept(listener: &UnixListener) -> UnixStream {
    listener.set_nonblocking(true).expect("a socket");
    let (stream, _) = wait_for("the tracer to connect", || listener.accept().ok());
    stream.set_nonblocking(false).expect("a socket");
    stream
}

/// A tracer that writes to standard output and to another one, which may hold little.
fn start(namespace: &Namespace, output: &str, more: &[&str]) -> Tracer {
    // Several threads would fill the outputs in different orders.
    let options =
        ["-p", "7272", "--threads", "1", "--output-buffer", "256KiB", "-o", "-", "-o", output];
    Tracer::start(namespace, &[&options, more].concat())
}

/// Talks on so many connections, and waits until all of it is shown.
fn talk_to_the_end(namespace: &Namespace, tracer: &Tracer, script: Script) -> (Vec<Log>, Vec<Log>) {
    let before = tracer.times_told("tcp.close");
    let server = Server::start(namespace, "127.0.0.1", CONNECTIONS);
    let said = talk(namespace, server, &[script; CONNECTIONS]);
    let has_ended = || tracer.times_told("tcp.close") == before + CONNECTIONS;
    wait_for("the end", || has_ended().then_some(()));
    said
}

/// Talks much, and ever again waits for standard output and this file: only those are behind who do not
/// write at all, not those who have to wait for a processor.
fn talk_much(namespace: &Namespace, tracer: &Tracer, file: Option<&str>) -> (Vec<Log>, Vec<Log>) {
    let mut said = (Vec::new(), Vec::new());
    let len = |path: &Path| fs::metadata(path).expect("a file").len();
    for _ in 0..ROUNDS {
        let (clients, servers) = talk_to_the_end(namespace, tracer, SOME);
        said.0.extend(clients);
        said.1.extend(servers);
        if let Some(file) = file {
            let is_whole = || len(Path::new(file)) == len(tracer.output());
            wait_for("the file", || is_whole().then_some(()));
        }
    }
    said
}

/// Reads a connection to its end, in a thread.
struct Reading {
    all: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Reading {
    fn start(mut stream: impl io::Read + Send + 'static) -> Self {
        let all = Arc::<Mutex<Vec<u8>>>::default();
        let shared = Arc::clone(&all);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let count @ 1.. = stream.read(&mut buffer).expect("a connection") {
                shared.lock().expect("nobody panics with it").extend(&buffer[..count]);
            }
        });
        Self { all, thread }
    }

    fn end(self) -> String {
        self.thread.join().expect("it was read to its end");
        text(self.all.lock().expect("nobody panics with it").clone())
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the output is UTF-8")
}

/// What came to standard output.
fn shown(finished: &Finished) -> String {
    text(fs::read(finished.output()).expect("the output is there"))
}

/// Checks that an output has what the other has, in the same order, but for what it says to have missed,
/// to the byte. How many events that are comes out.
#[track_caller]
fn assert_adds_up(all: &str, output: &str) -> u64 {
    let mut rest = all.lines();
    let (mut shown, mut shown_bytes, mut missed, mut missed_bytes) = (0, 0, 0, 0);
    for (line, event) in output.lines().zip(Event::parse_all(output.as_bytes())) {
        if event.kind() == "dropped" {
            let number = |field| event.number(field).expect("a number");
            assert!(number("events") > 0, "{event}");
            missed += number("events");
            missed_bytes += number("bytes");
        } else {
            assert!(rest.any(|other| other == line), "twice, or in another order: {event}");
            shown += 1;
            shown_bytes += line.len() as u64 + 1;
        }
    }
    assert_eq!(shown + missed, all.lines().count() as u64, "{missed} of them missed");
    assert_eq!(shown_bytes + missed_bytes, all.len() as u64, "{missed_bytes} of them missed");
    missed
}

/// The number of dropped events in the last `stats`.
fn dropped(events: &[Event]) -> u64 {
    events.last().and_then(|stats| stats.number("dropped")).expect("stats")
}

#[test]
fn a_collector_that_does_not_read_costs_nobody_anything_but_itself() {
    let (namespace, place) = (Namespace::new(), Place::new());
    let (listener, target) = place.collector();
    let file = place.name("events");
    let tracer = start(&namespace, &target, &["-o", &file]);
    let stream = accept(&listener);
    let said = talk_much(&namespace, &tracer, Some(&file));
    wait_for("it to be told", || tracer.has_said("is too slow"));
    let reading = Reading::start(stream);
    let finished = tracer.interrupt();
    assert_shows(&finished, said);
    let all = shown(&finished);
    assert!(all == fs::read_to_string(&file).expect("a file"), "two that kept up differ");
    let collected = reading.end();
    let missed = assert_adds_up(&all, &collected);
    assert!(missed > 0, "nothing was dropped: this test has tested nothing");
    assert_eq!(dropped(&finished.events()), missed);
    assert_eq!(collected.lines().last(), all.lines().last(), "the last words find room");
    assert_eq!(finished.stderr.matches("is too slow").count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("events were dropped"), "{}", finished.stderr);
}

#[test]
fn what_comes_while_nobody_listens_waits() {
    let (namespace, place) = (Namespace::new(), Place::new());
    let target = format!("unix:{}", place.name("collector"));
    let tracer = start(&namespace, &target, &[]);
    let said = talk_to_the_end(&namespace, &tracer, SMALL);
    wait_for("it to be told", || tracer.has_said("trying again"));
    let (listener, _) = place.collector();
    let reading = Reading::start(accept(&listener));
    wait_for("it to be told", || tracer.has_said("goes on"));
    let finished = tracer.interrupt();
    assert_shows(&finished, said);
    assert!(shown(&finished) == reading.end());
    assert_eq!(dropped(&finished.events()), 0);
}

/// Reads up to the end of the second event with these words: a message and its echo.
fn read_exchange(stream: &mut UnixStream, words: &str) -> String {
    let mut all = String::new();
    while all.matches(words).count() < 2 || !all.ends_with('\n') {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).expect("a connection");
        assert!(count > 0, "it ended: {all}");
        // What is longer than one character is escaped, or cut where we read: this is ASCII.
        all.extend(buffer[..count].iter().map(|&byte| char::from(byte)));
    }
    all
}

#[test]
fn a_collector_that_is_started_anew_has_everything() {
    let (namespace, place) = (Namespace::new(), Place::new());
    let (listener, target) = place.collector();
    let tracer = start(&namespace, &target, &[]);
    let server = Server::start(&namespace, "127.0.0.1", 1);
    let mut client = Client::connect(&namespace, server.address());
    let mut all = String::new();
    for words in ["first", "second", "third"] {
        // No multiple of three bytes: no ping, which would be answered some time.
        client.say(Say::text(0, 0).saying(words).saying("  "));
        let mut stream = accept(&listener);
        all += &read_exchange(&mut stream, words);
        // Dropped only, it is open as long as a process that another test has just forked has a copy.
        stream.shutdown(Shutdown::Both).expect("a connection");
    }
    client.close();
    server.logs();
    wait_for("the end", || tracer.has_told("tcp.close"));
    let reading = Reading::start(accept(&listener));
    let finished = tracer.interrupt();
    all += &reading.end();
    assert!(shown(&finished) == all, "{}\nis not\n{all}", shown(&finished));
}

/// The parts of a rotated file, from the oldest to the newest.
fn parts(place: &Place, name: &str) -> Vec<String> {
    let old = (1..).map(|n| place.path(&format!("{name}.{n}"))).take_while(|path| path.exists());
    let all = [place.path(name)].into_iter().chain(old);
    let mut parts: Vec<_> = all.map(|path| text(fs::read(path).expect("a part"))).collect();
    parts.reverse();
    parts
}

#[test]
fn a_file_that_is_rotated_under_load_has_everything() {
    let (namespace, place) = (Namespace::new(), Place::new());
    let rotation = ["--rotate-size", "32KiB", "--rotate-keep", "9999", "--output-buffer", "64MiB"];
    let options = ["-p", "7272", "--threads", "1", "-o", "-", "-o", &place.name("events")];
    let tracer = Tracer::start(&namespace, &[&options[..], &rotation].concat());
    let said = talk_much(&namespace, &tracer, None);
    let finished = tracer.interrupt();
    assert_shows(&finished, said);
    let parts = parts(&place, "events");
    assert!(parts.concat() == shown(&finished));
    assert!(parts.len() > 20 && parts.iter().all(|part| part.len() <= 32 << 10));
    assert!(parts.iter().all(|part| part.ends_with('\n')), "an event is in two parts");
}

#[test]
fn several_threads_write_whole_lines_to_each_output() {
    let (namespace, place) = (Namespace::new(), Place::new());
    let options = ["-p", "7272", "--threads", "4", "-o", "-", "-o", &place.name("events")];
    let tracer = Tracer::start(&namespace, &options);
    let server = Server::start(&namespace, "127.0.0.1", 16);
    let said = talk(&namespace, server, &[SMALL; 16]);
    wait_for("the end", || (tracer.times_told("tcp.close") == 16).then_some(()));
    let finished = tracer.interrupt();
    assert_shows(&finished, said);
    let file = fs::read_to_string(place.path("events")).expect("a file");
    let all = shown(&finished);
    // Who was first may differ from one to the other, but not on a connection.
    let of_connections = |lines: &str| -> BTreeSet<_> {
        let clients = (1..=16).map(|n| format!("\"conn\":{n},"));
        clients
            .map(|client| lines.lines().filter(|l| l.contains(&client)).collect::<String>())
            .collect()
    };
    assert_eq!(of_connections(&file).len(), 16);
    assert!(of_connections(&file) == of_connections(&all));
    assert_eq!(file.lines().count(), all.lines().count());
    assert_eq!(Event::parse_all(file.as_bytes()).last().map(Event::kind), Some("stats"));
}

/// A file system in memory without a name, which has room for so much.
fn small_disk(bytes: usize) -> rustix::io::Result<OwnedFd> {
    let disk = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&disk, "size", format!("{bytes}"))?;
    fsconfig_create(&disk)?;
    fsmount(&disk, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

#[test]
fn a_file_on_a_full_disk_goes_on_when_there_is_room_and_says_what_it_has_missed() {
    const ROOM: usize = 64 << 10;
    let namespace = Namespace::new();
    let disk = match small_disk(16 << 20) {
        Ok(disk) => disk,
        Err(error) => return left_out(&format!("no file system can be made here: {error}")),
    };
    let path = PathBuf::from(format!("/proc/{}/fd/{}", process::id(), disk.as_raw_fd()));
    let ballast = path.join("ballast");
    File::create(&ballast).expect("a file").write_all(&vec![1; (16 << 20) - ROOM]).expect("room");
    let file = path.join("events").into_os_string().into_string().expect("UTF-8");
    let tracer = start(&namespace, &file, &[]);
    let mut said = talk_much(&namespace, &tracer, None);
    for told in ["No space left on device", "trying again", "is too slow"] {
        wait_for("it to be told", || tracer.has_said(told));
    }
    fs::remove_file(ballast).expect("it is there");
    wait_for("it to be told", || tracer.has_said("goes on"));
    let more = talk_to_the_end(&namespace, &tracer, SMALL);
    said.0.extend(more.0);
    said.1.extend(more.1);
    let finished = tracer.interrupt();
    assert_shows(&finished, said);
    let written = fs::read_to_string(&file).expect("a file");
    let missed = assert_adds_up(&shown(&finished), &written);
    assert!(missed > 0, "nothing was dropped: this test has tested nothing");
    assert_eq!(dropped(&finished.events()), missed);
}

#[test]
fn an_output_that_is_stuck_does_not_keep_it_from_ending_and_is_named() {
    let (namespace, place) = (Namespace::new(), Place::new());
    let (_listener, target) = place.collector();
    let tracer = start(&namespace, &target, &[]);
    let (clients, _) = talk_much(&namespace, &tracer, None);
    let finished = tracer.interrupt();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let named = format!("the output is blocked ({target}): what was not written yet is lost");
    assert!(finished.stderr.contains(&named), "{}", finished.stderr);
    assert_eq!(attached(&namespace), []);
    // The other one was not stuck.
    let events = Event::parse_all(shown(&finished).as_bytes());
    assert_nothing_lost(&events);
    let said: usize = clients.iter().map(|log| log.said.c2s.len() + log.said.s2c.len()).sum();
    assert!(events.len() > said, "{} of {said}", events.len());
}

#[test]
fn an_output_that_nobody_listens_to_at_the_end_is_told_and_not_waited_for() {
    let (namespace, place) = (Namespace::new(), Place::new());
    let target = format!("unix:{}", place.name("nobody"));
    let tracer = start(&namespace, &target, &[]);
    talk_to_the_end(&namespace, &tracer, SMALL);
    let finished = tracer.interrupt();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let events = shown(&finished).lines().count();
    let told =
        format!("cannot write {target}, {events} events are lost: No such file or directory");
    assert!(finished.stderr.contains(&told), "{told}: {}", finished.stderr);
}

#[test]
fn a_collector_is_outside_of_the_namespace_that_is_traced() {
    let outside = Namespace::new();
    let inside = outside.another();
    let listener = outside.run(|| TcpListener::bind("127.0.0.1:0")).expect("a port");
    let target = format!("tcp:{}", listener.local_addr().expect("it is bound"));
    let tracer = start(&outside, &target, &["--netns", &inside.path()]);
    listener.set_nonblocking(true).expect("a socket");
    let (stream, _) = wait_for("the tracer to connect", || listener.accept().ok());
    stream.set_nonblocking(false).expect("a socket");
    let reading = Reading::start(stream);
    let said = talk_to_the_end(&inside, &tracer, SMALL);
    let finished = tracer.interrupt();
    assert_shows(&finished, said);
    assert!(shown(&finished) == reading.end());
}
