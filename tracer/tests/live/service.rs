//! What a service manager hears (`sd_notify(3)`).

use std::{
    fs,
    io::ErrorKind,
    os::unix::net::UnixDatagram,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};

use crate::{held::Held, netns::Namespace, server::HANG, tracer::Tracer};

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
