//! Capture through libpcap, as tcpdump does it: interfaces come in by name, the segments of the
//! traced ports go out. For hosts that allow no eBPF, and to compare with.

use std::{
    os::fd::{AsFd as _, BorrowedFd},
    time::Duration,
};

use ::tracing::warn;
use anyhow::{Context as _, Result, bail};
use pcap::{Active, Capture as Handle, Linktype, Packet, Precision};
use tracer_common::{packet::Skip, ports::PortSet};

use super::{
    Answer, Capture, clock,
    file::{LinkType, RawPacket},
};
use crate::{
    config::PortList,
    event::Stats,
    segment::{Nanos, SECOND, Segment},
};

/// The longest packet that libpcap takes (`MAXIMUM_SNAPLEN`).
const LONGEST: u32 = 262_144;
/// More than the headers before a payload come to: 20 bytes of link, two VLAN tags, 40 of IPv6 with
/// a few extension headers, 60 of TCP.
const HEADERS: u32 = 256;
/// How long the kernel collects packets in a block of the buffer that is not full. Shorter means
/// more wake-ups.
const COLLECT_MILLIS: i32 = 10;
/// After so long the kernel has handed over what it had collected: it looks whether a block is to be
/// closed once in [`COLLECT_MILLIS`], and closes those that were open the last time.
pub const HANDED_OVER: Duration = Duration::from_millis(3 * COLLECT_MILLIS as u64);
/// What the kernel puts before each packet in the buffer, about: `struct tpacket3_hdr`, an address,
/// and what aligns them.
const PACKET_HEADER: usize = 96;
/// Packets taken between two looks at whether that was a bufferful.
const BATCH: usize = 1024;

/// A filter cannot look behind these, so they all pass, for the parser to decide: later fragments,
/// IPv6 extension headers, a VLAN tag that is not the outermost.
const UNDECIDED: &str = "(ip proto 6 and ip[6:2] & 0x1fff != 0) \
    or (ip6 and (ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 51 or ip6[6] = 60)) \
    or ether proto 0x8100 or ether proto 0x88a8 or ether proto 0x9100";

/// What to capture.
#[derive(Clone, Copy)]
pub struct Settings<'a> {
    /// The traced ports.
    pub ports: &'a PortList,
    /// Payload bytes to copy of each segment at most.
    pub snaplen: u32,
    /// Bytes of the buffer between kernel and tracer, for each interface.
    pub buffer: u32,
}

/// Captures on some interfaces.
pub struct Packets {
    interfaces: Vec<Interface>,
    buffer: u32,
    filter: Filter,
}

/// A capture handle on one interface, or on libpcap's `any`.
struct Interface {
    name: String,
    handle: Handle<Active>,
    link_type: LinkType,
    /// The kernel's number for it; packets of `any` bring their own.
    index: u32,
    dropped: Dropped,
}

/// Packets that found no room, as libpcap counts them: in 32 bits.
#[derive(Clone, Copy, Default)]
struct Dropped {
    last: u32,
    all: u64,
}

impl Dropped {
    fn update(&mut self, now: u32) {
        self.all += u64::from(now.wrapping_sub(self.last));
        self.last = now;
    }
}

/// From packets to the segments that are wanted.
struct Filter {
    ports: PortSet,
    snaplen: u32,
    fragments: u64,
    unparsed: u64,
}

impl Packets {
    /// Starts to capture on the interfaces of these names; `any` is all of them.
    pub fn open(names: &[String], settings: Settings<'_>) -> Result<Self> {
        let interfaces = names.iter().map(|name| Interface::open(name, settings));
        let Settings { ports, snaplen, buffer } = settings;
        Ok(Self {
            interfaces: interfaces.collect::<Result<_>>()?,
            buffer,
            filter: Filter { ports: ports.set(), snaplen, fragments: 0, unparsed: 0 },
        })
    }
}

impl Capture for Packets {
    fn size(&self) -> usize {
        self.buffer as usize
    }

    fn drain(&mut self, mut take: impl FnMut(&Segment<'_>) -> Answer) -> Result<usize> {
        // libpcap stamps with the wall clock, which may be set while we run.
        let ahead = clock::wall().wrapping_sub(clock::monotonic());
        let Self { interfaces, buffer, filter } = self;
        let mut freed = 0;
        for interface in interfaces {
            freed += interface.drain(*buffer as usize, |packet| {
                let packet = RawPacket { time: packet.time.wrapping_sub(ahead), ..packet };
                filter.segment(&packet).is_none_or(|segment| take(&segment).is_continue())
            })?;
        }
        Ok(freed)
    }

    /// An interface that is being removed makes its descriptor readable when it goes down, and no
    /// more when it is gone.
    fn patience(&self) -> Option<Nanos> {
        Some(SECOND)
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.interfaces.iter().map(|interface| interface.handle.as_fd()).collect()
    }

    fn count(&mut self, stats: &mut Stats) {
        stats.fragments = self.filter.fragments;
        stats.unparsed = self.filter.unparsed;
        stats.lost = self.interfaces.iter_mut().map(Interface::dropped).sum();
    }
}

impl Interface {
    fn open(name: &str, settings: Settings<'_>) -> Result<Self> {
        let attempt = || format!("cannot capture on {name} with libpcap");
        let snaplen = settings.snaplen.saturating_add(HEADERS).min(LONGEST);
        let mut handle = Handle::from_device(name)
            .and_then(|handle| {
                handle
                    .snaplen(snaplen.cast_signed())
                    .buffer_size(settings.buffer.cast_signed())
                    .timeout(COLLECT_MILLIS)
                    .precision(Precision::Nano)
                    .open()
            })
            .with_context(attempt)?;
        if name == "any" {
            // Version 2 says which interface it was. Before libpcap 1.10 there is version 1 only.
            handle.set_datalink(Linktype::LINUX_SLL2).ok();
        }
        let number = handle.get_datalink().0;
        let Some(link_type) = u32::try_from(number).ok().and_then(LinkType::from_number) else {
            bail!("{name} has the link type {number}: it cannot be decoded");
        };
        handle.filter(&filter(settings.ports), true).with_context(attempt)?;
        let handle = handle.setnonblock().with_context(attempt)?;
        let index = rustix::net::netdevice::name_to_index(handle.as_fd(), name).unwrap_or_default();
        Ok(Self { name: name.to_owned(), handle, link_type, index, dropped: Dropped::default() })
    }

    /// Gives out the packets that are there, up to `most` bytes of the buffer.
    fn drain(&mut self, most: usize, mut take: impl FnMut(RawPacket<'_>) -> bool) -> Result<usize> {
        let Self { name, handle, link_type, index, .. } = self;
        let (mut freed, mut is_wanted) = (0, true);
        while is_wanted && freed < most {
            let batch = handle.dispatch(Some(BATCH), |packet| {
                freed += packet.data.len() + PACKET_HEADER;
                is_wanted = is_wanted && take(raw(&packet, *link_type, *index));
            });
            if batch.with_context(|| format!("cannot capture on {name} any more"))? == 0 {
                break;
            }
        }
        Ok(freed)
    }

    fn dropped(&mut self) -> u64 {
        match self.handle.stats() {
            Ok(stats) => self.dropped.update(stats.dropped),
            Err(error) => warn!("{}: losses are not known: {error}", self.name),
        }
        self.dropped.all
    }
}

/// The packets of these ports, and those of which it cannot say. `and` binds no tighter than `or`.
fn filter(ports: &PortList) -> String {
    let ports: Vec<_> =
        ports.ranges().iter().map(|(first, last)| format!("portrange {first}-{last}")).collect();
    format!("(tcp and ({})) or {UNDECIDED}", ports.join(" or "))
}

fn raw<'a>(packet: &Packet<'a>, link_type: LinkType, interface: u32) -> RawPacket<'a> {
    let stamp = packet.header.ts;
    // With nanoseconds in the field for microseconds, as was asked for.
    let time = stamp.tv_sec.cast_unsigned() * SECOND + stamp.tv_usec.cast_unsigned();
    RawPacket { time, interface, link_type, bytes: packet.data, wire_len: packet.header.len }
}

impl Filter {
    /// The segment in a packet, if it is of a traced port.
    fn segment<'a>(&mut self, packet: &RawPacket<'a>) -> Option<Segment<'a>> {
        match packet.segment() {
            Ok(segment) => self.cut(segment),
            Err(skip) => {
                match skip {
                    Skip::NotTcp => {}
                    Skip::Fragment => self.fragments += 1,
                    Skip::Malformed => self.unparsed += 1,
                }
                None
            }
        }
    }

    fn cut<'a>(&self, segment: Segment<'a>) -> Option<Segment<'a>> {
        let (from, to) = (segment.source.port, segment.destination.port);
        let is_traced = self.ports.contains(from) || self.ports.contains(to);
        // The kernel left room for the longest headers.
        let payload = segment.payload.get(..self.snaplen as usize).unwrap_or(segment.payload);
        is_traced.then_some(Segment { payload, ..segment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a filter for port 7272 lets a frame of Ethernet through.
    fn passes(ethertype: u16, rest: &[u8]) -> bool {
        let dead = Handle::dead(Linktype::ETHERNET).unwrap();
        let program = dead.compile(&filter(&"7272,8000-8010".parse().unwrap()), true).unwrap();
        program.filter(&[&[0; 12], &ethertype.to_be_bytes()[..], rest].concat())
    }

    fn ipv4(fragment: u16, port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet.extend([40_000_u16.to_be_bytes(), port.to_be_bytes()].concat());
        packet.resize(40, 0);
        packet
    }

    fn ipv6(next_header: u8, port: u16) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 20, next_header, 64];
        packet.resize(40, 0);
        packet.extend([port.to_be_bytes(), 40_000_u16.to_be_bytes()].concat());
        packet.resize(60, 0);
        packet
    }

    #[test]
    fn the_filter_passes_the_ports_and_what_it_cannot_look_into() {
        assert!(passes(0x0800, &ipv4(0, 7272)) && passes(0x86dd, &ipv6(6, 8010)));
        assert!(!passes(0x0800, &ipv4(0, 7273)) && !passes(0x86dd, &ipv6(6, 8011)));
        assert!(passes(0x0800, &ipv4(0xb9, 1)), "a later fragment");
        for extension in [0, 43, 44, 51, 60] {
            assert!(passes(0x86dd, &ipv6(extension, 1)), "extension header {extension}");
        }
        assert!(passes(0x8100, &[0; 60]), "a second VLAN tag");
        assert!(!passes(0x0806, &[0; 60]), "ARP");
    }

    #[test]
    fn the_filter_fits_every_link_type() {
        for number in [0, 1, 12, 113, 276] {
            let dead = Handle::dead(Linktype(number)).unwrap();
            assert!(dead.compile(&filter(&"7272".parse().unwrap()), true).is_ok(), "{number}");
        }
    }

    #[test]
    fn the_count_of_drops_wraps_around() {
        let mut dropped = Dropped::default();
        for now in [5, 5, u32::MAX, 3] {
            dropped.update(now);
        }
        assert_eq!(dropped.all, (1 << 32) + 3);
    }
}
