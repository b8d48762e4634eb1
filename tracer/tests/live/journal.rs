//! A journald of our own, the real one, that nobody else writes to: each event is an entry with all its
//! fields, whatever its size.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Script, assert_shows,
    client::Client,
    left_out,
    netns::Namespace,
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
    traffic::{large, small},
};

const JOURNALD: &str = "/usr/lib/systemd/systemd-journald";

/// Sees a /run of its own, where its files are; its sockets are in a directory that everybody sees.
const START: &str = "mount -t tmpfs tmpfs /run \
    && mkdir -p /run/systemd/journald.conf.d /run/systemd/journal /run/log/journal \
    && mount --bind \"$1\" /run/systemd/journal \
    && printf '[Journal]\\nStorage=volatile\\nRuntimeMaxUse=500M\\nAudit=no\\nReadKMsg=no\\n\
    RateLimitIntervalSec=0\\n' > /run/systemd/journald.conf.d/test.conf \
    && exec /usr/lib/systemd/systemd-journald";

/// It ends with the test.
struct Journald {
    child: Child,
    sockets: TempDir,
}

impl Drop for Journald {
    fn drop(&mut self) {
        // Where this fails it has ended already.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Journald {
    fn start() -> Self {
        let mut command = Command::new("unshare");
        let sockets = tempfile::tempdir().expect("a temporary directory");
        command.args(["--mount", "--propagation", "private", "sh", "-c", START, "sh"]);
        command.arg(sockets.path()).stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("unshare comes with the package util-linux");
        let journald = Self { child, sockets };
        let socket = journald.socket();
        wait_for("journald to listen", || socket.exists().then_some(()));
        journald
    }

    /// Where it listens.
    fn socket(&self) -> PathBuf {
        self.sockets.path().join("socket")
    }

    /// What it has of us.
    fn entries(&self) -> Vec<BTreeMap<String, Value>> {
        let directory = format!("--directory=/proc/{}/root/run/log/journal", self.child.id());
        let mut command = Command::new("journalctl");
        let arguments = ["--identifier=tracer", "--output=json", "--all", "--no-pager"];
        let output = command.arg(directory).args(arguments).output().expect("journalctl runs");
        let lines = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

#[test]
fn the_journal_has_every_event_with_its_fields_however_large() {
    if !Path::new(JOURNALD).exists() {
        return left_out("there is no journald here (package systemd)");
    }
    let journald = Journald::start();
    let namespace = Namespace::new();
    let target = format!("journald:{}", journald.socket().display());
    // All of it fits into the buffer.
    let buffer = ["--output-buffer", "64MiB"];
    // Several threads would fill the outputs in different orders.
    let options = ["-p", "7272", "--threads", "1", "-o", &target, "-o", "-"];
    let tracer = Tracer::start(&namespace, &[&options[..], &buffer].concat());
    let script: Script = |client: &mut Client| {
        small(client);
        large(client);
    };
    let said = talk(&namespace, Server::start(&namespace, "127.0.0.1", 2), &[script; 2]);
    let finished = tracer.interrupt();
    assert_shows(&finished, said);
    let events = finished.events();
    let entries = wait_for("all of them", || {
        Some(journald.entries()).filter(|entries| entries.len() >= events.len())
    });
    assert_eq!(entries.len(), events.len());
    for (entry, event) in entries.iter().zip(&events) {
        assert_eq!(entry["_TRANSPORT"], "journal");
        let of_event = entry.keys().filter(|name| name.starts_with("TRACER_"));
        let fields = event.as_ref().as_object().expect("checked when parsed");
        assert_eq!(of_event.count(), fields.len(), "{event}");
        for (name, value) in fields {
            let found = &entry[&format!("TRACER_{}", name.to_uppercase())];
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(*found == value, "{name} of {event}");
        }
    }
    let largest = entries.iter().filter_map(|entry| entry["MESSAGE"].as_str()).map(str::len).max();
    assert!(largest > Some(3 << 20), "{largest:?}: no datagram is that large");
}
