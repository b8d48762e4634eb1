//! Each link type's way to the IP header.

use tracer_common::packet::{Skip, flags};

use super::*;
use crate::{
    capture::file::{LinkType, RawPacket},
    segment::{Endpoint, Segment},
};

/// A packet with that link type's number.
fn packet(link_type: u32, bytes: &[u8]) -> RawPacket<'_> {
    let link_type = LinkType::from_number(link_type).expect("supported");
    RawPacket { time: 5, interface: 9, link_type, bytes, wire_len: bytes.len() as u32 }
}

/// Asserts that a segment is found in an IPv4 packet behind `v4`, and in an IPv6 packet behind `v6`.
fn assert_decodes(link_type: u32, v4: &[u8], v6: &[u8]) {
    for (header, ip, client) in
        [(v4, ipv4(b"hello"), "10.0.0.1:40000"), (v6, ipv6(b"hello"), "[fd00::1]:40000")]
    {
        let bytes = [header, &ip].concat();
        let segment = packet(link_type, &bytes).segment();
        let segment = segment.unwrap_or_else(|skip| panic!("{link_type} {header:x?}: {skip:?}"));
        assert_eq!(segment.source.to_string(), client);
        assert_eq!((segment.payload, segment.payload_len), (&b"hello"[..], 5));
        assert_eq!(segment.options, OPTIONS);
    }
}

#[test]
fn every_field_of_a_segment() {
    let bytes = [&[0; 12], &[8, 0][..], &ipv4(b"hello")].concat();
    let endpoint = |addr: &str| Endpoint::from(addr.parse::<std::net::SocketAddr>().unwrap());
    let expected = Segment {
        time: 5,
        interface: 9,
        source: endpoint("10.0.0.1:40000"),
        destination: endpoint("10.0.0.2:7272"),
        seq: 1,
        ack: 2,
        window: 256,
        flags: flags::PSH | flags::ACK,
        options: &OPTIONS,
        payload_len: 5,
        offset: 0,
        payload: b"hello",
        more: false,
        left_out: 0,
        elided: 0,
        frame_at: None,
    };
    assert_eq!(packet(1, &bytes).segment(), Ok(expected));
}

#[test]
fn ethernet() {
    let macs = [2; 12];
    assert_decodes(1, &[&macs[..], &[8, 0]].concat(), &[&macs[..], &[0x86, 0xdd]].concat());
}

#[test]
fn ethernet_with_vlan_tags() {
    let tagged = |ethertype: [u8; 2]| {
        [&[2; 12][..], &[0x88, 0xa8, 0, 7], &[0x81, 0, 0x20, 9], &ethertype].concat()
    };
    assert_decodes(1, &tagged([8, 0]), &tagged([0x86, 0xdd]));
}

#[test]
fn null_in_both_byte_orders() {
    for family in [10, 24, 28, 30] {
        assert_decodes(0, &[2, 0, 0, 0], &[family, 0, 0, 0]);
        assert_decodes(0, &[0, 0, 0, 2], &[0, 0, 0, family]);
    }
}

#[test]
fn loop_in_network_byte_order() {
    assert_decodes(108, &[0, 0, 0, 2], &[0, 0, 0, 24]);
}

#[test]
fn raw_ip() {
    for number in [12, 14, 101] {
        assert_decodes(number, &[], &[]);
    }
}

#[test]
fn raw_ip_of_one_version() {
    assert!(packet(228, &ipv4(b"")).segment().is_ok());
    assert!(packet(229, &ipv6(b"")).segment().is_ok());
    assert_eq!(packet(228, &ipv6(b"")).segment(), Err(Skip::Malformed));
    assert_eq!(packet(229, &ipv4(b"")).segment(), Err(Skip::Malformed));
}

#[test]
fn linux_cooked() {
    // Incoming, Ethernet, a six-byte address in its field of eight.
    let header =
        |protocol: &[u8]| [&[0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0][..], protocol].concat();
    assert_decodes(113, &header(&[8, 0]), &header(&[0x86, 0xdd]));
    let vlan = |ethertype: [u8; 2]| header(&[&[0x81, 0, 0, 5][..], &ethertype].concat());
    assert_decodes(113, &vlan([8, 0]), &vlan([0x86, 0xdd]));
}

/// Protocol, reserved, interface 7, Ethernet, incoming, a six-byte address.
fn cooked_v2(protocol: [u8; 2], rest: &[u8]) -> Vec<u8> {
    [&protocol[..], &[0, 0, 0, 0, 0, 7, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0], rest].concat()
}

#[test]
fn linux_cooked_v2() {
    assert_decodes(276, &cooked_v2([8, 0], &[]), &cooked_v2([0x86, 0xdd], &[]));
    let vlan = |ethertype: [u8; 2]| cooked_v2([0x81, 0], &[&[0, 5][..], &ethertype].concat());
    assert_decodes(276, &vlan([8, 0]), &vlan([0x86, 0xdd]));
    let qinq = |ethertype: [u8; 2]| {
        cooked_v2([0x88, 0xa8], &[&[0, 5, 0x81, 0, 0, 6][..], &ethertype].concat())
    };
    assert_decodes(276, &qinq([8, 0]), &qinq([0x86, 0xdd]));
}

#[test]
fn linux_cooked_v2_names_the_interface() {
    let bytes = cooked_v2([8, 0], &ipv4(b""));
    assert_eq!(packet(276, &bytes).segment().unwrap().interface, 7);
}

#[test]
fn other_protocols_are_not_tcp() {
    let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
    assert_eq!(packet(1, &arp).segment(), Err(Skip::NotTcp));
    assert_eq!(packet(0, &[7, 0, 0, 0, 0x45]).segment(), Err(Skip::NotTcp));
    assert_eq!(packet(276, &cooked_v2([8, 6], &[0; 28])).segment(), Err(Skip::NotTcp));
}

#[test]
fn short_frames_are_malformed() {
    for number in [0, 1, 12, 101, 108, 113, 228, 229, 276] {
        assert_eq!(packet(number, &[]).segment(), Err(Skip::Malformed), "{number}");
    }
    assert_eq!(packet(101, &[0x35; 60]).segment(), Err(Skip::Malformed));
}

#[test]
fn a_snapped_segment_keeps_its_length_on_the_wire() {
    let ip = ipv4(&[b'x'; 100]);
    let snapped = |len: usize| RawPacket { wire_len: ip.len() as u32, ..packet(101, &ip[..len]) };
    let segment = snapped(62).segment().unwrap();
    assert_eq!((segment.payload, segment.payload_len), (&b"xxxxxxxxxx"[..], 100));
    assert_eq!(segment.absent(), 90);
    let segment = snapped(44).segment().unwrap();
    assert_eq!((segment.options, segment.payload), (&OPTIONS[..4], &b""[..]));
    assert_eq!(segment.absent(), 100);
    assert_eq!(snapped(39).segment(), Err(Skip::Malformed));
}

#[test]
fn ethernet_padding_is_not_payload() {
    let bytes = [&[0; 12], &[8, 0][..], &ipv4(b""), &[0; 6]].concat();
    assert_eq!(packet(1, &bytes).segment().unwrap().payload_len, 0);
}

#[test]
fn no_segment_is_longer_than_the_largest_window() {
    let mut ip = ipv4(b"");
    ip[2..4].fill(0); // BIG TCP: the length is the packet's
    let long = |wire_len| RawPacket { wire_len, ..packet(101, &ip) };
    assert_eq!(long(500_052).segment().unwrap().payload_len, 500_000);
    assert_eq!(long(u32::MAX).segment(), Err(Skip::Malformed));
}
