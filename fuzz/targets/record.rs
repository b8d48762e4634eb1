//! The capture record and the packet parser, from arbitrary bytes: what they find lies inside what
//! they were given.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tcp::options::Options;
use tracer_common::{
    packet::{self, Ip, Packet, Skip, Tcp},
    record::RecordHeader,
};
use tracer_fuzz::input::Input;

/// A captured packet that may have been longer on the wire.
struct Captured<'a> {
    bytes: &'a [u8],
    wire_len: u32,
}

impl Packet for Captured<'_> {
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.bytes.get(offset as usize..)?.first_chunk().copied()
    }

    fn wire_len(&self) -> u32 {
        self.wire_len
    }
}

fuzz_target!(|input: &[u8]| {
    split(input);
    let mut input = Input::new(input);
    let is_ethernet = input.u8() & 1 == 0;
    let snapped = match input.u8() {
        255 => u32::MAX,
        few => u32::from(few) * 64,
    };
    let bytes = input.rest();
    let wire_len = (bytes.len() as u32).saturating_add(snapped);
    if let Ok((ip, tcp)) = parse(&Captured { bytes, wire_len }, is_ethernet) {
        check(&ip, &tcp, bytes);
    }
});

fn split(record: &[u8]) {
    let Some((header, options, payload)) = RecordHeader::split(record) else { return };
    assert_eq!(options.len(), usize::from(header.options_len));
    assert_eq!(payload.len(), header.captured as usize);
    assert_eq!(&record[80..80 + options.len()], options);
    assert_eq!(&record[80 + options.len()..][..payload.len()], payload);
    check_options(options);
}

fn parse(packet: &Captured<'_>, is_ethernet: bool) -> Result<(Ip, Tcp), Skip> {
    let (ethertype, offset) =
        if is_ethernet { packet::ethertype(packet, 12)? } else { (packet::ETHERTYPE_IPV6, 0) };
    let ip = packet::ip(packet, ethertype, offset)?;
    Ok((ip, packet::tcp(packet, &ip)?))
}

fn check(ip: &Ip, tcp: &Tcp, bytes: &[u8]) {
    assert!(ip.tcp_offset as usize + 20 <= bytes.len(), "the TCP header was captured");
    assert!(tcp.options_len <= 40);
    assert_eq!(tcp.options_offset, ip.tcp_offset + 20);
    assert_eq!(20 + tcp.options_len + tcp.payload_len, ip.tcp_len);
    assert!(tcp.flags < 1 << 9);
    let options = bytes.get(tcp.options_offset as usize..).unwrap_or_default();
    check_options(&options[..options.len().min(tcp.options_len as usize)]);
}

/// TCP options print as a line, whatever they are.
fn check_options(options: &[u8]) {
    let line = Options(options).to_string();
    assert!(line.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{line:?}");
}
