//! Frames as they come off unusual wires: forged packets go in through a TAP or TUN device, what
//! they say has to be shown, once.

use std::net::SocketAddr;

use crate::{
    assert_nothing_lost,
    device::{Device, Kind},
    forge::{CLOSE, Forged, TEXT, frame},
    netns::Namespace,
    observed::{Conversation, Conversations, Item, assert_same, conversations},
    tracer::Tracer,
};

/// What the two endpoints of [`conversation`] say.
const HELLO: &[u8] = "¿quién habla?".as_bytes();
const ANSWER: [u8; 900] = [b'a'; 900];

/// The packets of a short connection, and what is said on it.
fn conversation(client: &str, server: &str) -> (Vec<Vec<u8>>, Conversations) {
    let [client, server] = [client, server].map(|a| a.parse::<SocketAddr>().expect("an address"));
    let mut forged = Forged::new(client, server, "/wire", "");
    forged.client(&frame(TEXT, Some([9, 8, 7, 6]), HELLO));
    forged.server(&frame(TEXT, None, &ANSWER));
    forged.client(&frame(CLOSE, Some([1, 1, 1, 1]), &1000_u16.to_be_bytes()));
    forged.server(&frame(CLOSE, None, &1000_u16.to_be_bytes()));
    let close = Item::close(Some(1000), None);
    let said = Conversation {
        c2s: vec![Item::new("text", HELLO), close.clone()],
        s2c: vec![Item::new("text", &ANSWER), close],
    };
    (forged.finish(), [(client.to_string(), said)].into())
}

fn ipv4() -> (Vec<Vec<u8>>, Conversations) {
    conversation("198.51.100.1:40000", "198.51.100.2:7272")
}

fn ipv6() -> (Vec<Vec<u8>>, Conversations) {
    conversation("[2001:db8::1]:40000", "[2001:db8::2]:7272")
}

/// Sends the packets, each as `wrap` makes a frame of it, and checks that they were understood.
fn is_understood(
    kind: Kind,
    (packets, said): (Vec<Vec<u8>>, Conversations),
    wrap: impl Fn(&[u8]) -> Vec<u8>,
) {
    let namespace = Namespace::new();
    let device = Device::new(&namespace, kind);
    let tracer = Tracer::start(&namespace, &["--port", "7272"]);
    for packet in packets {
        device.inject(&wrap(&packet));
    }
    let events = tracer.interrupt().events();
    assert_same(&said, &conversations(&events));
    assert_nothing_lost(&events);
    assert!(events.iter().any(|e| e.text("joined") == Some("handshake")));
}

/// An Ethernet frame to nobody in particular, with these VLAN tags: protocol identifiers and VLAN ids.
fn ethernet(tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    for (ethertype, id) in tags {
        frame.extend(ethertype.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    let ethertype: u16 = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

/// The packet with an options field of eight bytes (RFC 791 section 3.1): a router alert, no-ops.
fn with_ip_options(packet: &[u8]) -> Vec<u8> {
    let (header, rest) = packet.split_at(20);
    let mut longer = [header, &[0x94, 4, 0, 0, 1, 1, 1, 0], rest].concat();
    longer[0] = 0x47;
    let total = longer.len() as u16;
    longer[2..4].copy_from_slice(&total.to_be_bytes());
    longer
}

/// The packet with hop-by-hop, routing and destination options headers before TCP (RFC 8200
/// section 4): each the next header's number, its length in eight bytes beyond the first, padding.
fn with_extension_headers(packet: &[u8]) -> Vec<u8> {
    const TCP: u8 = 6;
    let (header, rest) = packet.split_at(40);
    let hop_by_hop = [43, 0, 1, 4, 0, 0, 0, 0];
    let routing = [60, 0, 253, 0, 0, 0, 0, 0];
    let mut destination = vec![TCP, 1, 1, 12];
    destination.resize(16, 0);
    let mut longer = [header, &hop_by_hop, &routing, &destination, rest].concat();
    let len = (longer.len() - 40) as u16;
    longer[4..6].copy_from_slice(&len.to_be_bytes());
    longer[6] = 0;
    longer
}

/// The Ethernet frame as the shortest a wire carries: 60 bytes, the rest of it padding.
fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    let len = frame.len().max(60);
    frame.resize(len, 0xee);
    frame
}

#[test]
fn plain_ethernet_is_understood() {
    is_understood(Kind::Tap, ipv4(), |packet| ethernet(&[], packet));
    is_understood(Kind::Tap, ipv6(), |packet| ethernet(&[], packet));
}

#[test]
fn padding_of_short_frames_is_not_taken_for_payload() {
    is_understood(Kind::Tap, ipv4(), |packet| padded(ethernet(&[], packet)));
}

#[test]
fn a_vlan_tag_is_looked_past() {
    is_understood(Kind::Tap, ipv4(), |packet| ethernet(&[(0x8100, 5)], packet));
    is_understood(Kind::Tap, ipv6(), |packet| ethernet(&[(0x8100, 5)], packet));
}

#[test]
fn a_priority_tag_and_two_stacked_tags_are_looked_past() {
    is_understood(Kind::Tap, ipv4(), |packet| ethernet(&[(0x8100, 0xe000)], packet));
    is_understood(Kind::Tap, ipv4(), |packet| ethernet(&[(0x88a8, 7), (0x8100, 5)], packet));
}

#[test]
fn fragments_are_counted_and_not_decoded() {
    let namespace = Namespace::new();
    let device = Device::new(&namespace, Kind::Tap);
    let tracer = Tracer::start(&namespace, &["--port", "7272"]);
    let (packets, said) = ipv4();
    for packet in &packets {
        let mut fragment = packet.clone();
        // One unit of 8 bytes into the datagram (RFC 791 section 3.1): what follows is no TCP header.
        fragment[6..8].copy_from_slice(&1_u16.to_be_bytes());
        device.inject(&ethernet(&[], &fragment));
        device.inject(&ethernet(&[], packet));
    }
    let events = tracer.interrupt().events();
    assert_same(&said, &conversations(&events));
    let stats = events.last().expect("the last event is of the end");
    assert_eq!(stats.number("fragments"), Some(packets.len() as u64));
}

#[test]
fn ipv4_options_are_looked_past() {
    is_understood(Kind::Tap, ipv4(), |packet| ethernet(&[], &with_ip_options(packet)));
}

#[test]
fn ipv6_extension_headers_are_looked_past() {
    is_understood(Kind::Tap, ipv6(), |packet| ethernet(&[], &with_extension_headers(packet)));
}

#[test]
fn a_device_without_link_layer_headers_is_understood() {
    is_understood(Kind::Tun, ipv4(), <[u8]>::to_vec);
    is_understood(Kind::Tun, ipv6(), with_extension_headers);
}
