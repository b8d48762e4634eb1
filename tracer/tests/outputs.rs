//! Several outputs at once: captures go in; what comes to files, sockets and a journal is the same, and
//! all of it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    mem::MaybeUninit,
    net::TcpListener,
    os::unix::net::{UnixDatagram, UnixListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::{self, JoinHandle},
};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::Value;
use tempfile::TempDir;

/// The largest capture, and one of two connections.
const LARGE: &str = "ws-coalesced.pcap";

fn capture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/captures", name].iter().collect()
}

fn tracer(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.arg("--read").arg(capture(name)).args(args).stdin(Stdio::null());
    command
}

fn run(name: &str, args: &[&str]) -> Output {
    let output = tracer(name, args).output().expect("the tracer runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    output
}

/// What standard output alone gets.
fn expected(name: &str, args: &[&str]) -> String {
    text(run(name, args).stdout)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the output is UTF-8")
}

/// A place for files and sockets.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).into_os_string().into_string().expect("UTF-8")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// Reads a connection to its end.
fn collect<S: io::Read>(
    accept: impl FnOnce() -> io::Result<S> + Send + 'static,
) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut all = Vec::new();
        accept().expect("a connection").read_to_end(&mut all).expect("an end");
        text(all)
    })
}

#[test]
fn all_outputs_get_all_of_it() {
    let place = Place::new();
    let unix = UnixListener::bind(place.path("unix")).expect("a socket");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let targets = [
        "-".to_owned(),
        place.path("first"),
        place.path("second"),
        format!("unix:{}", place.path("unix")),
        format!("tcp:{}", tcp.local_addr().expect("it is bound")),
    ];
    let collectors =
        [collect(move || unix.accept().map(|s| s.0)), collect(move || tcp.accept().map(|s| s.0))];
    let options: Vec<_> = targets.iter().flat_map(|target| ["-o", target]).collect();
    let output = run(LARGE, &options);
    let expected = expected(LARGE, &[]);
    assert!(expected.lines().count() > 1000);
    assert!(text(output.stdout) == expected, "standard output");
    assert!(place.read("first") == expected && place.read("second") == expected, "files");
    for collector in collectors {
        assert!(collector.join().expect("it was read") == expected, "a socket");
    }
    run(LARGE, &["-o", &place.path("first")]);
    assert_eq!(place.read("first").len(), 2 * expected.len(), "it is appended to");
}

#[test]
fn a_format_is_for_all_outputs() {
    let place = Place::new();
    let file = place.path("file");
    run("ws-plain.pcap", &["-o", &file, "-o", "-", "--format", "text", "-X"]);
    assert_eq!(place.read("file"), expected("ws-plain.pcap", &["--format", "text", "-X"]));
}

#[test]
fn a_small_buffer_is_waited_for_where_a_file_is_read() {
    let place = Place::new();
    let listener = UnixListener::bind(place.path("unix")).expect("a socket");
    let target = format!("unix:{}", place.path("unix"));
    let options = ["-o", &target, "-o", "-", "--output-buffer", "256KiB", "-X", "--frames"];
    let mut command = tracer(LARGE, &options);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let (mut stream, _) = listener.accept().expect("a connection");
    // Far from its end by then, and it must not end: nobody has read.
    let mut all = vec![0; 1000];
    stream.read_exact(&mut all).expect("some of it");
    stream.read_to_end(&mut all).expect("an end");
    assert!(child.wait().expect("it ends").success());
    assert!(text(all) == expected(LARGE, &["-X", "--frames"]));
}

/// What is in a rotated file, from the oldest part to the newest.
fn parts(place: &Place, name: &str) -> Vec<String> {
    let numbers = (1..).take_while(|n| Path::new(&place.path(&format!("{name}.{n}"))).exists());
    let old = numbers.map(|n| place.read(&format!("{name}.{n}")));
    let mut parts = vec![place.read(name)];
    parts.extend(old);
    parts.reverse();
    parts
}

#[test]
fn a_file_is_rotated_between_events_and_the_parts_are_the_whole() {
    let place = Place::new();
    let file = place.path("events");
    let options = ["-o", &file, "--rotate-size", "16KiB", "--rotate-keep", "9999"];
    // Begun by one run, continued by another.
    run("ws-plain.pcap", &options);
    run(LARGE, &options);
    let parts = parts(&place, "events");
    let expected = expected("ws-plain.pcap", &[]) + &expected(LARGE, &[]);
    assert!(parts.concat() == expected);
    assert!(parts.len() > expected.len() / (16 << 10), "{} parts", parts.len());
    for part in parts {
        assert!(part.len() <= 16 << 10 || part.lines().count() == 1, "{} bytes", part.len());
        assert!(part.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    }
}

/// An entry's, by their names.
type Fields = BTreeMap<String, String>;

/// Receives entries until one is of the kind that comes last.
fn journal(socket: UnixDatagram) -> JoinHandle<Vec<Fields>> {
    thread::spawn(move || {
        let mut entries: Vec<Fields> = Vec::new();
        while entries.last().is_none_or(|entry| entry["TRACER_EVENT"] != "stats") {
            entries.push(parse(&receive(&socket)));
        }
        entries
    })
}

/// An entry: a datagram, or the file that comes with it.
fn receive(socket: &UnixDatagram) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [io::IoSliceMut::new(&mut bytes)];
    let received = recvmsg(socket, &mut buffers, &mut control, RecvFlags::empty());
    bytes.truncate(received.expect("a datagram").bytes);
    if let Some(RecvAncillaryMessage::ScmRights(files)) = control.drain().next() {
        for file in files {
            let mut file = File::from(file);
            io::Seek::rewind(&mut file).expect("it is in memory");
            file.read_to_end(&mut bytes).expect("it can be read");
        }
    }
    bytes
}

/// The fields of an entry: `NAME=value`, or the name, the length in 8 bytes, and the value.
fn parse(mut entry: &[u8]) -> Fields {
    let mut fields = Fields::new();
    while let Some(end) = entry.iter().position(|&byte| byte == b'\n') {
        let (line, rest) = (&entry[..end], &entry[end + 1..]);
        let (name, value);
        if let Some(equals) = line.iter().position(|&byte| byte == b'=') {
            (name, value, entry) = (&line[..equals], &line[equals + 1..], rest);
        } else {
            let (len, rest) = rest.split_first_chunk().expect("a length");
            let (text, rest) = rest.split_at(u64::from_le_bytes(*len) as usize);
            (name, value, entry) = (line, text, rest.strip_prefix(b"\n").expect("a newline"));
        }
        let old = fields.insert(text(name.to_vec()), text(value.to_vec()));
        assert!(old.is_none(), "a field twice");
    }
    assert!(entry.is_empty(), "the last line has an end");
    fields
}

/// The field that an event's field becomes.
fn field(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn each_event_is_an_entry_of_the_journal_with_its_fields() {
    let place = Place::new();
    for (name, options) in [("ws-plain.pcap", "-X"), (LARGE, "--payload-limit=unlimited")] {
        let socket = place.path(name);
        let journal = journal(UnixDatagram::bind(&socket).expect("a socket"));
        let target = format!("journald:{socket}");
        let json = run(name, &["-o", &target, "-o", "-", "--format", "json", options]).stdout;
        let entries = journal.join().expect("entries");
        let lines = text(json);
        assert_eq!(entries.len(), lines.lines().count());
        for (entry, line) in entries.iter().zip(lines.lines()) {
            let event: BTreeMap<String, Value> = serde_json::from_str(line).expect("JSON");
            let of_event = |(name, _): &(&String, &String)| name.starts_with("TRACER_");
            assert_eq!(entry.iter().filter(of_event).count(), event.len(), "{line}");
            for (name, value) in event {
                let found = &entry[&format!("TRACER_{}", name.to_uppercase())];
                // What could harm a terminal is escaped, and these captures have none but newlines.
                assert_eq!(*found, field(&value).replace('\n', "\\n"), "{name} of {line}");
            }
            assert_eq!(entry["SYSLOG_IDENTIFIER"], "tracer");
        }
        let shown = |entry: &&Fields| !["start", "stats"].contains(&entry["TRACER_EVENT"].as_str());
        let messages = entries.iter().filter(shown).map(|entry| &*entry["MESSAGE"]);
        let messages: Vec<&str> = messages.collect();
        let expected = expected(name, &["--format", "text", options]);
        assert!(messages.join("\n") + "\n" == expected, "the lines of text");
    }
}

/// The one sentence by which the tracer, having failed, says what is wrong.
#[track_caller]
fn complaint(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8");
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let is_complaint = |line: &&str| ["tracer: ", "error: "].iter().any(|by| line.starts_with(by));
    let complaints: Vec<_> = stderr.lines().filter(is_complaint).collect();
    let [complaint] = complaints.as_slice() else { panic!("not one sentence: {stderr}") };
    (*complaint).to_owned()
}

#[test]
fn an_output_that_cannot_be_is_one_clear_error() {
    let place = Place::new();
    let unix = format!("unix:{}", place.path("nobody"));
    let journald = format!("journald:{}", place.path("nobody"));
    let missing = place.path("missing/events.jsonl");
    for (target, words) in [
        (&missing[..], "No such file or directory"),
        (&place.path("."), "Is a directory"),
        (&unix, "No such file or directory"),
        (&journald, "No such file or directory"),
        ("/dev/full", "No space left on device"),
        ("tcp:127.0.0.1:1", "Connection refused"),
    ] {
        let file = place.path("other");
        for options in [vec!["-o", target], vec!["-o", &file, "-o", target]] {
            let output = tracer(LARGE, &options).output().expect("the tracer runs");
            let complaint = complaint(&output, 1);
            assert!(complaint.contains(words), "{target}: {complaint}");
            let name = target.split_once(":/").map_or(target, |(kind, _)| kind);
            assert!(complaint.contains(name), "{target}: {complaint}");
        }
    }
}

#[test]
fn a_reader_of_standard_output_may_leave_while_a_file_goes_on() {
    let place = Place::new();
    let mut command = tracer(LARGE, &["-o", "-", "-o", &place.path("file")]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tracer runs");
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 10]).expect("it begins");
    drop(stdout);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(place.read("file") == expected(LARGE, &[]));
}

#[test]
fn outputs_can_be_in_the_configuration_file() {
    let place = Place::new();
    let config = place.path("tracer.toml");
    let [first, second] = ["a,b", "c"].map(|name| place.path(name));
    let toml =
        format!("output = [{first:?}, {second:?}]\nformat = \"text\"\nrotate-age = \"7d\"\n");
    File::create(&config).and_then(|mut file| file.write_all(toml.as_bytes())).expect("a file");
    let output = run("ws-plain.pcap", &["--config", &config]);
    assert!(output.stdout.is_empty());
    let expected = expected("ws-plain.pcap", &["--format", "text"]);
    assert!(place.read("a,b") == expected && place.read("c") == expected);
}
