//! The pcapng format.

use super::*;
use crate::{capture::file::Unsupported, segment::SECOND};

const ORDERS: [Order; 2] = [Order::Little, Order::Big];

/// Asserts that the file ends well.
fn read_all(file: Sections) -> Vec<Kept> {
    let (packets, end) = read(&*file.bytes());
    assert!(end.is_ok(), "{end:?}");
    packets
}

fn error(file: &[u8]) -> FileError {
    read(file).1.expect_err("is broken")
}

#[test]
fn enhanced_packets_in_both_byte_orders() {
    for order in ORDERS {
        let file = Sections::new(order).interface(ETHERNET, 0).interface(RAW, 0);
        let packets = read_all(file.enhanced(1, 0x1_0000_0002, b"five.", 1500));
        let time = 0x1_0000_0002 * 1000; // microseconds unless the interface says otherwise
        let expected = Kept { time, interface: 1, bytes: b"five.".to_vec(), wire_len: 1500 };
        assert_eq!(packets, [expected], "{order:?}");
    }
}

#[test]
fn obsolete_packets_in_both_byte_orders() {
    for order in ORDERS {
        let file = Sections::new(order).interface(ETHERNET, 0).interface(RAW, 0);
        let packets = read_all(file.obsolete(1, 7, b"old"));
        let expected = Kept { time: 7000, interface: 1, bytes: b"old".to_vec(), wire_len: 3 };
        assert_eq!(packets, [expected], "{order:?}");
    }
}

#[test]
fn simple_packets_have_the_time_of_the_packet_before() {
    for order in ORDERS {
        let file = Sections::new(order).interface(ETHERNET, 0);
        let packets = read_all(file.simple(b"a", 1).enhanced(0, 5, b"", 0).simple(b"bc", 2));
        let times: Vec<_> = packets.iter().map(|packet| packet.time).collect();
        assert_eq!(times, [0, 5000, 5000], "{order:?}");
        assert_eq!(packets[2].bytes, b"bc");
    }
}

#[test]
fn simple_packets_are_cut_at_the_snapshot_length_not_at_their_padding() {
    let file = Sections::new(Order::Little).interface(ETHERNET, 5).simple(b"01234", 90);
    let packets = read_all(file);
    assert_eq!((packets[0].bytes.as_slice(), packets[0].wire_len), (&b"01234"[..], 90));
}

#[test]
fn each_interface_has_its_clock() {
    for order in ORDERS {
        let file = Sections::new(order)
            .interface_with_clock(ETHERNET, 9, 0)
            .interface_with_clock(ETHERNET, 3, 1000)
            .interface_with_clock(ETHERNET, 0x80 | 10, -1);
        let packets = read_all(
            file.enhanced(0, 1_700_000_000_123_456_789, b"", 0)
                .enhanced(1, 2_500, b"", 0)
                .enhanced(2, 2048 + 512, b"", 0),
        );
        let times: Vec<_> = packets.iter().map(|packet| packet.time).collect();
        let expected = [1_700_000_000_123_456_789, 1002 * SECOND + SECOND / 2, SECOND * 3 / 2];
        assert_eq!(times, expected, "{order:?}");
    }
}

#[test]
fn sections_have_their_own_byte_order_and_interfaces() {
    let first = Sections::new(Order::Little).interface(WIFI, 0).interface(ETHERNET, 0);
    let second = Sections::new(Order::Big).interface(RAW, 0).enhanced(0, 2, b"second", 6);
    let packets = read_all(first.enhanced(1, 1, b"first", 5).then(second.clone()));
    assert_eq!((packets[0].interface, packets[1].interface), (1, 0));
    assert_eq!(packets[1].bytes, b"second");

    let nothing_described = second.then(Sections::new(Order::Big).enhanced(0, 0, b"", 0));
    assert!(matches!(error(&nothing_described.bytes()), FileError::Broken { .. }));
}

#[test]
fn other_blocks_are_passed_by_however_long() {
    let file = Sections::new(Order::Little).interface(ETHERNET, 0);
    let secrets = file.body().raw(&vec![7; 3 << 20]);
    let packets = read_all(file.block(0xa, secrets).enhanced(0, 0, b"after", 5));
    assert_eq!(packets[0].bytes, b"after");
}

#[test]
fn unsupported_packets_are_counted_and_the_others_read() {
    let file = Sections::new(Order::Little).interface(WIFI, 0).interface(ETHERNET, 0);
    let file = file.enhanced(0, 0, &[0; 2 << 20], 9).enhanced(1, 0, b"x", 1).simple(b"y", 1);
    let bytes = file.bytes();
    let mut reader = Reader::new(&*bytes).unwrap();
    assert_eq!(reader.next_packet().unwrap().unwrap().bytes, b"x");
    assert!(reader.next_packet().unwrap().is_none());
    assert_eq!(reader.unsupported(), Some(Unsupported { link_type: 105, packets: 2 }));
}

#[test]
fn only_unsupported_packets_are_an_error() {
    let file = Sections::new(Order::Little).interface(WIFI, 0).enhanced(0, 0, b"x", 1);
    assert!(matches!(error(&file.bytes()), FileError::LinkType(105)));
}

#[test]
fn no_packets_are_no_error() {
    assert!(read_all(Sections::new(Order::Big).interface(WIFI, 0)).is_empty());
}

#[test]
fn a_packet_longer_than_the_window_is_refused() {
    let file = Sections::new(Order::Little).interface(ETHERNET, 0);
    let error = error(&file.enhanced(0, 0, &vec![0; 1 << 20], 9).bytes());
    assert!(matches!(error, FileError::TooLong { at: 48, limit: 0x10_0000, .. }), "{error:?}");
}

/// Puts something wrong into a file.
type Harm = fn(&mut Vec<u8>);

/// A section, an interface and a packet at byte 48, harmed.
fn harmed(harm: Harm) -> FileError {
    let file = Sections::new(Order::Little).interface(ETHERNET, 0);
    let mut bytes = file.enhanced(0, 0, b"0123", 4).bytes();
    harm(&mut bytes);
    error(&bytes)
}

#[test]
fn contradictions_are_named_with_their_place() {
    let broken: [(&str, u64, Harm); 8] = [
        ("a section has no byte order", 0, |file| file[8] = 0),
        ("its pcapng version is not 1, the only one known", 0, |file| file[12] = 2),
        ("a block's two lengths differ", 28, |file| file[44] = 24),
        ("a block claims to be shorter than its header", 28, |file| file[32] = 8),
        ("a packet block is too short", 48, |file| file[52] = 28),
        ("a packet is of an interface that was not described", 48, |file| file[56] = 1),
        ("a packet is longer than the block around it", 48, |file| file[71] = 0xff),
        ("a block's two lengths differ", 48, |file| *file.last_mut().unwrap() = 1),
    ];
    for (expected, place, harm) in broken {
        let FileError::Broken { what, at } = harmed(harm) else { panic!("{expected}") };
        assert_eq!((what, at), (expected, place));
    }
}
