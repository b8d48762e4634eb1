//! Link types: from a captured frame to where its IP header begins.
//!
//! Numbers and headers are those of <https://www.tcpdump.org/linktypes.html>.

use tracer_common::packet::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Packet, Skip};

/// What precedes the IP header in each packet of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkType {
    /// Ethernet; Linux's loopback, too.
    Ethernet,
    /// BSD's loopback: an address family of four bytes, in either byte order.
    Null,
    /// Nothing: IPv4 or IPv6, as its version says.
    Raw,
    /// Nothing: IPv4.
    Ipv4,
    /// Nothing: IPv6.
    Ipv6,
    /// Linux "cooked", from `tcpdump -i any` and devices without a link layer.
    LinuxSll,
    /// Linux "cooked" version 2, which names the interface.
    LinuxSll2,
}

impl LinkType {
    /// The link type with that number in a capture file, if it can be decoded.
    pub fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 | 108 => Self::Null, // 108, LOOP, is the same in network byte order
            1 => Self::Ethernet,
            // 12 and 14 are what RAW is inside BSD and OpenBSD; some programs write them to files.
            12 | 14 | 101 => Self::Raw,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }

    /// ethertype and offset of the network header.
    #[inline]
    pub(super) fn network<P: Packet>(self, packet: &P) -> Result<(u16, u32), Skip> {
        match self {
            Self::Ethernet => packet::ethertype(packet, 12),
            Self::Null => Ok((family(packet)?, 4)),
            Self::Raw => Ok((version(packet)?, 0)),
            Self::Ipv4 => Ok((ETHERTYPE_IPV4, 0)),
            Self::Ipv6 => Ok((ETHERTYPE_IPV6, 0)),
            // The protocol is the header's last field, so tags follow it as in Ethernet.
            Self::LinuxSll => packet::ethertype(packet, 14),
            Self::LinuxSll2 => cooked_v2(packet),
        }
    }

    /// The kernel's index of the interface, where the link header has one.
    pub(super) fn interface<P: Packet>(self, packet: &P) -> Option<u32> {
        match self {
            Self::LinuxSll2 => packet.load(4).map(u32::from_be_bytes),
            _ => None,
        }
    }
}

/// The ethertype that BSD's address family stands for. `AF_INET6` is 10 on Linux, 24 on NetBSD and
/// OpenBSD, 28 on FreeBSD, 30 on macOS.
fn family<P: Packet>(packet: &P) -> Result<u16, Skip> {
    let family = u32::from_le_bytes(packet.load(0).ok_or(Skip::Malformed)?);
    // Families are small numbers: a large one is in the other byte order.
    match if family > 0xffff { family.swap_bytes() } else { family } {
        2 => Ok(ETHERTYPE_IPV4),
        10 | 24 | 28 | 30 => Ok(ETHERTYPE_IPV6),
        _ => Err(Skip::NotTcp),
    }
}

/// The ethertype that an IP header's version stands for.
fn version<P: Packet>(packet: &P) -> Result<u16, Skip> {
    let [first] = packet.load(0).ok_or(Skip::Malformed)?;
    match first >> 4 {
        4 => Ok(ETHERTYPE_IPV4),
        6 => Ok(ETHERTYPE_IPV6),
        _ => Err(Skip::Malformed),
    }
}

/// Version 2 begins with the protocol and is 20 bytes long. What follows a VLAN's protocol is the
/// rest of its tag, then the next ethertype.
fn cooked_v2<P: Packet>(packet: &P) -> Result<(u16, u32), Skip> {
    let protocol = u16::from_be_bytes(packet.load(0).ok_or(Skip::Malformed)?);
    if packet::is_vlan(protocol) {
        return packet::ethertype(packet, 22);
    }
    Ok((protocol, 20))
}

/// What people call a link type that cannot be decoded.
pub(super) fn unsupported_name(number: u32) -> Option<&'static str> {
    Some(match number {
        9 | 50 => "PPP",
        51 => "PPPoE",
        105 => "IEEE 802.11",
        119 => "IEEE 802.11 with a Prism header",
        127 => "IEEE 802.11 with radiotap",
        163 => "IEEE 802.11 with an AVS header",
        187 | 201 => "Bluetooth",
        189 | 220 => "Linux USB",
        239 => "Netfilter log",
        249 => "USBPcap",
        252 => "exported PDUs",
        253 => "Linux netlink",
        258 => "macOS pktap",
        _ => return None,
    })
}
