//! The cases of the Autobahn test suite, read from captures that say what goes over the wire in
//! them: every message is shown as it was sent, every broken rule named, and none that was kept.
//! `live.rs` plays the same cases over real sockets.

mod capture;
mod cases;
mod check;
#[path = "../forge/encode.rs"]
mod encode;
mod families;
mod frame;
#[path = "../observed/mod.rs"]
#[expect(dead_code, reason = "other tests compare conversations as a whole")]
mod observed;

use std::{
    io::BufWriter,
    process::{Command, Stdio},
};

use cases::Case;
use observed::Event;

/// Reads a family's capture, and checks what is printed.
fn agrees(cases: &[Case], count: usize) {
    assert_eq!(cases.len(), count, "cases in the family");
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    capture::write(cases, BufWriter::new(file.as_file())).expect("a capture can be written");
    let mut tracer = Command::new(env!("CARGO_BIN_EXE_tracer"));
    tracer.args(["--format", "json", "--payload-limit", "unlimited", "--read"]).arg(file.path());
    let output = tracer.stdin(Stdio::null()).output().expect("the tracer runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let clients: Vec<_> = (0..cases.len()).map(capture::client).collect();
    check::check(cases, &clients, &Event::parse_all(&output.stdout));
}
