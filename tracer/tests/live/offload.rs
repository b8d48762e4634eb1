//! Frames larger than a wire's: MTU 9000, and the super-segments that the kernel passes around when
//! offloads (GSO, GRO) are on, and all of that off.

use std::net::UdpSocket;

use rustix::ioctl::{Opcode, Setter, ioctl};

use crate::{
    assert_shows,
    client::{Client, Say},
    left_out,
    netns::{HERE, Namespace},
    observed::Event,
    server::Server,
    tracer::{Finished, Tracer, wait_for},
};

/// Long enough for super-segments.
const LONG: usize = 400_000;
/// IPv4 and TCP headers without options.
const HEADERS: u64 = 40;

/// Offloads of `linux/ethtool.h`: the commands that set them.
#[derive(Clone, Copy)]
enum Offload {
    /// `ETHTOOL_STSO`: one segment for the device to cut.
    Tso = 0x1f,
    /// `ETHTOOL_SGSO`: the same, cut by the kernel just before the device.
    Gso = 0x24,
    /// `ETHTOOL_SGRO`: received segments are put together.
    Gro = 0x2c,
}

/// Switches an offload of an interface, as `ethtool -K` does.
#[expect(unsafe_code, reason = "there is no safe interface to this ioctl")]
fn switch(namespace: &Namespace, interface: &str, offload: Offload, on: bool) {
    const SIOCETHTOOL: Opcode = 0x8946;
    /// `struct ethtool_value`.
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    /// `struct ifreq` with a pointer.
    #[repr(C)]
    struct Request<'a> {
        name: [u8; 16],
        value: &'a mut Value,
        padding: [u8; 16],
    }
    let mut value = Value { command: offload as u32, data: on.into() };
    let mut name = [0; 16];
    name[..interface.len()].copy_from_slice(interface.as_bytes());
    namespace.run(|| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let request = Request { name, value: &mut value, padding: [0; 16] };
        // SAFETY: the opcode reads a `struct ifreq`, and the value that it points to.
        unsafe { ioctl(&socket, Setter::<SIOCETHTOOL, Request<'_>>::new(request)) }
            .expect("veth has this offload");
    });
}

/// Two namespaces with a cable for frames of this size.
fn cable(mtu: u32) -> [Namespace; 2] {
    let here = Namespace::new();
    let there = here.connect("veth0");
    for (namespace, device) in [(&here, "veth0"), (&there, "far")] {
        namespace.ip(&format!("link set {device} mtu {mtu}"));
    }
    [here, there]
}

/// Sets the same at both ends.
fn switch_both([here, there]: &[Namespace; 2], offloads: &[Offload], on: bool) {
    for &offload in offloads {
        switch(here, "veth0", offload, on);
        switch(there, "far", offload, on);
    }
}

/// The longest segment that came in. Those that go out pass the classifier before they are cut.
fn longest(events: &[Event]) -> u64 {
    let segments = events.iter().filter(|event| event.kind() == "segment");
    let from_client = segments.filter(|event| event.text("from") == Some("client"));
    from_client.filter_map(|event| event.number("len")).max().unwrap_or(0)
}

/// Traces long messages until one of their segments is longer than `wanted`; once where that is 0.
/// How the kernel puts segments together depends on when they come.
fn talk_until([here, there]: &[Namespace; 2], ip: &str, wanted: u64) -> Finished {
    let server = Server::start(here, ip, 1);
    let tracer = Tracer::start(here, &["--port", "7272", "--segments"]);
    let mut client = Client::connect(there, server.address());
    let mut n = 0;
    wait_for("a segment that long", || {
        client.say(Say::text(n, LONG));
        client.say(Say::binary(n, LONG + 1));
        n += 1;
        (wanted == 0 || longest(&tracer.events()) > wanted).then_some(())
    });
    let said = (vec![client.close()], server.logs());
    let finished = tracer.interrupt();
    assert_shows(&finished, said);
    finished
}

/// With and without cutting by the device, by the kernel, and putting together.
fn at_mtu(mtu: u32) {
    use Offload::{Gro, Gso, Tso};
    let ends = cable(mtu);
    let one = u64::from(mtu) - HEADERS;
    switch_both(&ends, &[Tso, Gso], true);
    for ip in HERE {
        talk_until(&ends, ip, one);
    }
    switch_both(&ends, &[Gro], true);
    talk_until(&ends, HERE[0], one);
    switch_both(&ends, &[Tso, Gso, Gro], false);
    for ip in HERE {
        let finished = talk_until(&ends, ip, 0);
        let longest = longest(&finished.events());
        assert!((1..=one).contains(&longest), "{longest} bytes in a frame of {mtu}");
    }
    // What is sent frame by frame comes in as super-segments.
    switch_both(&ends, &[Gro], true);
    talk_until(&ends, HERE[1], one);
}

#[test]
fn frames_of_1500_bytes_and_super_segments_of_them() {
    at_mtu(1500);
}

#[test]
fn frames_of_9000_bytes_and_super_segments_of_them() {
    at_mtu(9000);
}

#[test]
fn segments_beyond_64_kib() {
    const MAX: &str = "gso_max_size 185000 gro_max_size 185000";
    let ends = cable(1500);
    for (namespace, device) in [(&ends[0], "veth0"), (&ends[1], "far")] {
        if namespace.try_command("ip", &format!("link set {device} {MAX}")).is_err() {
            return left_out("this kernel has no segments beyond 64 KiB on veth (BIG TCP)");
        }
    }
    // IPv6 says the length in a hop-by-hop option (RFC 2675), or not at all.
    talk_until(&ends, HERE[1], 1 << 16);
}
