//! What is attached when: one set of classifiers while the tracer runs, none of its own after it
//! ended in any way, and nothing of anyone else's touched.

use std::{
    process::{Command, Stdio},
    thread,
};

use rustix::process::Signal;

use crate::{
    assert_shows,
    attached::{attached, is_one_set},
    client::{Client, Say},
    netns::{HERE, Namespace},
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

const CLSACT: &[&str] = &["--port", "7272", "--attach", "clsact"];
const DEFAULT: &[&str] = &["--port", "7272"];

#[test]
fn killed_and_started_again_there_is_one_set_and_after_an_interrupt_none() {
    let here = Namespace::new();
    let _there = here.connect("veth0");
    let first = Tracer::start(&here, DEFAULT);
    let set = attached(&here);
    assert!(is_one_set(&set), "{set:?}");
    first.kill();
    let second = Tracer::start(&here, DEFAULT);
    assert_eq!(attached(&here), set);
    let said = talk(&here, Server::start(&here, "127.0.0.1", 1), &[SMALL]);
    assert_shows(&second.interrupt(), said);
    assert_eq!(attached(&here), []);
}

#[test]
fn a_clsact_filter_that_outlived_its_tracer_is_swept_away_by_the_next() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let first = Tracer::start(&here, CLSACT);
    let set = attached(&here);
    assert!(is_one_set(&set) && set.iter().all(|c| c.2 == "clsact"), "{set:?}");
    first.kill();
    assert_eq!(attached(&here), set, "a clsact filter survives its process");
    let second = Tracer::start(&here, CLSACT);
    assert_eq!(attached(&here), set);
    let said = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    assert_shows(&second.interrupt(), said);
    assert_eq!(attached(&here), []);
}

#[test]
fn leftovers_are_swept_away_however_the_next_tracer_attaches() {
    let namespace = Namespace::new();
    Tracer::start(&namespace, CLSACT).kill();
    assert!(is_one_set(&attached(&namespace)));
    let tracer = Tracer::start(&namespace, DEFAULT);
    let set = attached(&namespace);
    assert!(is_one_set(&set), "{set:?}");
    let said = talk(&namespace, Server::start(&namespace, "::1", 1), &[SMALL]);
    assert_shows(&tracer.interrupt(), said);
    assert_eq!(attached(&namespace), []);
}

#[test]
fn tracers_that_begin_at_once_do_not_trip_over_leftovers_that_another_removes() {
    let namespace = Namespace::new();
    (0..20).for_each(|n| namespace.ip(&format!("link add cable{n} type veth")));
    Tracer::start(&namespace, CLSACT).kill();
    let tracers = thread::scope(|scope| {
        let start = || Tracer::start(&namespace, DEFAULT);
        let starting: Vec<_> = (0..3).map(|_| scope.spawn(start)).collect();
        starting.into_iter().map(|start| start.join().expect("it runs")).collect::<Vec<_>>()
    });
    for tracer in tracers {
        tracer.interrupt();
    }
    assert_eq!(attached(&namespace), []);
}

#[test]
fn a_clsact_qdisc_goes_only_with_the_tracer_that_made_it() {
    let namespace = Namespace::new();
    let qdiscs = || namespace.command("tc", "qdisc show dev lo");
    Tracer::start(&namespace, CLSACT).interrupt();
    assert!(!qdiscs().contains("clsact"), "{}", qdiscs());
    namespace.command("tc", "qdisc add dev lo clsact");
    Tracer::start(&namespace, CLSACT).interrupt();
    assert!(qdiscs().contains("clsact"), "{}", qdiscs());
    assert_eq!(attached(&namespace), []);
}

#[test]
fn a_filter_of_someone_else_stays() {
    let namespace = Namespace::new();
    namespace.command("tc", "qdisc add dev lo clsact");
    for direction in ["ingress", "egress"] {
        let filter = "protocol ip prio 5 u32 match u32 0 0 classid 1:1";
        namespace.command("tc", &format!("filter add dev lo {direction} {filter}"));
    }
    let filters = |way| namespace.command("tc", &format!("filter show dev lo {way}"));
    let before = ["ingress", "egress"].map(filters);
    for options in [CLSACT, DEFAULT] {
        let tracer = Tracer::start(&namespace, options);
        let said = talk(&namespace, Server::start(&namespace, "127.0.0.1", 1), &[SMALL]);
        assert_shows(&tracer.interrupt(), said);
        assert_eq!(["ingress", "egress"].map(filters), before);
    }
}

#[test]
fn the_signal_of_service_managers_ends_it_as_well() {
    let namespace = Namespace::new();
    let tracer = Tracer::start(&namespace, DEFAULT);
    let said = talk(&namespace, Server::start(&namespace, "127.0.0.1", 1), &[SMALL]);
    assert_shows(&tracer.signal(Signal::TERM), said);
    assert_eq!(attached(&namespace), []);
}

#[test]
fn two_tracers_at_once_both_see_everything() {
    for [first, second] in [[DEFAULT, DEFAULT], [CLSACT, CLSACT], [CLSACT, DEFAULT]] {
        let here = Namespace::new();
        let there = here.connect("veth0");
        let first = Tracer::start(&here, first);
        let second = Tracer::start(&here, second);
        let said = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
        let finished = second.interrupt();
        assert!(is_one_set(&attached(&here)), "the first is still attached, and it alone");
        assert_shows(&finished, said.clone());
        assert_shows(&first.interrupt(), said);
        assert_eq!(attached(&here), []);
    }
}

#[test]
fn tracers_come_and_go_beside_two_that_see_everything() {
    for others in [DEFAULT, CLSACT] {
        let here = Namespace::new();
        let there = here.connect("veth0");
        let server = Server::start(&here, HERE[0], 1);
        let first = Tracer::start(&here, &["--port", "7272", "--threads", "3"]);
        let second = Tracer::start(&here, CLSACT);
        let mut client = Client::connect(&there, server.address());
        client.say(Say::text(1, 100));
        let third = Tracer::start(&here, others);
        client.say(Say::text(2, 100));
        let elsewhere = Tracer::start(&here, &["--port", "80,8000-9000"]);
        client.say(Say::binary(3, 100_000));
        third.kill();
        client.say(Say::text(4, 100));
        let fourth = Tracer::start(&here, others);
        client.say(Say::text(5, 100).in_fragments(3));
        assert_eq!(elsewhere.interrupt().status.code(), Some(1), "nothing was on its ports");
        client.say(Say::text(6, 100));
        fourth.interrupt();
        client.say(Say::binary(7, 100));
        let said = (vec![client.close()], server.logs());
        for tracer in [first, second] {
            let finished = tracer.interrupt();
            assert!(!finished.stderr.contains("somebody"), "{}", finished.stderr);
            assert!(!finished.stderr.contains("comes before"), "{}", finished.stderr);
            assert_shows(&finished, said.clone());
        }
        assert_eq!(attached(&here), []);
    }
}

/// Runs a tracer that cannot work: exit status 1, one sentence, nothing attached.
fn refused(options: &[&str]) -> String {
    let namespace = Namespace::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = namespace.run(|| command.spawn()).expect("the tracer starts");
    let output = child.wait_with_output().expect("the tracer ends");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(attached(&namespace), []);
    let mut complaints = stderr.lines().filter(|line| line.starts_with("tracer: "));
    let complaint = complaints.next().unwrap_or_else(|| panic!("nothing said: {stderr}"));
    assert!(complaints.next().is_none(), "more than one thing said: {stderr}");
    complaint.to_owned()
}

#[test]
fn an_unknown_interface_is_named_and_nothing_stays_attached() {
    for names in ["nosuch0", "lo,nosuch0"] {
        let complaint = refused(&["--interface", names]);
        assert!(complaint.contains("nosuch0"), "{complaint}");
    }
}

#[test]
fn a_reader_that_went_away_ends_it_quietly_and_nothing_stays_attached() {
    let namespace = Namespace::new();
    let server = Server::start(&namespace, "127.0.0.1", 1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.args(["--format", "json"]).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = namespace.run(|| command.spawn()).expect("the tracer starts");
    let is_attached = || is_one_set(&attached(&namespace)).then_some(());
    wait_for("the tracer to be attached", is_attached);
    drop(child.stdout.take());
    let mut client = Client::connect(&namespace, server.address());
    let status = wait_for("the tracer to end", || {
        client.say(Say::text(0, 100));
        child.try_wait().expect("it is our child")
    });
    let output = child.wait_with_output().expect("it has ended");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(status.code(), Some(0), "{stderr}");
    let said = ["error", "panicked", "ipe"].iter().find(|&word| stderr.contains(word));
    assert!(said.is_none(), "{said:?} in: {stderr}");
    assert_eq!(attached(&namespace), []);
}
