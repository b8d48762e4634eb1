//! The tracer as a child process: options come in, and once it has been stopped, what it printed.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{netns::Namespace, observed::Event, server::HANG};

/// What it says on stderr once everything is attached.
const READY: &str = "tracing port";

/// A running tracer. It ends with the test, if not before.
pub(crate) struct Tracer {
    child: KilledOnDrop,
    output: PathBuf,
    stderr: Arc<Mutex<String>>,
    stderr_ends: JoinHandle<()>,
    _directory: TempDir,
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It has most often ended already, and that is no error.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A tracer that has ended.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    output: PathBuf,
    _directory: TempDir,
}

impl Tracer {
    /// Starts it inside `namespace` with these options, and returns when it traces.
    pub(crate) fn start(namespace: &Namespace, options: &[&str]) -> Self {
        let directory = memory_directory();
        let output = directory.path().join("events.jsonl");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
        command.args(["--format", "json"]).args(options);
        // No `stats` but the last: how many there are before it is a matter of speed.
        for default in [["--payload-limit", "unlimited"], ["--stats-interval", "0"]] {
            if !options.contains(&default[0]) {
                command.args(default);
            }
        }
        // A machine so slow that nothing may be lost on it by chance wants a larger one.
        if let Ok(size) = env::var("TRACER_TEST_RING")
            && !options.contains(&"--ring-size")
        {
            command.args(["--ring-size", &size]);
        }
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command.stdout(File::create(&output).expect("a file can be made"));
        let child = namespace.run(|| command.spawn()).expect("the tracer starts");
        let mut child = KilledOnDrop(child);
        let (ready, is_ready) = channel();
        let pipe = child.0.stderr.take().expect("stderr is piped");
        let stderr = Arc::new(Mutex::new(String::new()));
        let collected = Arc::clone(&stderr);
        let stderr_ends = thread::spawn(move || collect(pipe, &ready, &collected));
        let tracer = Self { child, output, stderr, stderr_ends, _directory: directory };
        tracer.wait_until_ready(&is_ready)
    }

    fn wait_until_ready(self, is_ready: &Receiver<()>) -> Self {
        match is_ready.recv_timeout(HANG) {
            Ok(()) => self,
            Err(RecvTimeoutError::Timeout) => panic!("no {READY:?} on stderr"),
            Err(RecvTimeoutError::Disconnected) => {
                let finished = self.wait();
                panic!("the tracer ended, {}: {}", finished.status, finished.stderr)
            }
        }
    }

    /// Whether its output has a string such as the name of an event; for [`wait_for`].
    pub(crate) fn has_told(&self, name: &str) -> Option<()> {
        self.so_far().contains(&format!("\"{name}\"")).then_some(())
    }

    /// How often its output has the name of an event.
    pub(crate) fn times_told(&self, name: &str) -> usize {
        self.so_far().matches(&format!("\"event\":\"{name}\"")).count()
    }

    /// Its output, of which the last character may be written in part.
    fn so_far(&self) -> String {
        let output = std::fs::read(&self.output).expect("the output is there");
        String::from_utf8_lossy(&output).into_owned()
    }

    /// What it has told so far, in whole lines.
    pub(crate) fn events(&self) -> Vec<Event> {
        let output = std::fs::read(&self.output).expect("the output is there");
        let whole = output.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        Event::parse_all(&output[..whole])
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child.0)
    }

    /// The file that it prints to.
    pub(crate) fn output(&self) -> &Path {
        &self.output
    }

    /// Whether it has said this on stderr; for [`wait_for`].
    pub(crate) fn has_said(&self, what: &str) -> Option<()> {
        said(&self.stderr).contains(what).then_some(())
    }

    /// Stops it as Ctrl-C does.
    pub(crate) fn interrupt(self) -> Finished {
        self.signal(Signal::INT)
    }

    /// Stops it by any signal that it can handle.
    pub(crate) fn signal(self, signal: Signal) -> Finished {
        let pid = Pid::from_child(&self.child.0);
        kill_process(pid, signal).expect("the tracer is still there");
        self.wait()
    }

    /// Lets it neither read nor write until [`Tracer::resume`].
    pub(crate) fn pause(&self) {
        kill_process(Pid::from_child(&self.child.0), Signal::STOP).expect("the tracer is there");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        kill_process(Pid::from_child(&self.child.0), Signal::CONT).expect("the tracer is there");
    }

    /// Stops it in a way that leaves it no time for anything.
    pub(crate) fn kill(mut self) {
        self.child.0.kill().expect("the tracer is still there");
        self.child.0.wait().expect("it can be waited for");
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(self) -> Finished {
        let Self { mut child, output, stderr, stderr_ends, _directory } = self;
        let status = wait_for("the tracer to end", || child.0.try_wait().expect("it is our child"));
        stderr_ends.join().expect("stderr was read");
        let stderr = said(&stderr);
        Finished { status, stderr, output, _directory }
    }
}

impl Finished {
    /// The file with all that it printed.
    pub(crate) fn output(&self) -> &Path {
        &self.output
    }

    /// All that it printed. Panics unless it ended well.
    pub(crate) fn events(&self) -> Vec<Event> {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        Event::parse_all(&std::fs::read(&self.output).expect("the output is there"))
    }
}

/// Polls until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = poll() {
            return answer;
        }
        assert!(start.elapsed() < HANG, "waited too long for {what}");
        sleep(Duration::from_millis(5));
    }
}

/// Reads stderr to its end, and tells when the tracer is ready.
fn collect(pipe: ChildStderr, ready: &Sender<()>, all: &Mutex<String>) {
    for line in BufReader::new(pipe).lines() {
        let line = line.expect("stderr is UTF-8");
        if line.contains(READY) {
            // Nobody listens any more after the first time.
            let _sent = ready.send(());
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_str(&line);
        all.push('\n');
    }
}

/// What was collected so far.
fn said(all: &Mutex<String>) -> String {
    all.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A directory in memory, so that no disk slows the tracer down.
fn memory_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let directory =
        if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    directory.expect("a temporary directory")
}
