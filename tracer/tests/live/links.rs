//! Interfaces on top of others, one kind a test: what is said over them is shown, and once, however
//! many interfaces show it. `docs/interfaces.md` has the list of kinds.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::{
    assert_shows,
    attached::attached,
    client::{Client, Say},
    left_out,
    netns::{HERE, Namespace, THERE},
    once::assert_once,
    server::{PORT, Server},
    talk,
    tracer::{Finished, Tracer, wait_for},
    traffic::SMALL,
};

/// The interface under test, at both ends.
const UPPER: &str = "upper";
/// Its addresses here.
const OVER_HERE: [&str; 2] = ["10.88.0.1", "fd88::1"];
/// Its addresses at the other end.
const OVER_THERE: [&str; 2] = ["10.88.0.2", "fd88::2"];

/// Which addresses a conversation is between.
#[derive(Clone, Copy)]
enum Ip {
    V4 = 0,
    V6 = 1,
}

/// Runs `ip` commands, with `;` between them. False, and it is said aloud, where the kernel has no
/// such interfaces.
fn can_add(namespace: &Namespace, kind: &str, commands: &str) -> bool {
    for command in commands.split(';') {
        match namespace.try_command("ip", command) {
            Ok(_) => {}
            Err(e) if e.contains("Unknown device type") || e.contains("not supported") => {
                left_out(&format!("this kernel has no {kind} interfaces"));
                return false;
            }
            Err(e) => panic!("ip {command}: {e}"),
        }
    }
    true
}

/// Two namespaces with a cable between them, and `upper` on it at both ends. In the commands that
/// add it, LOWER is the cable's end, and OWN4, OWN6, PEER4 and PEER6 are addresses on the cable.
fn stacked(kind: &str, add: [&str; 2]) -> Option<[Namespace; 2]> {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let ends = [
        (&here, add[0], "veth0", HERE, THERE, OVER_HERE),
        (&there, add[1], "far", THERE, HERE, OVER_THERE),
    ];
    for (namespace, add, lower, own, peer, over) in ends {
        let words = [own[0], own[1], peer[0], peer[1], lower];
        let places = ["OWN4", "OWN6", "PEER4", "PEER6", "LOWER"];
        let commands = places
            .iter()
            .zip(words)
            .fold(add.to_owned(), |commands, (place, word)| commands.replace(place, word));
        if !can_add(namespace, kind, &commands) {
            return None;
        }
        namespace.address(UPPER, over);
        // By default the interface below answers for the one above, too, and if it is heard last it
        // gets the packets.
        namespace.set("ipv4/conf/all/arp_ignore", "1");
    }
    Some([here, there])
}

/// Traces a conversation over `upper`.
fn trace([here, there]: &[Namespace; 2], ip: Ip, options: &[&str]) -> Finished {
    let server = Server::start(here, OVER_HERE[ip as usize], 1);
    let tracer = Tracer::start(here, &[&["--port", "7272", "--segments"], options].concat());
    let said = talk(there, server, &[SMALL]);
    let finished = tracer.interrupt();
    assert_once(&finished, &[here, there]);
    let stats = finished.events().pop().expect("events");
    assert_eq!(
        (stats.number("unparsed"), stats.number("fragments")),
        (Some(0), Some(0)),
        "{stats}"
    );
    assert_shows(&finished, said);
    finished
}

/// An interface that carries others' frames as they are: all, it alone, and the one below it show
/// the same.
fn carries_frames(kind: &str, add: [&str; 2]) {
    let Some(ends) = stacked(kind, add) else { return };
    trace(&ends, Ip::V4, &[]);
    trace(&ends, Ip::V6, &["-i", UPPER]);
    trace(&ends, Ip::V4, &["-i", UPPER]);
    trace(&ends, Ip::V6, &["-i", "veth0"]);
}

/// A tunnel, of which the interface below shows no TCP. `program` is for what its packets begin with.
fn tunnels(kind: &str, add: &str, program: &str, ips: &[Ip]) {
    let Some(ends) = stacked(kind, [add; 2]) else { return };
    for &ip in ips {
        trace(&ends, ip, &[]);
    }
    let [here, there] = &ends;
    let server = Server::start(here, OVER_HERE[ips[0] as usize], 1);
    let tracer = Tracer::start(here, &["--port", "7272", "-i", UPPER]);
    let programs: Vec<_> = attached(here).into_iter().map(|(.., program)| program).collect();
    assert_eq!(programs, [program, program]);
    let said = talk(there, server, &[SMALL]);
    assert_shows(&tracer.interrupt(), said);
}

const BOTH: &[Ip] = &[Ip::V4, Ip::V6];

#[test]
fn vlan_interfaces() {
    carries_frames("vlan", ["link add link LOWER name upper type vlan id 5"; 2]);
}

#[test]
fn vlan_interfaces_that_leave_the_tag_in_the_frame() {
    let add = "link add link LOWER name upper type vlan id 5 reorder_hdr off";
    carries_frames("vlan", [add; 2]);
}

#[test]
fn vlan_interfaces_on_vlan_interfaces() {
    let add = "link add link LOWER name outer type vlan proto 802.1ad id 7; link set outer up; \
               link add link outer name upper type vlan id 5";
    carries_frames("vlan", [add; 2]);
}

#[test]
fn a_vlan_interface_on_a_bridge() {
    let here = "link add bridge0 type bridge; link set LOWER master bridge0; link set bridge0 up; \
                link add link bridge0 name upper type vlan id 5";
    carries_frames("vlan", [here, "link add link LOWER name upper type vlan id 5"]);
}

#[test]
fn macvlan_interfaces() {
    carries_frames("macvlan", ["link add link LOWER name upper type macvlan mode bridge"; 2]);
}

#[test]
fn ipvlan_interfaces() {
    carries_frames("ipvlan", ["link add link LOWER name upper type ipvlan mode l2"; 2]);
}

#[test]
fn bonds() {
    let add = "link add upper type bond mode active-backup miimon 100; link set LOWER down; \
               link set LOWER master upper";
    carries_frames("bond", [add; 2]);
}

#[test]
fn vxlan_interfaces() {
    let add = "link add upper type vxlan id 5 local OWN4 remote PEER4 dstport 4789";
    tunnels("vxlan", add, "tracer_ether", BOTH);
}

#[test]
fn geneve_interfaces() {
    tunnels("geneve", "link add upper type geneve id 5 remote PEER4", "tracer_ether", BOTH);
}

#[test]
fn gretap_interfaces() {
    tunnels("gretap", "link add upper type gretap local OWN4 remote PEER4", "tracer_ether", BOTH);
}

#[test]
fn gre_tunnels() {
    tunnels("gre", "link add upper type gre local OWN4 remote PEER4", "tracer_ip", BOTH);
}

#[test]
fn gre_tunnels_over_ipv6() {
    tunnels("ip6gre", "link add upper type ip6gre local OWN6 remote PEER6", "tracer_ip", BOTH);
}

#[test]
fn ipip_tunnels() {
    tunnels("ipip", "link add upper type ipip local OWN4 remote PEER4", "tracer_ip", &[Ip::V4]);
}

#[test]
fn sit_tunnels() {
    tunnels("sit", "link add upper type sit local OWN4 remote PEER4", "tracer_ip", &[Ip::V6]);
}

#[test]
fn tunnels_over_ipv6() {
    let add = "link add upper type ip6tnl mode any local OWN6 remote PEER6";
    tunnels("ip6tnl", add, "tracer_ip", BOTH);
}

#[test]
fn a_gre_tunnel_to_many_begins_with_other_headers_and_is_said_not_to_be_traced() {
    let here = Namespace::new();
    if !can_add(&here, "gre", "link add upper type gre local 127.0.0.1; link set upper up") {
        return;
    }
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    let said = talk(&here, Server::start(&here, "127.0.0.1", 1), &[SMALL]);
    let finished = tracer.interrupt();
    assert_eq!(finished.stderr.matches("upper is not traced").count(), 1, "{}", finished.stderr);
    assert_shows(&finished, said);
}

#[test]
fn an_interface_of_a_vrf() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let add = "link add upper type vrf table 10; link set upper up; link set veth0 master upper; \
               addr add fd77::1/64 dev veth0 nodad";
    if !can_add(&here, "vrf", add) {
        return;
    }
    // A server that is bound to no VRF serves all of them, with addresses that are in one.
    here.run(|| {
        for setting in ["ipv4/tcp_l3mdev_accept", "ipv4/ip_nonlocal_bind", "ipv6/ip_nonlocal_bind"]
        {
            std::fs::write(format!("/proc/sys/net/{setting}"), "1").expect("a setting");
        }
    });
    for ip in HERE {
        let server = Server::start(&here, ip, 1);
        let tracer = Tracer::start(&here, &["--port", "7272", "--segments"]);
        let said = talk(&there, server, &[SMALL]);
        let finished = tracer.interrupt();
        assert_once(&finished, &[&here, &there]);
        assert_shows(&finished, said);
    }
}

/// A namespace with cables to two others, which have the addresses [`HERE`] and [`THERE`].
fn two_cables() -> [Namespace; 3] {
    let middle = Namespace::new();
    let [server, client] = ["veth0", "veth1"].map(|name| middle.cable(name));
    server.ip("addr flush dev far");
    server.address("far", HERE);
    [middle, server, client]
}

#[test]
fn other_namespaces_are_seen_through_the_bridge_between_their_veths() {
    let [middle, there, yonder] = two_cables();
    middle.ip("link add bridge0 type bridge");
    middle.ip("link set bridge0 up");
    for port in ["veth0", "veth1"] {
        middle.ip(&format!("link set {port} master bridge0"));
        middle.ip(&format!("link set {port} up"));
    }
    for (ip, options) in [(HERE[0], [].as_slice()), (HERE[1], &[]), (HERE[1], &["-i", "veth1"])] {
        let tracer = Tracer::start(&middle, &[&["--port", "7272", "--segments"], options].concat());
        let said = talk(&yonder, Server::start(&there, ip, 1), &[SMALL]);
        let finished = tracer.interrupt();
        assert_once(&finished, &[&there, &yonder]);
        assert_shows(&finished, said);
    }
}

#[test]
fn other_namespaces_are_seen_through_the_veths_that_we_route_between() {
    let [middle, there, yonder] = two_cables();
    yonder.ip("addr flush dev far");
    yonder.address("far", ["10.99.0.2", "fd99::2"]);
    middle.address("veth0", ["10.77.0.9", "fd77::9"]);
    middle.address("veth1", ["10.99.0.9", "fd99::9"]);
    for setting in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        middle.set(setting, "1");
    }
    there.ip("route add default via 10.77.0.9");
    there.ip("-6 route add default via fd77::9");
    yonder.ip("route add default via 10.99.0.9");
    yonder.ip("-6 route add default via fd99::9");
    for ip in HERE {
        yonder.reach(ip);
        let tracer = Tracer::start(&middle, &["--port", "7272", "--segments"]);
        let said = talk(&yonder, Server::start(&there, ip, 1), &[SMALL]);
        let finished = tracer.interrupt();
        assert_once(&finished, &[&there, &yonder]);
        assert_shows(&finished, said);
    }
}

#[test]
fn a_dummy_interface_shows_what_is_sent_into_it() {
    let here = Namespace::new();
    if !can_add(&here, "dummy", "link add upper type dummy") {
        return;
    }
    here.address(UPPER, OVER_HERE);
    let tracer = Tracer::start(&here, &["--port", "7272", "-i", UPPER, "--segments"]);
    let nobody: SocketAddr = format!("{}:{PORT}", OVER_THERE[0]).parse().expect("an address");
    let connecting = || TcpStream::connect_timeout(&nobody, Duration::from_millis(1));
    here.run(connecting).expect_err("nobody answers");
    wait_for("the SYN to be shown", || tracer.has_told("segment"));
    let events = tracer.interrupt().events();
    let shown = events.iter().find(|event| event.kind() == "segment").expect("it was told");
    assert_eq!((shown.text("flags"), shown.text("from")), (Some("S"), Some("client")));
}

#[test]
fn a_connection_goes_on_over_another_interface() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let second = here.path();
    there.ip(&format!("link add spare type veth peer name veth1 netns {second}"));
    let server = Server::start(&here, HERE[0], 1);
    let tracer = Tracer::start(&here, &["--port", "7272"]);
    let mut client = Client::connect(&there, server.address());
    client.say(Say::text(1, 100));
    // The addresses stay, the ways to them change.
    for (namespace, device, peer) in [(&here, "veth1", THERE[0]), (&there, "spare", HERE[0])] {
        namespace.ip(&format!("link set {device} up"));
        namespace.ip(&format!("route add {peer}/32 dev {device}"));
    }
    client.say(Say::text(2, 100));
    client.say(Say::binary(3, 5000));
    assert!(received(&here, "veth1") > 5000, "it goes the other way now");
    let said = (vec![client.close()], server.logs());
    assert_shows(&tracer.interrupt(), said);
}

/// How many bytes an interface has received.
fn received(namespace: &Namespace, interface: &str) -> u64 {
    let counters = namespace.command("cat", "/proc/thread-self/net/dev");
    // `veth1: 5000 12 …`
    let line = counters.lines().find_map(|line| line.trim().strip_prefix(interface));
    let bytes = line.and_then(|line| line.split([':', ' ']).find(|word| !word.is_empty()));
    bytes.and_then(|bytes| bytes.parse().ok()).expect("the interface is there")
}
