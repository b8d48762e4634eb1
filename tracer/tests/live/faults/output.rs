//! Where the events go: a pipe that nobody reads, a disk that fills up, a file that may not grow, a
//! terminal that was closed.

use std::{
    fs::{self, File},
    io::{PipeReader, PipeWriter, Read as _, Write as _, pipe},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, openat},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
        fsopen,
    },
    process::{Resource, Rlimit, Signal, prlimit},
};

use super::{CLSACT, DEFAULT, spawned::Spawned};
use crate::{
    Script, assert_nothing_lost,
    attached::{attached, is_one_set},
    client::{Client, Say},
    left_out,
    netns::Namespace,
    observed::Event,
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
};

/// A tracer whose pipe is full, because nobody reads it, and the other end.
fn blocked(namespace: &Namespace, options: &[&str]) -> (Spawned, PipeReader) {
    let (reader, writer) = pipe().expect("a pipe");
    let tracer = Spawned::start(namespace, options, writer.into());
    tracer.wait_until_ready();
    fill(namespace);
    (tracer, reader)
}

/// Says more than a pipe, a small ring and what is on the way between them hold.
fn fill(namespace: &Namespace) {
    let script: Script = |client| (0..300).for_each(|n| client.say(Say::text(n, 2000)));
    talk(namespace, Server::start(namespace, "127.0.0.1", 2), &[script; 2]);
}

#[test]
fn a_reader_who_does_not_read_does_not_keep_it_from_ending() {
    for signal in [Signal::INT, Signal::TERM] {
        let namespace = Namespace::new();
        let (tracer, _reader) = blocked(&namespace, DEFAULT);
        tracer.signal(signal);
        // Detached at once, while the output may still be read.
        wait_for("it to be detached", || attached(&namespace).is_empty().then_some(()));
        let complaint = tracer.complaint(&namespace);
        assert!(complaint.contains("the output is blocked"), "{complaint}");
    }
}

/// A reader at work.
struct Reading {
    output: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Reading {
    fn start(mut reader: PipeReader) -> Self {
        let output = Arc::<Mutex<Vec<u8>>>::default();
        let shared = Arc::clone(&output);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let count @ 1.. = reader.read(&mut buffer).expect("a pipe can be read") {
                shared.lock().expect("nobody panics with it").extend(&buffer[..count]);
            }
        });
        Self { output, thread }
    }

    /// Whether there is a line with all of these in it.
    fn has(&self, texts: &[&str]) -> Option<()> {
        let output = self.output.lock().expect("nobody panics with it");
        let output = String::from_utf8_lossy(&output);
        output.lines().any(|line| texts.iter().all(|text| line.contains(text))).then_some(())
    }

    /// All events, when there are no more.
    fn end(self) -> Vec<Event> {
        self.thread.join().expect("it was read to its end");
        Event::parse_all(&self.output.lock().expect("nobody panics with it"))
    }
}

#[test]
fn a_reader_who_reads_late_gets_what_was_kept_and_is_told_what_was_not() {
    let namespace = Namespace::new();
    let options = [DEFAULT, &["--output-buffer", "256KiB", "--stats-interval", "0"]].concat();
    let (tracer, reader) = blocked(&namespace, &options);
    tracer.wait_until_it_says("standard output is too slow");
    let server = Server::start(&namespace, "127.0.0.2", 1);
    let mut client = Client::connect(&namespace, server.address());
    let reading = Reading::start(reader);
    let mut times = 0;
    wait_for("it to catch up", || {
        times += 1;
        client.say(Say::text(0, 10).saying("very late"));
        reading.has(&["ws.message", "very late"])
    });
    let late = client.close();
    server.logs();
    wait_for("the end", || reading.has(&["tcp.close", &late.client]));
    tracer.signal(Signal::INT);
    let (status, said) = tracer.wait();
    assert!(status.success(), "{status}: {said}");
    let events = reading.end();
    // The capture has everything; what it told and what it left out add up.
    assert_nothing_lost(&events);
    let [dropped, messages] = ["dropped", "messages"].map(|name| {
        let stats = events.last().filter(|stats| stats.kind() == "stats").expect("stats");
        stats.number(name).expect("a number")
    });
    assert_eq!(messages, 2 * (2 * 300 + times));
    let told: u64 = (events.iter().filter(|e| e.kind() == "dropped"))
        .map(|e| e.number("events").expect("a number"))
        .sum();
    assert!(told > 0, "nothing dropped: this test has tested nothing");
    assert_eq!(told, dropped);
}

#[test]
fn a_count_that_is_reached_is_written_however_long_its_reader_takes() {
    let namespace = Namespace::new();
    let (mut tracer, reader) = blocked(&namespace, &[DEFAULT, &["--count", "900"]].concat());
    wait_for("it to be detached", || attached(&namespace).is_empty().then_some(()));
    // Longer than one would be waited for that is asked to end.
    thread::sleep(Duration::from_secs(12));
    assert_eq!(tracer.has_ended(), None);
    let reading = Reading::start(reader);
    let (status, said) = tracer.wait();
    assert!(status.success(), "{status}: {said}");
    assert_eq!(reading.end().iter().filter(|e| e.kind() == "ws.message").count(), 900);
}

#[test]
fn a_full_stderr_does_not_keep_it_from_ending() {
    let namespace = Namespace::new();
    let (_reader, writer) = pipe().expect("a pipe");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(["--format", "json"]).args(CLSACT).stdin(Stdio::null());
    // As with `2>&1 | less`.
    command.stdout(writer.try_clone().expect("a copy")).stderr(writer);
    let mut child = namespace.run(|| command.spawn()).expect("the tracer starts");
    drop(command);
    let is_attached = || is_one_set(&attached(&namespace)).then_some(());
    wait_for("the tracer to be attached", is_attached);
    fill(&namespace);
    // It has something to say of these, and cannot.
    (0..3).for_each(|n| namespace.ip(&format!("link add a{n} type veth peer name b{n}")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).expect("the tracer is still there");
    let status = wait_for("the tracer to end", || child.try_wait().expect("it is our child"));
    assert_eq!(status.code(), Some(1), "{status}");
    assert_eq!(attached(&namespace), []);
}

/// Fills a pipe to its end.
fn fill_pipe(writer: &mut PipeWriter) {
    set_non_blocking(writer, true);
    while writer.write(&[b'\n'; 512]).is_ok() {}
    set_non_blocking(writer, false);
}

fn set_non_blocking(writer: &PipeWriter, is_non_blocking: bool) {
    let mut flags = fcntl_getfl(writer).expect("it is open");
    flags.set(OFlags::NONBLOCK, is_non_blocking);
    fcntl_setfl(writer, flags).expect("it is ours");
}

#[test]
fn a_pipe_that_is_full_from_the_beginning_does_not_keep_it_from_ending() {
    let namespace = Namespace::new();
    let (_reader, mut writer) = pipe().expect("a pipe");
    fill_pipe(&mut writer);
    let tracer = Spawned::start(&namespace, DEFAULT, writer.into());
    tracer.wait_until_ready();
    tracer.signal(Signal::TERM);
    let complaint = tracer.complaint(&namespace);
    assert!(complaint.contains("the output is blocked"), "{complaint}");
}

#[test]
fn a_pipe_that_does_not_block_loses_nothing_and_tears_no_line() {
    let namespace = Namespace::new();
    let (reader, writer) = pipe().expect("a pipe");
    set_non_blocking(&writer, true);
    let tracer = Spawned::start(&namespace, DEFAULT, writer.into());
    tracer.wait_until_ready();
    fill(&namespace);
    let reading = Reading::start(reader);
    tracer.signal(Signal::INT);
    let (status, said) = tracer.wait();
    assert!(status.success(), "{status}: {said}");
    let events = reading.end();
    assert_nothing_lost(&events);
    assert_eq!(events.iter().filter(|e| e.kind() == "ws.message").count(), 2 * 2 * 300);
}

/// An empty file on a file system in memory, which has no name and is of this size.
fn file_on_a_small_disk(bytes: usize) -> rustix::io::Result<File> {
    let disk = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&disk, "size", format!("{bytes}"))?;
    fsconfig_create(&disk)?;
    let root = fsmount(&disk, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(openat(&root, "events.jsonl", flags, Mode::RUSR | Mode::WUSR)?.into())
}

/// Echoes until the tracer has ended.
fn talk_until_it_ends(namespace: &Namespace, server: SocketAddr, tracer: &mut Spawned) {
    let mut client = Client::connect(namespace, server);
    wait_for("the tracer to end", || {
        client.say(Say::text(0, 1000));
        tracer.has_ended()
    });
}

/// All lines but the last, which may be torn, are events.
fn assert_whole_lines(output: &[u8]) {
    let end = output.iter().rposition(|&byte| byte == b'\n').expect("a line");
    assert!(Event::parse_all(&output[..end]).len() > 1);
}

#[test]
fn a_disk_that_is_full_already_leaves_nothing_attached() {
    for options in [DEFAULT, CLSACT] {
        let namespace = Namespace::new();
        let full = File::options().write(true).open("/dev/full").expect("/dev/full opens");
        let complaint = Spawned::start(&namespace, options, full.into()).complaint(&namespace);
        assert!(complaint.contains("No space left on device"), "{complaint}");
    }
}

#[test]
fn a_disk_that_fills_up_ends_it_with_a_sentence() {
    for options in [DEFAULT, CLSACT] {
        let namespace = Namespace::new();
        let mut disk = match file_on_a_small_disk(64 << 10) {
            Ok(disk) => disk,
            Err(error) => return left_out(&format!("no file system can be made here: {error}")),
        };
        let server = Server::start(&namespace, "127.0.0.1", 1);
        let stdout = disk.try_clone().expect("a copy");
        let mut tracer = Spawned::start(&namespace, options, stdout.into());
        tracer.wait_until_ready();
        talk_until_it_ends(&namespace, server.address(), &mut tracer);
        let complaint = tracer.complaint(&namespace);
        assert!(complaint.contains("No space left on device"), "{complaint}");
        let mut output = Vec::new();
        std::io::Seek::rewind(&mut disk).expect("it is a file");
        disk.read_to_end(&mut output).expect("it can be read");
        assert_whole_lines(&output);
    }
}

#[test]
fn a_file_that_may_not_grow_ends_it_with_a_sentence() {
    for options in [DEFAULT, CLSACT] {
        let namespace = Namespace::new();
        let server = Server::start(&namespace, "127.0.0.1", 1);
        let file = tempfile::NamedTempFile::new().expect("a file");
        let stdout = file.reopen().expect("the file is there");
        let mut tracer = Spawned::start(&namespace, options, stdout.into());
        tracer.wait_until_ready();
        let limit = Rlimit { current: Some(20_000), maximum: Some(20_000) };
        prlimit(Some(tracer.pid()), Resource::Fsize, limit).expect("root may set limits");
        talk_until_it_ends(&namespace, server.address(), &mut tracer);
        // SIGXFSZ would have killed it, and left what is attached by clsact.
        let complaint = tracer.complaint(&namespace);
        assert!(complaint.contains("File too large"), "{complaint}");
        assert_whole_lines(&fs::read(file.path()).expect("the file is there"));
    }
}

#[test]
fn a_terminal_that_was_closed_ends_it_in_order() {
    if ignores(Signal::HUP) {
        left_out("whoever started the tests wants SIGHUP to be ignored, as nohup(1) does");
        return;
    }
    let namespace = Namespace::new();
    let tracer = Tracer::start(&namespace, CLSACT);
    let said =
        talk(&namespace, Server::start(&namespace, "127.0.0.1", 1), &[crate::traffic::SMALL]);
    crate::assert_shows(&tracer.signal(Signal::HUP), said);
    assert_eq!(attached(&namespace), []);
}

/// Whether we have inherited that a signal is ignored, as a tracer will from us.
fn ignores(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("procfs is mounted");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a hexadecimal number");
    ignored >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn a_tracer_that_is_to_outlive_its_terminal_does() {
    let namespace = Namespace::new();
    // As nohup(1) does.
    let mut command = Command::new("sh");
    command.arg("-c").arg("trap '' HUP; exec \"$0\" --port 7272");
    command.arg(env!("CARGO_BIN_EXE_tracer")).stdout(Stdio::null());
    let tracer = Spawned::command(&namespace, command);
    tracer.wait_until_ready();
    tracer.signal(Signal::HUP);
    talk(&namespace, Server::start(&namespace, "127.0.0.1", 1), &[crate::traffic::SMALL]);
    tracer.signal(Signal::INT);
    let (status, said) = tracer.wait();
    assert!(status.success() && said.contains("in 1 connection,"), "{status}: {said}");
}
