//! What a service manager hears (`sd_notify(3)`).

use std::{
    fs,
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{netns::Namespace, server::HANG, tracer::Tracer};

/// The socket that a service manager listens on.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(HANG)).expect("a timeout");
        Self(socket)
    }

    /// The next message, in lines.
    fn hear(&self) -> Vec<String> {
        let mut message = [0; 4096];
        let len = self.0.recv(&mut message).expect("a message");
        let message = str::from_utf8(&message[..len]).expect("UTF-8");
        message.lines().map(str::to_owned).collect()
    }

    /// Waits for a message with this line, and returns it.
    fn wait_for(&self, line: &str) -> Vec<String> {
        let start = Instant::now();
        loop {
            let message = self.hear();
            if message.iter().any(|heard| heard == line) {
                return message;
            }
            assert!(start.elapsed() < HANG, "no {line}");
        }
    }
}

#[test]
fn a_service_manager_hears_of_readiness_reloads_health_and_the_end() {
    const READY: &str = "READY=1";
    let here = Namespace::new();
    let directory = tempfile::tempdir().expect("a directory");
    let (socket, file) = (directory.path().join("notify"), directory.path().join("tracer.toml"));
    fs::write(&file, "interface = 'lo'").expect("a file");
    let manager = Manager::listen(&socket);
    let (socket, file) = (socket.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    // From before the first: what waits to be heard was said later.
    let start = Instant::now();
    let environment = [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "400000")];
    let tracer = Tracer::start_with(&here, &["--config", file], &environment);
    let status = "STATUS=tracing port 7272 on lo";
    let ready = manager.wait_for(READY);
    assert!(ready[1].starts_with(status), "{ready:?}");
    let healthy = manager.wait_for("WATCHDOG=1");
    assert!(healthy[0].starts_with(status), "{healthy:?}");
    assert!(healthy[0].ends_with(": 0 connections, 0 messages, nothing lost"), "{healthy:?}");
    // Half of the time it may take.
    (0..10).for_each(|_| drop(manager.wait_for("WATCHDOG=1")));
    assert!(start.elapsed() > Duration::from_millis(200) * 8, "it is not in a hurry");
    tracer.reload();
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    manager.wait_for(READY);
    fs::write(file, "no = file").expect("a file");
    kill_process(tracer.pid(), Signal::HUP).expect("it is there");
    manager.wait_for("RELOADING=1");
    manager.wait_for(READY);
    let finished = tracer.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert!(finished.status.success(), "nobody came, and that is no failure: {}", finished.stderr);
    assert!(!finished.stderr.contains("Ctrl-C"), "{}", finished.stderr);
}

/// A thread that stands still, as one that waits for ever; others of its process go on.
struct Held(libc::pid_t);

impl Held {
    /// Holds the thread of that name.
    fn hold(process: Pid, name: &str) -> Self {
        let mut threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
        let thread = threads.find_map(|thread| {
            let thread = thread.expect("a thread").path();
            let found = fs::read_to_string(thread.join("comm")).expect("it has a name");
            (found.trim_end() == name).then_some(thread)
        });
        let number = thread.as_ref().and_then(|thread| thread.file_name()?.to_str());
        let thread = number.expect("a thread of that name").parse().expect("a number");
        let held = Self(thread);
        held.ask(libc::PTRACE_SEIZE);
        held.ask(libc::PTRACE_INTERRUPT);
        // SAFETY: where it would write how the thread has stopped, it is told not to.
        #[expect(unsafe_code, reason = "rustix waits for processes only")]
        let stopped = unsafe { libc::waitpid(thread, std::ptr::null_mut(), libc::__WALL) };
        assert_eq!(stopped, thread);
        held
    }

    fn ask(&self, request: libc::c_uint) {
        const NONE: usize = 0;
        // SAFETY: these requests read and write no memory.
        #[expect(unsafe_code, reason = "no library that we use offers it")]
        let done = unsafe { libc::ptrace(request, self.0, NONE, NONE) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ask(libc::PTRACE_DETACH);
    }
}

#[test]
fn a_thread_that_is_stuck_is_no_sign_of_life() {
    let here = Namespace::new();
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("notify");
    let manager = Manager::listen(&socket);
    let socket = socket.to_str().expect("UTF-8");
    let environment = [("NOTIFY_SOCKET", socket), ("WATCHDOG_USEC", "100000")];
    let tracer = Tracer::start_with(&here, &["--port", "7272"], &environment);
    manager.wait_for("WATCHDOG=1");
    let held = Held::hold(tracer.pid(), "decode-0");
    // What was said before may still be to be heard.
    manager.0.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let heard = (0..100).find_map(|_| manager.0.recv(&mut [0; 4096]).err());
    assert_eq!(heard.expect("silence").kind(), ErrorKind::WouldBlock);
    drop(held);
    manager.0.set_read_timeout(Some(HANG)).expect("a timeout");
    manager.wait_for("WATCHDOG=1");
    assert!(tracer.interrupt().status.success());
}
