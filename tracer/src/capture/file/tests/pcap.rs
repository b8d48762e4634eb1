//! The pcap format.

use super::*;
use crate::{capture::file::Found, segment::SECOND};

const NANOS: u32 = 0xa1b2_3c4d;

#[test]
fn both_resolutions_in_both_byte_orders() {
    for order in [Order::Little, Order::Big] {
        for (magic, unit) in [(MICROS, 1000), (NANOS, 1)] {
            let file = PcapFile::new(order, magic, 1)
                .packet(1_700_000_000, 999_999, b"first", 1500)
                .packet(1_700_000_001, 0, b"", 0);
            let (packets, end) = read(&*file.bytes());
            assert!(end.is_ok(), "{end:?}");
            let time = 1_700_000_000 * SECOND;
            let first = Kept {
                time: time + 999_999 * unit,
                interface: 0,
                bytes: b"first".to_vec(),
                wire_len: 1500,
            };
            let second = Kept { time: time + SECOND, interface: 0, bytes: vec![], wire_len: 0 };
            assert_eq!(packets, [first, second], "{order:?} {magic:x}");
        }
    }
}

#[test]
fn the_modified_format_has_longer_packet_headers() {
    let header = PcapFile::new(Order::Little, 0xa1b2_cd34, 1).0;
    let file = header.u32(1).u32(2).u32(3).u32(3).raw(&[0xee; 8]).raw(b"abc");
    let (packets, end) = read(&*file.bytes);
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(packets[0].bytes, b"abc");
}

#[test]
fn garbage_in_time_stamps_does_not_overflow() {
    let file = PcapFile::new(Order::Little, MICROS, 1).packet(u32::MAX, u32::MAX, b"", 0);
    let (packets, _) = read(&*file.bytes());
    assert_eq!(packets[0].time, u64::from(u32::MAX) * SECOND + u64::from(u32::MAX) * 1000);
}

#[test]
fn frame_check_sequence_bits_are_not_the_link_type() {
    let file = PcapFile::new(Order::Big, MICROS, 0x2400_0001).packet(0, 0, b"x", 1);
    assert_eq!(read(&*file.bytes()).0.len(), 1);
}

#[test]
fn a_packet_is_not_shorter_than_what_was_captured() {
    let file = PcapFile::new(Order::Little, MICROS, 1).packet(0, 0, b"abcd", 1);
    assert_eq!(read(&*file.bytes()).0[0].wire_len, 4);
}

#[test]
fn an_unsupported_link_type_is_refused_at_once() {
    let file = PcapFile::new(Order::Little, MICROS, 127).bytes();
    let Err(error @ FileError::LinkType(127)) = Reader::new(&*file) else {
        panic!("not refused");
    };
    assert_eq!(
        error.to_string(),
        "the capture's link type is 127 (IEEE 802.11 with radiotap), which cannot be decoded: \
         capture on an Ethernet, loopback, tunnel or `any` interface instead"
    );
}

#[test]
fn a_header_alone_is_a_capture_without_packets() {
    let (packets, end) = read(&*PcapFile::new(Order::Little, NANOS, 1).bytes());
    assert!(packets.is_empty() && end.is_ok());
}

#[test]
fn a_length_of_4_gib_takes_no_memory() {
    let mut file = PcapFile::new(Order::Little, MICROS, 1).packet(0, 0, b"ok", 2).bytes();
    file.extend([0; 8]);
    file.extend([0xff; 8]);
    let (packets, end) = read(&*file);
    assert_eq!(packets.len(), 1);
    let error = end.unwrap_err();
    assert!(matches!(error, FileError::TooLong { len: 0x1_0000_000f, at: 42, .. }), "{error:?}");
}

#[test]
fn what_is_no_capture_is_told_apart() {
    let told: [(&[u8], Found); 8] = [
        (b"", Found::Nothing),
        (b"\x1f\x8b\x08\0", Found::Compressed("gzip")),
        (b"\x28\xb5\x2f\xfd\0", Found::Compressed("zstd")),
        (b"\xfd7zXZ\0", Found::Compressed("xz")),
        (b"\x04\x22\x4d\x18", Found::Compressed("lz4")),
        (b"BZh91AY", Found::Compressed("bzip2")),
        (b"GET / HTTP/1.1\r\n", Found::Unknown),
        (b"\xd4\xc3", Found::Unknown),
    ];
    for (bytes, expected) in told {
        let error = Reader::new(bytes).err();
        assert!(matches!(error, Some(FileError::NotACapture(found)) if found == expected));
    }
}
