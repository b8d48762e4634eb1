//! Other people's programs and filters at the hooks that the tracer is attached to: all of them run,
//! none is changed, and where they hide packets from the tracer, it says so.

use std::thread;

use aya::programs::TcAttachType::{Egress, Ingress};

use crate::{
    Script, assert_shows,
    attached::{attached, knows_tcx},
    client::{Client, Say},
    foreign::{Does, Foreign, OK, PIPE, Place, SHOT, UNSPEC},
    left_out,
    netns::{HERE, Namespace},
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

const TCX: &[&str] = &["--port", "7272", "--attach", "tcx"];
const CLSACT: &[&str] = &["--port", "7272", "--attach", "clsact"];
const ONE: &[Script] = &[SMALL];
const DEVICE: &str = "veth0";

/// One at each hook.
fn foreign(namespace: &Namespace, place: Place, verdict: i32) -> [Foreign; 2] {
    let attach = |hook| Foreign::attach(namespace, (DEVICE, hook), place, Does::Return(verdict));
    [Ingress, Egress].map(attach)
}

/// How often each has run.
fn runs(of: &mut [Foreign; 2]) -> [u64; 2] {
    of.each_mut().map(Foreign::runs)
}

/// Programs of others are there when the tracer comes, and more come later: everything is shown, and
/// all run on every packet, unless one that is there first ends the chain for the later ones.
fn all_run(options: &[&str], earlier: Place, later: Place, verdict: i32, goes_on: bool) {
    let here = Namespace::new();
    let there = here.connect(DEVICE);
    let mut earlier = foreign(&here, earlier, verdict);
    let tracer = Tracer::start(&here, options);
    let before = runs(&mut earlier);
    let mut later = foreign(&here, later, verdict);
    let said = talk(&there, Server::start(&here, HERE[0], 1), ONE);
    let ran = runs(&mut later);
    let [into, out] = runs(&mut earlier);
    assert!(into - before[0] >= ran[0] && out - before[1] >= ran[1]);
    // Sixty messages each way, in as many packets.
    assert!(into - before[0] > 60 && out - before[1] > 60, "{into} {out} {before:?}");
    assert_eq!(ran.map(|runs| runs > 60), [goes_on; 2], "{ran:?}");
    let finished = tracer.interrupt();
    assert!(!finished.stderr.contains("comes before"), "{}", finished.stderr);
    assert_shows(&finished, said);
}

#[test]
fn tcx_programs_all_run_and_hide_nothing_from_us() {
    if !knows_tcx(&Namespace::new()) {
        return;
    }
    all_run(TCX, Place::First, Place::Last, UNSPEC, true);
    // What is no verdict of TCX ends its chain, too.
    all_run(TCX, Place::First, Place::Last, OK, false);
    all_run(TCX, Place::First, Place::Last, PIPE, false);
    // TCX comes before clsact.
    all_run(TCX, Place::Priority(1), Place::Priority(2), OK, false);
    all_run(TCX, Place::Priority(1), Place::Priority(2), UNSPEC, true);
}

#[test]
fn clsact_programs_all_run_and_hide_nothing_from_us() {
    // Of those with one priority the latest is first.
    all_run(CLSACT, Place::Priority(1), Place::Priority(2), UNSPEC, true);
    all_run(CLSACT, Place::Priority(1), Place::Priority(2), OK, false);
    // No verdict of such a program: as if it had none.
    all_run(CLSACT, Place::Priority(1), Place::Priority(2), PIPE, true);
}

#[test]
fn what_others_drop_behind_us_is_shown_and_when_it_is_sent_again_not_once_more() {
    for (options, last) in [(TCX, Place::Last), (CLSACT, Place::Priority(2))] {
        let here = Namespace::new();
        if options == TCX && !knows_tcx(&here) {
            continue;
        }
        let there = here.connect(DEVICE);
        let server = Server::start(&here, HERE[0], 1);
        let tracer = Tracer::start(&here, options);
        let mut client = Client::connect(&there, server.address());
        client.say(Say::text(1, 100));
        let mut dropping = Foreign::attach(&here, (DEVICE, Ingress), last, Does::Return(SHOT));
        let client = thread::scope(|scope| {
            let saying = scope.spawn(|| {
                client.say(Say::text(2, 100));
                client.close()
            });
            // An echo has come of the first message and not of the second.
            let is_told = || (tracer.times_told("ws.message") == 3).then_some(());
            wait_for("the dropped message to be shown", is_told);
            assert!(dropping.runs() > 0);
            assert!(!saying.is_finished());
            if options == CLSACT {
                here.command("tc", "filter del dev veth0 ingress pref 2");
            }
            drop(dropping);
            saying.join().expect("the client got its echo")
        });
        assert_shows(&tracer.interrupt(), (vec![client], server.logs()));
    }
}

#[test]
fn packets_that_others_redirect_behind_us_are_shown_once() {
    for (options, last) in [(TCX, Place::Last), (CLSACT, Place::Priority(2))] {
        let middle = Namespace::new();
        if options == TCX && !knows_tcx(&middle) {
            continue;
        }
        let client = middle.cable("veth1");
        let server = middle.cable("veth0");
        // Both far ends have one address; the server gets the other.
        server.ip("addr flush dev far");
        server.address("far", HERE);
        for end in ["veth0", "veth1"] {
            middle.ip(&format!("link set {end} up"));
        }
        let tracer = Tracer::start(&middle, options);
        // Each interface's packets go out through the other, past this namespace's stack.
        let mut redirecting = [("veth0", "veth1"), ("veth1", "veth0")].map(|(from, to)| {
            let to = Does::Redirect(number(&middle, to));
            Foreign::attach(&middle, (from, Ingress), last, to)
        });
        let said = talk(&client, Server::start(&server, HERE[0], 1), ONE);
        assert!(runs(&mut redirecting).iter().all(|runs| *runs > 60));
        assert_shows(&tracer.interrupt(), said);
    }
}

/// An interface's number.
fn number(namespace: &Namespace, interface: &str) -> u32 {
    let link = namespace.command("ip", &format!("-oneline link show {interface}"));
    let (number, _) = link.split_once(':').expect("`7: veth0@if2: <BROADCAST,…`");
    number.parse().expect("a number")
}

/// Somebody gets before the tracer and lets nothing through to it, while it runs.
fn is_told(options: &[&str], place: Place, who: &str) {
    let here = Namespace::new();
    let there = here.connect(DEVICE);
    let tracer = Tracer::start(&here, options);
    let _before = foreign(&here, place, OK);
    let sentence = format!("{who} comes before the tracer on {DEVICE}: packets that it accepts");
    wait_for("it to be told", || tracer.has_said(&sentence));
    talk(&there, Server::start(&here, HERE[0], 1), ONE);
    let finished = tracer.interrupt();
    assert_eq!(finished.status.code(), Some(1), "nothing was seen: {}", finished.stderr);
    assert_eq!(finished.stderr.matches("comes before").count(), 1, "{}", finished.stderr);
}

#[test]
fn a_program_that_gets_before_us_is_told_of() {
    is_told(CLSACT, Place::Priority(1), "a bpf filter with priority 1");
    if knows_tcx(&Namespace::new()) {
        // Without the privileges of the beginning nobody tells us.
        let options = [TCX, &["--keep-privileges"]].concat();
        is_told(&options, Place::First, "the program \"foreign\"");
    }
}

/// Whether the kernel has a kind of filter, qdisc or action; if not, says so.
fn can(namespace: &Namespace, tc: &str) -> bool {
    match namespace.try_command("tc", tc) {
        Ok(_) => true,
        Err(error) => {
            left_out(&format!("`tc {tc}`: {}", error.lines().next().unwrap_or_default()));
            false
        }
    }
}

#[test]
fn a_filter_that_nobody_can_come_before_is_told_of() {
    let here = Namespace::new();
    let there = here.connect(DEVICE);
    here.command("tc", "qdisc add dev veth0 clsact");
    let filter = "protocol ip prio 1 u32 match u32 0 0 classid 1:1";
    if !can(&here, &format!("filter add dev veth0 ingress {filter}")) {
        return;
    }
    let tracer = Tracer::start(&here, CLSACT);
    talk(&there, Server::start(&here, HERE[0], 1), ONE);
    let finished = tracer.interrupt();
    let sentence = "a u32 filter with priority 1 comes before the tracer on veth0";
    assert!(finished.stderr.contains(sentence), "{}", finished.stderr);
}

#[test]
fn a_qdisc_without_an_egress_side_is_refused_where_filters_are_needed() {
    let here = Namespace::new();
    let there = here.connect(DEVICE);
    here.command("tc", "qdisc add dev veth0 ingress");
    let tracer = Tracer::start(&here, CLSACT);
    assert!(attached(&here).iter().all(|classifier| classifier.0 != DEVICE));
    let said = talk(&here, Server::start(&here, "127.0.0.1", 1), ONE);
    let finished = tracer.interrupt();
    assert!(finished.stderr.contains("cannot trace veth0: "), "{}", finished.stderr);
    assert!(finished.stderr.contains("`tc qdisc del dev veth0 ingress`"), "{}", finished.stderr);
    assert_shows(&finished, said);
    if knows_tcx(&here) {
        let tracer = Tracer::start(&here, TCX);
        let said = talk(&there, Server::start(&here, HERE[0], 1), ONE);
        assert_shows(&tracer.interrupt(), said);
    }
    assert!(here.command("tc", "qdisc show dev veth0").contains("ingress"));
}

/// What an administrator may have set up: tc commands, of which a kernel may lack some.
const SETUP: &[&str] = &[
    "qdisc add dev veth0 root handle 1: htb default 10",
    "class add dev veth0 parent 1: classid 1:10 htb rate 10gbit",
    "qdisc add dev veth0 parent 1:10 handle 20: fq_codel",
    "qdisc add dev veth0 parent 1:10 handle 30: pfifo limit 1000",
    "filter add dev veth0 parent 1: protocol ip prio 3 u32 match ip dport 7272 0xffff flowid 1:10",
    "qdisc add dev veth0 clsact",
    "filter add dev veth0 ingress protocol ip prio 7 u32 match ip dport 9 0xffff classid 1:1",
    "filter add dev veth0 ingress protocol ipv6 prio 8 u32 match u32 0 0 classid 1:2",
    "filter add dev veth0 ingress protocol ip prio 9 u32 match ip dport 10 0xffff \
        action mirred egress mirror dev lo",
    "filter add dev veth0 egress protocol all prio 10 matchall action pass",
    "filter add dev veth0 egress protocol ip prio 11 flower ip_proto tcp dst_port 9 action drop",
    "filter add dev veth0 egress chain 4 protocol ip prio 1 u32 match u32 0 0 classid 1:1",
    "filter add dev veth0 egress protocol ip prio 12 u32 match ip dport 11 0xffff \
        police rate 1mbit burst 10k conform-exceed drop",
    "filter add dev veth0 egress protocol ip prio 13 u32 match ip dport 12 0xffff \
        action gact drop",
];

/// All of it as tc tells it, without what counts packets.
fn setup(namespace: &Namespace) -> String {
    let show = ["qdisc", "class", "filter"].map(|what| format!("-d {what} show dev veth0"));
    let at_hooks = ["ingress", "egress"].map(|hook| format!("-d filter show dev veth0 {hook}"));
    let told = show.iter().chain(&at_hooks).map(|tc| namespace.command("tc", tc));
    let told = told.collect::<Vec<_>>().join("\n");
    // These are the flows of which packets wait: they come and go.
    let lasting = told.lines().filter(|line| !line.starts_with("class fq_codel"));
    lasting.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_an_administrator_has_set_up_stays_as_it_was() {
    for options in [TCX, CLSACT] {
        let here = Namespace::new();
        if options == TCX && !knows_tcx(&here) {
            continue;
        }
        let there = here.connect(DEVICE);
        let made = SETUP.iter().filter(|tc| can(&here, tc)).count();
        assert!(made > 3, "clsact at least, and some filters");
        let before = setup(&here);
        let tracer = Tracer::start(&here, options);
        let said = talk(&there, Server::start(&here, HERE[1], 1), ONE);
        // What is there while the tracer runs: the same, and it.
        let mut during = setup(&here).lines().map(str::to_owned).collect::<Vec<_>>();
        for line in before.lines() {
            let at = during.iter().position(|other| other == line);
            during.remove(at.unwrap_or_else(|| panic!("{line:?} is missing in {during:?}")));
        }
        let is_ours =
            |line: &String| line.contains("tracer_") || line.contains("protocol all pref 1 bpf");
        assert!(during.iter().all(is_ours), "{during:?}");
        assert_eq!(during.is_empty(), options == TCX);
        assert_shows(&tracer.interrupt(), said);
        assert_eq!(setup(&here), before);
    }
}
