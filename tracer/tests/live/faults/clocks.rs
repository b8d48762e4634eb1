//! Clocks that differ or step: time stamps follow the clock on the wall, durations and time-outs do
//! not.

use std::{
    env, fs, os::unix::process::CommandExt as _, path::Path, process::Command, time::Duration,
};

use rustix::{
    fs::Timespec,
    process::Signal,
    thread::{UnshareFlags, gettid, unshare_unsafe},
    time::{ClockId, clock_gettime, clock_settime},
};
use tempfile::NamedTempFile;

use super::{DEFAULT, ends_with, spawned::Spawned};
use crate::{
    client::{Client, Say},
    left_out,
    netns::Namespace,
    observed::Event,
    server::Server,
    tracer::{Tracer, wait_for},
};

const HOUR: i64 = 3_600;

/// A clock that was set, back where it would be when the test ends.
struct Step(i64);

impl Step {
    fn by(seconds: i64) -> Self {
        move_wall_clock(seconds);
        Self(seconds)
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        move_wall_clock(-self.0);
    }
}

fn move_wall_clock(seconds: i64) {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Realtime);
    let then = Timespec { tv_sec: tv_sec + seconds, tv_nsec };
    clock_settime(ClockId::Realtime, then).expect("root may set the clock");
}

/// The hour of the day in a time stamp.
fn hour(event: &Event) -> u64 {
    let stamp = event.text("ts").expect("every event has a time");
    stamp[11..13].parse().unwrap_or_else(|_| panic!("{stamp}"))
}

#[test]
fn a_step_of_the_wall_clock_moves_time_stamps_and_no_duration() {
    if env::var_os("TRACER_MACHINE_IS_OURS").is_none() {
        left_out(
            "the clock of a machine that others use is not to be set (a virtual machine's is)",
        );
        return;
    }
    let namespace = Namespace::alone();
    let server = Server::start(&namespace, "127.0.0.1", 1);
    let tracer = Tracer::start(&namespace, DEFAULT);
    let begin = std::time::Instant::now();
    let mut client = Client::connect(&namespace, server.address());
    let mut say = |word: &str| {
        client.say(Say::text(0, 10).saying(word));
        wait_for("it to be shown", || ends_with(tracer.output(), word).then_some(()));
    };
    say("before ");
    let ahead = Step::by(HOUR);
    say("ahead ");
    drop(ahead);
    let behind = Step::by(-HOUR);
    say("behind ");
    drop(behind);
    say("again ");
    client.close();
    server.logs();
    wait_for("the end", || ends_with(tracer.output(), "tcp.close").then_some(()));
    let most = begin.elapsed();
    let events = tracer.interrupt().events();
    let at = |word: &str| {
        let is_it = |e: &&Event| e.text("text").is_some_and(|text| text.starts_with(word));
        hour(events.iter().find(is_it).unwrap_or_else(|| panic!("nothing shown {word}")))
    };
    // The hour may pass meanwhile: either it is the same or the next.
    let after = |hour: u64, other: u64| [hour % 24, (hour + 1) % 24].contains(&other);
    assert!(after(at("before ") + 1, at("ahead ")), "forward");
    assert!(after(at("before ") + 23, at("behind ")), "back");
    assert!(after(at("before "), at("again ")), "where it was");
    let close = events.iter().find(|e| e.kind() == "tcp.close").expect("it was waited for");
    assert_eq!(close.text("how"), Some("fin"), "{close}");
    let duration = Duration::from_millis(close.number("duration_ms").expect("a duration"));
    assert!(duration <= most, "{duration:?} of {most:?}: {close}");
}

const DAY: &str = "86400";
/// A machine runs longer than this before it comes to tests: no clock may show less than 0.
const BEFORE: &str = "-5";

#[test]
fn in_a_time_namespace_time_stamps_and_time_outs_are_right() {
    if !Path::new("/proc/self/timens_offsets").exists() {
        left_out("this kernel has no time namespaces");
        return;
    }
    for ahead in [DAY, BEFORE] {
        let namespace = Namespace::new();
        let server = Server::start(&namespace, "127.0.0.1", 1);
        let output = NamedTempFile::new().expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
        command.args([DEFAULT, &["--format", "json", "--idle-timeout", "3600"]].concat());
        command.stdout(output.reopen().expect("the file is there"));
        // In a way that no thread of ours is used for: none may be in two times.
        command.uid(0);
        let tracer = Spawned::prepared(&namespace, command, || move_to_another_time(ahead));
        tracer.wait_until_ready();
        let mut client = Client::connect(&namespace, server.address());
        client.say(Say::text(0, 10));
        client.close();
        server.logs();
        wait_for("the end", || ends_with(output.path(), "tcp.close").then_some(()));
        tracer.signal(Signal::INT);
        let (status, said) = tracer.wait();
        assert!(status.success(), "{status}: {said}");
        let events = Event::parse_all(&fs::read(output.path()).expect("the file is there"));
        let stamps: Vec<_> = events.iter().map(|e| e.text("ts").expect("a time")).collect();
        assert!(stamps.is_sorted(), "of the same clock: {stamps:?}");
        let close = events.iter().find(|e| e.kind() == "tcp.close").expect("it was waited for");
        assert_eq!(close.text("how"), Some("fin"), "{close}");
    }
}

/// From now on the thread's children are in a time namespace whose `CLOCK_MONOTONIC` is so many
/// seconds ahead (`time_namespaces(7)`).
#[expect(unsafe_code, reason = "rustix marks all kinds of unsharing unsafe because of one of them")]
fn move_to_another_time(ahead: &str) {
    // SAFETY: only unsharing the file table can break I/O safety, and this does not.
    unsafe { unshare_unsafe(UnshareFlags::NEWTIME) }.expect("root may make a time namespace");
    let offsets = format!("/proc/{}/timens_offsets", gettid().as_raw_nonzero());
    fs::write(offsets, format!("monotonic {ahead} 0")).expect("root may set offsets");
}
