//! A tracer whose standard output is a test's own: a pipe that is read late or never, a disk that
//! fills up. What it says on stderr can be read while it runs.

use std::{
    io::Read,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{attached::attached, netns::Namespace, tracer::wait_for};

/// It is killed with the test, if it has not ended before.
pub(super) struct Spawned {
    child: Child,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // It has most often ended already, and that is no error.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Spawned {
    /// Starts it in a namespace; it may not be ready yet, and may never be.
    pub(super) fn start(namespace: &Namespace, options: &[&str], stdout: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
        command.args(["--format", "json"]).args(options).stdout(stdout);
        Self::command(namespace, command)
    }

    /// Starts a command that is, or becomes, a tracer.
    pub(super) fn command(namespace: &Namespace, command: Command) -> Self {
        Self::prepared(namespace, command, || ())
    }

    /// The same by a thread that was prepared for it.
    pub(super) fn prepared(
        namespace: &Namespace,
        mut command: Command,
        prepare: impl FnOnce() + Send,
    ) -> Self {
        let (mut stderr, writer) = std::io::pipe().expect("a pipe");
        command.stdin(Stdio::null()).stderr(writer);
        let spawn = || {
            prepare();
            command.spawn()
        };
        let child = namespace.run(spawn).expect("the tracer starts");
        // The last copy of the pipe's end is the child's.
        drop(command);
        let said = Arc::<Mutex<String>>::default();
        let all = Arc::clone(&said);
        let listener = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]);
                all.lock().expect("nobody panics with it").push_str(&text);
            }
        });
        Self { child, said, listener: Some(listener) }
    }

    /// What it has said on stderr so far.
    pub(super) fn said(&self) -> String {
        self.said.lock().expect("nobody panics with it").clone()
    }

    /// Waits until it says something.
    pub(super) fn wait_until_it_says(&self, what: &str) {
        wait_for(what, || self.said().contains(what).then_some(()));
    }

    pub(super) fn wait_until_ready(&self) {
        self.wait_until_it_says("tracing port");
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the tracer is still there");
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits until it ends: how, and all that it said.
    pub(super) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for("the tracer to end", || self.has_ended());
        let listener = self.listener.take().expect("taken once");
        listener.join().expect("stderr was read");
        (status, self.said())
    }

    /// Waits until it ends with status 1 and one complaint, which comes out. Nothing may be left in
    /// the namespace.
    pub(super) fn complaint(self, namespace: &Namespace) -> String {
        let (status, said) = self.wait();
        assert_eq!(status.code(), Some(1), "{status}: {said}");
        assert_eq!(attached(namespace), []);
        assert_eq!(namespace.command("tc", "qdisc show").matches("clsact").count(), 0);
        let own = said.lines().filter(|line| line.starts_with("tracer: "));
        let mut complaints = own.filter(|line| !line.contains("; Ctrl-C ends"));
        let complaint = complaints.next().unwrap_or_else(|| panic!("nothing said: {said}"));
        assert!(complaints.next().is_none(), "more than one thing said: {said}");
        assert!(!said.contains("panicked"), "{said}");
        complaint.to_owned()
    }
}
