//! Descriptors that run out: at the start, and when an interface appears; and more news about
//! interfaces than the kernel keeps for us.

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};

use super::{DEFAULT, spawned::Spawned};
use crate::{
    attached::{attached, is_traced},
    netns::{HERE, Namespace},
    server::Server,
    talk,
    tracer::wait_for,
    traffic::SMALL,
};

#[test]
fn too_few_descriptors_are_refused_in_one_sentence() {
    let namespace = Namespace::new();
    // At 6 and 7 the signal handling of a library would panic, at 24 the program does not load.
    for limit in [5, 6, 7, 10, 24, 60] {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {limit}; exec \"$0\" --port 7272"));
        command.arg(env!("CARGO_BIN_EXE_tracer")).stdout(Stdio::null());
        let complaint = Spawned::command(&namespace, command).complaint(&namespace);
        assert!(complaint.contains("open files") && complaint.contains("ulimit"), "{complaint}");
    }
}

#[test]
fn a_low_limit_is_raised_as_far_as_it_goes() {
    let namespace = Namespace::new();
    let mut command = Command::new("sh");
    command.arg("-c").arg("ulimit -S -n 20; exec \"$0\" --port 7272");
    command.arg(env!("CARGO_BIN_EXE_tracer")).stdout(Stdio::null());
    let tracer = Spawned::command(&namespace, command);
    tracer.wait_until_ready();
    tracer.signal(Signal::INT);
    let (_, said) = tracer.wait();
    assert!(!said.contains("ulimit"), "{said}");
}

/// Lets a tracer open no more files, whatever it closes; what it could before comes out.
fn exhaust(tracer: &Spawned) -> Rlimit {
    // The maximum stays: to raise it again takes more than some containers' root may do.
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Its standard streams stay open. Fewer, and poll(2) would refuse to watch what is open.
    let none = Rlimit { current: Some(3), maximum };
    prlimit(Some(tracer.pid()), Resource::Nofile, none).expect("root may set limits")
}

#[test]
fn an_interface_for_which_no_descriptor_is_left_is_traced_when_there_is_one() {
    let here = Namespace::new();
    let tracer = Spawned::start(&here, DEFAULT, Stdio::null());
    tracer.wait_until_ready();
    let before = exhaust(&tracer);
    // It stays down: no further news about it will come.
    let there = here.cable("veth0");
    tracer.wait_until_it_says("cannot attach to veth0");
    // Half of it is not traced either: nobody would know.
    assert!(attached(&here).iter().all(|c| c.0 != "veth0"), "{:?}", attached(&here));
    talk(&here, Server::start(&here, "127.0.0.1", 1), &[SMALL]);
    prlimit(Some(tracer.pid()), Resource::Nofile, before).expect("root may set limits");
    tracer.wait_until_it_says("tracing veth0 too");
    assert!(is_traced(&here, "veth0"));
    here.address("veth0", HERE);
    talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    tracer.signal(Signal::INT);
    let (status, said) = tracer.wait();
    assert!(status.success(), "{status}: {said}");
    assert_eq!(said.matches("cannot attach to veth0").count(), 1, "said once: {said}");
    assert!(said.contains("in 2 connections"), "both are seen: {said}");
}

/// Pairs of interfaces that are made at once: more news than the kernel keeps (`net.core.rmem_default`).
const PAIRS: usize = 100;

#[test]
fn interfaces_that_came_and_went_unheard_are_found() {
    let here = Namespace::new();
    let tracer = Spawned::start(&here, DEFAULT, Stdio::null());
    tracer.wait_until_ready();
    let there = here.connect("veth0");
    tracer.wait_until_it_says("tracing veth0 too");
    tracer.signal(Signal::STOP);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut pairs = String::new();
    (0..PAIRS)
        .for_each(|n| writeln!(pairs, "link add a{n} type veth peer name b{n}").expect("text"));
    fs::write(file.path(), pairs).expect("a file");
    here.ip(&format!("-batch {}", file.path().display()));
    here.ip("link del veth0");
    drop(there);
    let there = here.connect("veth0");
    tracer.signal(Signal::CONT);
    wait_for("all to be traced", || {
        // Each of the pairs, and veth0 twice.
        (tracer.said().matches(" too\n").count() == 2 * PAIRS + 2).then_some(())
    });
    tracer.wait_until_it_says("veth0 is gone");
    assert!(is_traced(&here, "veth0") && is_traced(&here, &format!("b{}", PAIRS - 1)));
    talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    tracer.signal(Signal::INT);
    let (status, said) = tracer.wait();
    assert!(status.success() && said.contains("in 1 connection,"), "{status}: {said}");
}
