//! `--netns`: the tracer is started outside, and traces inside a network namespace that is called by
//! its name, by a process, or by a path.

use std::{
    process::{self, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use crate::{
    assert_shows,
    attached::{attached, is_one_set, is_traced},
    netns::{HERE, Namespace},
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

/// A namespace with a name, as `ip netns` makes it. It goes with the test.
struct Named {
    name: String,
    namespace: Namespace,
}

impl Named {
    fn new(outside: &Namespace) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tracer-test-{}-{number}", process::id());
        outside.ip(&format!("netns add {name}"));
        let namespace = outside.opened(&format!("/run/netns/{name}"));
        namespace.ip("link set lo up");
        Self { name, namespace }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Where this fails the test has failed already.
        let _gone = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Traces from outside what is said inside on loopback and on a veth, and what is not said there.
fn shows_the_inside(outside: &Namespace, inside: &Namespace, called: &str, options: &[&str]) {
    let there = inside.connect("veth0");
    let options = [&["--port", "7272", "--netns", called], options].concat();
    let tracer = Tracer::start(outside, &options);
    talk(outside, Server::start(outside, "127.0.0.1", 1), &[SMALL]);
    let (mut clients, mut servers) = talk(inside, Server::start(inside, "127.0.0.1", 1), &[SMALL]);
    let more = talk(&there, Server::start(inside, HERE[1], 1), &[SMALL]);
    clients.extend(more.0);
    servers.extend(more.1);
    let finished = tracer.interrupt();
    let start = finished.events().swap_remove(0);
    assert_eq!((start.kind(), start.text("netns")), ("start", Some(called)));
    let banner = format!("in the network namespace {called} (");
    assert!(finished.stderr.contains(&banner), "{}", finished.stderr);
    assert_shows(&finished, (clients, servers));
    inside.ip("link del veth0");
}

#[test]
fn a_namespace_is_called_by_name_process_or_path() {
    let outside = Namespace::new();
    let named = Named::new(&outside);
    let inside = &named.namespace;
    shows_the_inside(&outside, inside, &named.name, &[]);
    shows_the_inside(&outside, inside, &inside.path(), &[]);
    let mut sleeper = Command::new("sleep");
    let mut sleeper = inside.run(|| sleeper.arg("600").spawn()).expect("sleep starts");
    shows_the_inside(&outside, inside, &sleeper.id().to_string(), &["--attach", "clsact"]);
    sleeper.kill().expect("it sleeps");
    sleeper.wait().expect("it is our child");
}

#[cfg(feature = "libpcap")]
#[test]
fn libpcap_captures_inside_too() {
    let outside = Namespace::new();
    let named = Named::new(&outside);
    shows_the_inside(&outside, &named.namespace, &named.name, &["--source", "libpcap"]);
}

#[test]
fn interfaces_are_followed_inside_and_nothing_is_attached_outside() {
    let outside = Namespace::new();
    let _veth = outside.cable("veth0");
    let named = Named::new(&outside);
    let inside = &named.namespace;
    let tracer = Tracer::start(&outside, &["--port", "7272", "--netns", &named.name]);
    let there = inside.connect("veth1");
    wait_for("the new interface to be traced", || is_traced(inside, "veth1").then_some(()));
    assert!(is_one_set(&attached(inside)));
    assert_eq!(attached(&outside), []);
    let said = talk(&there, Server::start(inside, HERE[0], 1), &[SMALL]);
    assert_shows(&tracer.interrupt(), said);
    assert_eq!(attached(inside), []);
}

#[test]
fn what_a_killed_tracer_left_inside_is_swept_away_from_outside() {
    let outside = Namespace::new();
    let named = Named::new(&outside);
    let options = ["--port", "7272", "--netns", &named.name, "--attach", "clsact"];
    Tracer::start(&outside, &options).kill();
    let left = attached(&named.namespace);
    assert!(is_one_set(&left), "{left:?}");
    let tracer = Tracer::start(&outside, &options);
    assert_eq!(attached(&named.namespace), left, "one set, by the second");
    let inside = &named.namespace;
    let said = talk(inside, Server::start(inside, "::1", 1), &[SMALL]);
    let finished = tracer.interrupt();
    assert!(finished.stderr.contains("that a killed tracer had left"), "{}", finished.stderr);
    assert_shows(&finished, said);
    assert_eq!(attached(inside), []);
}

/// The one sentence with which it refuses a namespace, after `prepare` has run on its thread.
fn refused(wanted: &str, prepare: impl FnOnce() + Send) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(["--netns", wanted]).stdin(Stdio::null());
    let output = Namespace::new().run(|| {
        prepare();
        command.output()
    });
    let output = output.expect("the tracer starts");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    stderr
}

#[test]
fn what_is_no_network_namespace_is_refused_in_one_sentence() {
    for (wanted, because) in [
        ("no-such-name", "there is no network namespace no-such-name: "),
        // Above every limit of process ids.
        ("4194305", "there is no process 4194305: "),
        ("/no/such/path", "there is no network namespace /no/such/path: "),
        ("/proc/self/ns/uts", "/proc/self/ns/uts is no network namespace"),
        ("/dev/null", "/dev/null is no network namespace"),
        ("/", "/ is no network namespace"),
    ] {
        let sentence = refused(wanted, || {});
        assert!(sentence.contains(because), "{sentence}");
    }
}

#[test]
fn who_may_not_enter_is_told_what_it_wants() {
    let without_the_right = || {
        remove_capability_from_bounding_set(CapabilitySet::SYS_ADMIN).expect("a right can be lost");
    };
    let sentence = refused("/proc/self/ns/net", without_the_right);
    assert!(sentence.contains("no permission to enter the network namespace"), "{sentence}");
}
