//! Real captures.

use std::{fs::File, path::Path};

use super::*;

/// What is compared of a segment.
type Found = (Nanos, String, String, u32, u32, u16, Vec<u8>, Vec<u8>);

fn segments(name: &str) -> Vec<Found> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut reader = Reader::new(File::open(captures.join(name)).unwrap()).unwrap();
    let mut found = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        let s = packet.segment().unwrap();
        assert_eq!(s.payload.len(), s.payload_len as usize);
        let (options, payload) = (s.options.to_vec(), s.payload.to_vec());
        let (source, destination) = (s.source.to_string(), s.destination.to_string());
        found.push((s.time, source, destination, s.seq, s.ack, s.flags, options, payload));
    }
    found
}

#[test]
fn pcap_and_pcapng_of_the_same_packets_give_the_same_segments() {
    let pcap = segments("ws-plain.pcap");
    assert_eq!(pcap, segments("ws-plain.pcapng"));
    // As tcpdump and tshark count them.
    let payload: usize = pcap.iter().map(|segment| segment.7.len()).sum();
    assert_eq!((pcap.len(), payload), (230, 2_112_242));
}
