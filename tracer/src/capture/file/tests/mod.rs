//! Capture files built in memory, field by field as their drafts have them.

mod captures;
mod damage;
mod links;
mod pcap;
mod pcapng;

use std::io::Read;

use super::{FileError, Reader, input::Order};
use crate::segment::Nanos;

/// Magic of a pcap file with microseconds.
const MICROS: u32 = 0xa1b2_c3d4;

/// Link type numbers that the tests use often.
const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const WIFI: u16 = 105;

/// A packet as the reader gave it, kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    time: Nanos,
    interface: u32,
    bytes: Vec<u8>,
    wire_len: u32,
}

/// Every packet, and how the file ended.
fn read(file: impl Read) -> (Vec<Kept>, Result<(), FileError>) {
    drain(match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(error)),
    })
}

/// The same with a small window: lengths reach its limits, and runs are fast.
fn read_in(window: usize, file: impl Read) -> (Vec<Kept>, Result<(), FileError>) {
    drain(match Reader::with_window(file, window) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(error)),
    })
}

fn drain(mut reader: Reader<impl Read>) -> (Vec<Kept>, Result<(), FileError>) {
    let mut packets = Vec::new();
    loop {
        match reader.next_packet() {
            Ok(Some(p)) => packets.push(Kept {
                time: p.time,
                interface: p.interface,
                bytes: p.bytes.to_vec(),
                wire_len: p.wire_len,
            }),
            Ok(None) => return (packets, Ok(())),
            Err(error) => {
                assert!(matches!(reader.next_packet(), Ok(None)), "an error is the end");
                return (packets, Err(error));
            }
        }
    }
}

/// Fields in a file's byte order.
#[derive(Clone)]
struct Fields {
    order: Order,
    bytes: Vec<u8>,
}

impl Fields {
    fn new(order: Order) -> Self {
        Self { order, bytes: Vec::new() }
    }

    fn u16(mut self, value: u16) -> Self {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    fn u32(mut self, value: u32) -> Self {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.bytes.extend(match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// Zeros up to the next multiple of four, as options and packets in pcapng have.
    fn padded(mut self) -> Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// A pcap file.
struct PcapFile(Fields);

impl PcapFile {
    fn new(order: Order, magic: u32, link_type: u32) -> Self {
        let header = Fields::new(order).u32(magic).u16(2).u16(4).u32(0).u32(0);
        Self(header.u32(262_144).u32(link_type))
    }

    fn packet(self, seconds: u32, fraction: u32, bytes: &[u8], wire_len: u32) -> Self {
        let captured = bytes.len() as u32;
        let header = self.0.u32(seconds).u32(fraction).u32(captured).u32(wire_len);
        Self(header.raw(bytes))
    }

    fn bytes(self) -> Vec<u8> {
        self.0.bytes
    }
}

/// A pcapng section, or several.
#[derive(Clone)]
struct Sections(Fields);

impl Sections {
    /// A section header, after what there is already.
    fn new(order: Order) -> Self {
        let file = Self(Fields::new(order));
        let body = file.body().u32(0x1a2b_3c4d).u16(1).u16(0).u64(u64::MAX);
        file.block(0x0a0d_0d0a, body)
    }

    /// Goes on in the byte order of `next`.
    fn then(mut self, next: Self) -> Self {
        self.0.order = next.0.order;
        self.0.bytes.extend(next.0.bytes);
        self
    }

    /// An empty block body in this section's byte order.
    fn body(&self) -> Fields {
        Fields::new(self.0.order)
    }

    fn block(mut self, kind: u32, body: Fields) -> Self {
        let body = body.padded().bytes;
        let len = body.len() as u32 + 12;
        self.0 = self.0.u32(kind).u32(len).raw(&body).u32(len);
        self
    }

    fn interface(self, link_type: u16, snaplen: u32) -> Self {
        let body = self.body().u16(link_type).u16(0).u32(snaplen);
        self.block(1, body)
    }

    /// An interface with `if_name`, `if_tsresol` and `if_tsoffset`.
    fn interface_with_clock(self, link_type: u16, resolution: u8, offset: i64) -> Self {
        let body = self.body().u16(link_type).u16(0).u32(0);
        let body = body.u16(2).u16(4).raw(b"eth0").u16(9).u16(1).raw(&[resolution, 0, 0, 0]);
        let body = body.u16(14).u16(8).u64(offset as u64).u32(0);
        self.block(1, body)
    }

    fn enhanced(self, interface: u32, stamp: u64, bytes: &[u8], wire_len: u32) -> Self {
        let body = self.body().u32(interface).u32((stamp >> 32) as u32).u32(stamp as u32);
        let body = body.u32(bytes.len() as u32).u32(wire_len).raw(bytes).padded();
        // Options: the packet's flags (inbound), then the end of them.
        self.block(6, body.u16(2).u16(4).u32(1).u32(0))
    }

    fn obsolete(self, interface: u16, stamp: u64, bytes: &[u8]) -> Self {
        let len = bytes.len() as u32;
        let body = self.body().u16(interface).u16(0xffff).u32((stamp >> 32) as u32);
        let body = body.u32(stamp as u32).u32(len).u32(len).raw(bytes);
        self.block(2, body)
    }

    fn simple(self, bytes: &[u8], wire_len: u32) -> Self {
        let body = self.body().u32(wire_len).raw(bytes);
        self.block(3, body)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.bytes
    }
}

/// A TCP segment from port 40000 to 7272: sequence number 1, PSH and ACK, 12 bytes of options.
fn tcp(payload: &[u8]) -> Vec<u8> {
    let mut tcp =
        vec![0x9c, 0x40, 0x1c, 0x68, 0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0x18, 1, 0, 0, 0, 0, 0];
    tcp.extend(OPTIONS);
    tcp.extend(payload);
    tcp
}

/// Two NOPs and a time stamp.
const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4];

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2 with that segment.
fn ipv4(payload: &[u8]) -> Vec<u8> {
    let tcp = tcp(payload);
    let mut packet = vec![0x45, 0];
    packet.extend((20 + tcp.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(tcp);
    packet
}

/// An IPv6 packet from `fd00::1` to `fd00::2` with that segment.
fn ipv6(payload: &[u8]) -> Vec<u8> {
    let tcp = tcp(payload);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((tcp.len() as u16).to_be_bytes());
    packet.extend([6, 64]);
    for last in [1, 2] {
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(tcp);
    packet
}
