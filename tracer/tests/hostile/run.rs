//! The tracer as a child process that is fed a capture while it is made: what it printed, and the
//! most memory it took, come out.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, BufWriter, PipeReader, Read as _, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, kill_process},
};

use crate::{capture::Capture, observed::Event};

/// How long a tracer may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a run came to.
pub(crate) struct Run {
    pub(crate) events: Vec<Event>,
    /// Peak of resident memory, in KiB.
    peak: u64,
    printed: usize,
    fed: u64,
}

/// Has the tracer read what `write` writes; it has to succeed.
pub(crate) fn run(
    args: &[&str],
    write: impl FnOnce(&mut Capture<'_>) -> io::Result<()> + Send,
) -> Run {
    let (stderr, full) = full_pipe();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tracer"))
        .args(["--read", "-", "--format", "json", "--stats-interval", "0"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(full)
        .spawn()
        .expect("the tracer runs");
    let stdin = child.stdin.take().expect("it is piped");
    let stdout = child.stdout.take().expect("it is piped");
    let pid = Pid::from_child(&child);
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel();
        scope.spawn(move || {
            if is_done.recv_timeout(PATIENCE).is_err() {
                kill_process(pid, Signal::KILL).expect("it is our child");
            }
        });
        let feeding = scope.spawn(|| feed(stdin, write));
        let (printed, peak) = read(stdout, &child);
        let said = last_words(stderr, child);
        done.send(()).expect("the watch is there until then");
        let fed = feeding.join().expect("a capture is written");
        assert!(!printed.is_empty(), "the tracer prints nothing, but says: {said}");
        let run = Run { events: Event::parse_all(&printed), peak, printed: printed.len(), fed };
        run.report();
        run
    })
}

/// Writes the capture; says how many bytes. The tracer's end says more than our broken pipe.
fn feed(stdin: ChildStdin, write: impl FnOnce(&mut Capture<'_>) -> io::Result<()>) -> u64 {
    let mut out = Counted { to: BufWriter::with_capacity(1 << 18, stdin), bytes: 0 };
    let written = Capture::new(&mut out).and_then(|mut capture| write(&mut capture));
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => panic!("{error}"),
        _ => out.bytes,
    }
}

struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.to.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads all lines up to the last one, `stats`, and then looks at the memory. The tracer is still
/// there, because what it does next is to write its summary into a full pipe.
fn read(stdout: ChildStdout, child: &Child) -> (Vec<u8>, u64) {
    let mut stdout = BufReader::with_capacity(1 << 18, stdout);
    let mut printed = Vec::new();
    loop {
        let before = printed.len();
        stdout.read_until(b'\n', &mut printed).expect("a pipe can be read");
        let line = &printed[before..];
        if line.windows(15).take(60).any(|part| part == br#""event":"stats""#) {
            return (printed, peak(child));
        }
        if line.is_empty() {
            return (printed, 0);
        }
    }
}

/// The high-water mark of the resident memory, in KiB. Not from wait4(2), which counts what this
/// process had when it forked.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    peak.and_then(|peak| peak.parse().ok()).expect("it has memory")
}

/// A pipe in which there is no room.
fn full_pipe() -> (PipeReader, io::PipeWriter) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("it is open");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("it is ours");
    while writer.write(b"\n").is_ok() {}
    fcntl_setfl(&writer, flags).expect("it is ours");
    (reader, writer)
}

/// Makes room in the pipe, sees the child to its end, and gives what it said.
fn last_words(mut stderr: PipeReader, mut child: Child) -> String {
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("it is text");
    let status = child.wait().expect("it is our child");
    let said = said.trim_start_matches('\n').to_owned();
    assert!(status.success() && !said.contains("panicked"), "{status}: {said}");
    said
}

impl Run {
    /// Checks that it took at most so much memory.
    #[track_caller]
    pub(crate) fn peaks_below(&self, mebibytes: u64) {
        let peak = self.peak as f64 / 1024.0;
        assert!(self.peak < mebibytes << 10, "{peak:.1} MiB, of {mebibytes} that it may take");
    }

    /// The events of a kind.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| event.kind() == kind)
    }

    /// A counter of the last `stats`.
    #[track_caller]
    pub(crate) fn count(&self, counter: &str) -> u64 {
        let stats = self.events.last().expect("there is always an event");
        assert_eq!(stats.kind(), "stats");
        stats.number(counter).unwrap_or_else(|| panic!("no {counter} in {stats}"))
    }

    /// For those who run the tests with `--nocapture`.
    fn report(&self) {
        let Self { events, peak, printed, fed } = self;
        let current = thread::current();
        let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
        println!(
            "{}: peak {:.1} MiB, {:.1} MiB read, {} events of {:.1} MiB printed",
            current.name().unwrap_or_default(),
            mebibytes(*peak as f64 * 1024.0),
            mebibytes(*fed as f64),
            events.len(),
            mebibytes(*printed as f64),
        );
    }
}
