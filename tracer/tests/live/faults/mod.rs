//! What breaks around a tracer: each test makes a fault happen to a running one, and looks at what
//! it says, at what it still shows, and at the service, which must not notice. docs/faults.md lists
//! them all.

mod clocks;
mod descriptors;
mod floods;
mod killed;
mod output;
mod small_ring;
mod spawned;
mod stopped;

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use crate::{attached::attached, left_out, netns::Namespace, observed::Event, tracer::Tracer};

const DEFAULT: &[&str] = &["--port", "7272"];
const CLSACT: &[&str] = &["--port", "7272", "--attach", "clsact"];

/// The ring that overflows soonest.
pub(crate) const SMALL_RING: [&str; 4] = ["--ring-size", "64KiB", "--threads", "1"];

/// Both ways of attaching, where the kernel has both.
fn ways() -> Vec<&'static [&'static str]> {
    let namespace = Namespace::new();
    let tracer = Tracer::start(&namespace, DEFAULT);
    let has_tcx = attached(&namespace).iter().any(|classifier| classifier.2 == "tcx");
    drop(tracer);
    if has_tcx {
        return vec![DEFAULT, CLSACT];
    }
    left_out("this kernel has no TCX: faults are tried with clsact only");
    vec![CLSACT]
}

/// The options of a tracer with a small ring that shows and copies everything.
fn small_ring() -> Vec<&'static str> {
    [DEFAULT, &SMALL_RING].concat()
}

/// Whether what was printed last has a text; for files that are too long to be read again and again.
fn ends_with(output: &Path, text: &str) -> bool {
    const TAIL: u64 = 64 << 10;
    let mut file = File::open(output).expect("the output is there");
    let len = file.metadata().expect("it is a file").len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL))).expect("it is a file");
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).expect("it can be read");
    tail.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A number of the last `stats`.
#[track_caller]
fn count(events: &[Event], counter: &str) -> u64 {
    let stats = events.last().expect("events");
    assert_eq!(stats.kind(), "stats", "the last event: {stats}");
    stats.number(counter).unwrap_or_else(|| panic!("no {counter} in {stats}"))
}

/// Bytes in `gap` events of a direction, by cause.
fn missing(events: &[Event], client: &str, from: &str, cause: &str) -> u64 {
    let of_direction = |e: &&Event| {
        e.kind() == "gap" && e.text("client") == Some(client) && e.text("from") == Some(from)
    };
    let gaps = events.iter().filter(of_direction).filter(|e| e.text("cause") == Some(cause));
    gaps.map(|gap| gap.number("bytes").expect("a number of bytes")).sum()
}
