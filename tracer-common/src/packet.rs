//! From a link-layer frame to a TCP segment's header fields.
//!
//! One parser for both sides: the classifier runs it over a socket buffer, the capture file reader
//! over a slice. It only loads fixed-size pieces at computed offsets, which is what the verifier
//! can follow, and it trusts nothing that it has not loaded.

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Length of an Ethernet header without tags.
pub const ETHERNET_HEADER_LEN: u32 = 14;

/// Tags in one frame: QinQ has two; some providers stack a third.
const MAX_VLAN_TAGS: usize = 4;
/// IPv6 extension headers before TCP. RFC 8200 section 4.1 wants each kind at most once (and
/// destination options twice): hop-by-hop, destination, routing, fragment, AH, destination.
const MAX_EXTENSION_HEADERS: usize = 6;

const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_HOP_BY_HOP: u8 = 0;
const PROTOCOL_ROUTING: u8 = 43;
const PROTOCOL_FRAGMENT: u8 = 44;
const PROTOCOL_AUTHENTICATION: u8 = 51;
const PROTOCOL_DESTINATION: u8 = 60;

/// The TCP flags (RFC 9293 section 3.1, RFC 3168, RFC 9768 for `AE`).
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u16 = 1;
    /// Synchronize sequence numbers.
    pub const SYN: u16 = 1 << 1;
    /// Reset the connection.
    pub const RST: u16 = 1 << 2;
    /// Push.
    pub const PSH: u16 = 1 << 3;
    /// The acknowledgment number is valid.
    pub const ACK: u16 = 1 << 4;
    /// The urgent pointer is valid.
    pub const URG: u16 = 1 << 5;
    /// ECN echo.
    pub const ECE: u16 = 1 << 6;
    /// Congestion window reduced.
    pub const CWR: u16 = 1 << 7;
    /// Accurate ECN, once the nonce sum.
    pub const AE: u16 = 1 << 8;
}

/// A packet that can be read piecewise.
pub trait Packet {
    /// The `N` bytes at `offset`, or `None` when the packet (or what was captured of it) ends
    /// before.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;
    /// Likewise `N` words of four bytes, in the packet's byte order. Headers are read this way,
    /// because one load of a word costs the classifier less than four of bytes.
    #[inline(always)]
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        let mut words = [0; N];
        for (word, n) in words.iter_mut().zip(0..) {
            *word = u32::from_ne_bytes(self.load(offset.checked_add(n * 4)?)?);
        }
        Some(words)
    }
    /// Length of the whole packet on the wire, from offset 0.
    fn wire_len(&self) -> u32;
}

/// Why a packet is not a TCP segment that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Another protocol.
    NotTcp,
    /// A fragment after the first, which carries no TCP header.
    Fragment,
    /// Headers that contradict themselves or end too early.
    Malformed,
}

/// An IPv6 address as packets have it; IPv4 as an IPv4-mapped one (RFC 4291 section 2.5.5.2).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Address([u32; 4]);

impl Address {
    /// An IPv4 address as packets have it.
    #[inline(always)]
    const fn mapped(ipv4: u32) -> Self {
        Self([0, 0, 0xffff_u32.to_be(), ipv4])
    }

    /// Its last four bytes: all of an IPv4 address.
    #[inline(always)]
    pub(crate) const fn last_word(self) -> u32 {
        self.0[3]
    }

    /// The address's bytes.
    pub fn octets(self) -> [u8; 16] {
        let words = self.0.map(u32::to_ne_bytes);
        core::array::from_fn(|i| words[i / 4][i % 4])
    }
}

impl From<[u8; 16]> for Address {
    fn from(octets: [u8; 16]) -> Self {
        Self(core::array::from_fn(|i| {
            u32::from_ne_bytes(core::array::from_fn(|k| octets[i * 4 + k]))
        }))
    }
}

/// The IP layer of a packet that carries TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Where the TCP header begins in the packet.
    pub tcp_offset: u32,
    /// Length of TCP header and payload together.
    pub tcp_len: u32,
}

/// The TCP header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// The nine flags, see [`flags`].
    pub flags: u16,
    /// The window field, not scaled.
    pub window: u16,
    /// Where the options begin in the packet; the payload follows them.
    pub options_offset: u32,
    /// Length of the options, at most 40.
    pub options_len: u32,
    /// Length of the payload on the wire.
    pub payload_len: u32,
}

/// Whether `ethertype` announces a VLAN tag: 802.1Q, 802.1ad, and QinQ as it was before 802.1ad.
#[inline(always)]
pub const fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// Reads the EtherType of an Ethernet frame, past any VLAN tags: the type and where the network
/// header begins. `offset` is that of the first EtherType field (12 in an Ethernet frame).
#[inline(always)]
pub fn ethertype<P: Packet>(packet: &P, mut offset: u32) -> Result<(u16, u32), Skip> {
    for _ in 0..=MAX_VLAN_TAGS {
        let found = u16::from_be_bytes(packet.load(offset).ok_or(Skip::Malformed)?);
        offset += 2;
        if !is_vlan(found) {
            return Ok((found, offset));
        }
        offset += 2; // the tag control information
    }
    Err(Skip::Malformed)
}

/// Reads the IP header at `offset`, extension headers included.
#[inline(always)]
pub fn ip<P: Packet>(packet: &P, ethertype: u16, offset: u32) -> Result<Ip, Skip> {
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(packet, offset),
        ETHERTYPE_IPV6 => ipv6(packet, offset),
        _ => Err(Skip::NotTcp),
    }
}

/// Reads an IPv4 header (RFC 791 section 3.1), options skipped.
#[inline(always)]
fn ipv4<P: Packet>(packet: &P, offset: u32) -> Result<Ip, Skip> {
    let header: [u32; 5] = packet.words(offset).ok_or(Skip::Malformed)?;
    let [first, fragment, protocol, ..] = header.map(u32::from_be);
    let header_len = (first >> 24 & 0x0f) * 4;
    if first >> 28 != 4 || header_len < 20 {
        return Err(Skip::Malformed);
    }
    if (protocol >> 16) as u8 != PROTOCOL_TCP {
        return Err(Skip::NotTcp);
    }
    if fragment & 0x1fff != 0 {
        return Err(Skip::Fragment);
    }
    let left = packet.wire_len().saturating_sub(offset);
    let total = match first & 0xffff {
        // BIG TCP, and segmentation offload before that: the length does not fit the field
        // (kernel commit b1a78b9b9886, "net: add support for ipv4 big tcp").
        0 => left,
        // Not `left` itself: a short Ethernet frame carries padding.
        total => total.min(left),
    };
    Ok(Ip {
        source: Address::mapped(header[3]),
        destination: Address::mapped(header[4]),
        tcp_offset: offset + header_len,
        tcp_len: total.checked_sub(header_len).ok_or(Skip::Malformed)?,
    })
}

/// Reads an IPv6 header and its extension headers (RFC 8200 sections 3 and 4).
#[inline(always)]
fn ipv6<P: Packet>(packet: &P, offset: u32) -> Result<Ip, Skip> {
    let header: [u32; 10] = packet.words(offset).ok_or(Skip::Malformed)?;
    let [version, length, ref addresses @ ..] = header;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = *addresses;
    let length = u32::from_be(length);
    if u32::from_be(version) >> 28 != 6 {
        return Err(Skip::Malformed);
    }
    let first = offset + 40;
    let left = packet.wire_len().checked_sub(first).ok_or(Skip::Malformed)?;
    let payload = match length >> 16 {
        // A jumbogram (RFC 2675), which is how BIG TCP looks in IPv6.
        0 => left,
        payload => payload.min(left),
    };
    let tcp_offset = skip_extension_headers(packet, (length >> 8) as u8, first)?;
    Ok(Ip {
        source: Address([s0, s1, s2, s3]),
        destination: Address([d0, d1, d2, d3]),
        tcp_offset,
        tcp_len: (first + payload).checked_sub(tcp_offset).ok_or(Skip::Malformed)?,
    })
}

/// Where the TCP header begins, given the first `next_header` and where what it names begins.
#[inline(always)]
fn skip_extension_headers<P: Packet>(
    packet: &P,
    mut next_header: u8,
    mut offset: u32,
) -> Result<u32, Skip> {
    for _ in 0..=MAX_EXTENSION_HEADERS {
        if next_header == PROTOCOL_TCP {
            return Ok(offset);
        }
        if !is_extension_header(next_header) {
            return Err(Skip::NotTcp);
        }
        let [next, len, high, low] = packet.load(offset).ok_or(Skip::Malformed)?;
        offset += match next_header {
            PROTOCOL_FRAGMENT if u16::from_be_bytes([high, low]) & 0xfff8 != 0 => {
                return Err(Skip::Fragment);
            }
            PROTOCOL_FRAGMENT => 8,
            // RFC 4302 section 2.2: in 4-byte units, minus 2.
            PROTOCOL_AUTHENTICATION => (u32::from(len) + 2) * 4,
            // RFC 8200 section 4.2: in 8-byte units, not counting the first.
            _ => (u32::from(len) + 1) * 8,
        };
        next_header = next;
    }
    Err(Skip::Malformed)
}

#[inline(always)]
const fn is_extension_header(protocol: u8) -> bool {
    matches!(
        protocol,
        PROTOCOL_HOP_BY_HOP
            | PROTOCOL_ROUTING
            | PROTOCOL_FRAGMENT
            | PROTOCOL_AUTHENTICATION
            | PROTOCOL_DESTINATION
    )
}

/// Reads the TCP header (RFC 9293 section 3.1).
#[inline(always)]
pub fn tcp<P: Packet>(packet: &P, ip: &Ip) -> Result<Tcp, Skip> {
    let header: [u32; 5] = packet.words(ip.tcp_offset).ok_or(Skip::Malformed)?;
    let [ports, seq, ack, fourth, _] = header.map(u32::from_be);
    let header_len = (fourth >> 28) * 4;
    if header_len < 20 {
        return Err(Skip::Malformed);
    }
    Ok(Tcp {
        source_port: (ports >> 16) as u16,
        destination_port: ports as u16,
        seq,
        ack,
        flags: (fourth >> 16) as u16 & 0x1ff,
        window: fourth as u16,
        options_offset: ip.tcp_offset + 20,
        options_len: header_len - 20,
        payload_len: ip.tcp_len.checked_sub(header_len).ok_or(Skip::Malformed)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A captured packet: its bytes, and how long it was on the wire.
    struct Slice {
        bytes: Vec<u8>,
        wire_len: u32,
    }

    impl Packet for Slice {
        fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
            self.bytes.get(offset as usize..)?.first_chunk().copied()
        }
        fn wire_len(&self) -> u32 {
            self.wire_len
        }
    }

    fn whole(bytes: Vec<u8>) -> Slice {
        let wire_len = bytes.len() as u32;
        Slice { bytes, wire_len }
    }

    fn tcp_header(options: &[u8]) -> Vec<u8> {
        assert_eq!(options.len() % 4, 0);
        let data_offset = (5 + options.len() / 4) as u8;
        let mut header = vec![0x1c, 0x68, 0xec, 0xed];
        header.extend([0, 0, 0, 7, 0, 0, 0, 9, data_offset << 4 | 1, 0x18, 1, 0, 0, 0, 0, 0]);
        header.extend(options);
        header
    }

    fn ipv4_packet(options: &[u8], protocol: u8, fragment: u16, tcp: &[u8]) -> Vec<u8> {
        let header_len = 20 + options.len();
        let mut packet = vec![0x40 | (header_len / 4) as u8, 0];
        packet.extend(((header_len + tcp.len()) as u16).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(options);
        packet.extend(tcp);
        packet
    }

    fn ipv6_packet(next_header: u8, rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((rest.len() as u16).to_be_bytes());
        packet.extend([next_header, 64]);
        packet.extend([0xfd; 16]);
        packet.extend([0xfe; 16]);
        packet.extend(rest);
        packet
    }

    fn parse(packet: &Slice, ethertype: u16) -> Result<Tcp, Skip> {
        tcp(packet, &ip(packet, ethertype, 0)?)
    }

    #[test]
    fn ipv4_fields() {
        let packet =
            whole(ipv4_packet(&[], 6, 0x4000, &[tcp_header(&[]), b"abc".to_vec()].concat()));
        let ip = ip(&packet, ETHERTYPE_IPV4, 0).unwrap();
        assert_eq!(ip.source.octets(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]);
        assert_eq!(ip.destination.octets(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 2]);
        let expected = Tcp {
            source_port: 7272,
            destination_port: 60653,
            seq: 7,
            ack: 9,
            flags: flags::AE | flags::ACK | flags::PSH,
            window: 256,
            options_offset: 40,
            options_len: 0,
            payload_len: 3,
        };
        assert_eq!(tcp(&packet, &ip), Ok(expected));
    }

    #[test]
    fn ipv4_options_and_tcp_options_move_what_follows() {
        let tcp = [tcp_header(&[1; 12]), b"abcd".to_vec()].concat();
        let packet = whole(ipv4_packet(&[1; 40], 6, 0, &tcp));
        let tcp = parse(&packet, ETHERTYPE_IPV4).unwrap();
        assert_eq!((tcp.options_offset, tcp.options_len, tcp.payload_len), (80, 12, 4));
    }

    #[test]
    fn ethernet_padding_is_not_payload() {
        let mut bytes = ipv4_packet(&[], 6, 0, &tcp_header(&[]));
        bytes.extend([0; 6]);
        assert_eq!(parse(&whole(bytes), ETHERTYPE_IPV4).unwrap().payload_len, 0);
    }

    #[test]
    fn big_tcp_has_no_ipv4_total_length() {
        let mut bytes = ipv4_packet(&[], 6, 0, &[tcp_header(&[]), vec![0; 70_000]].concat());
        bytes[2..4].fill(0);
        assert_eq!(parse(&whole(bytes), ETHERTYPE_IPV4).unwrap().payload_len, 70_000);
    }

    #[test]
    fn big_tcp_is_a_jumbogram_in_ipv6() {
        let jumbo = [6, 0, 0xc2, 4, 0, 1, 0x11, 0x70 + 20 + 8];
        let rest = [jumbo.to_vec(), tcp_header(&[]), vec![0; 70_000]].concat();
        let mut bytes = ipv6_packet(0, &rest);
        bytes[4..6].fill(0);
        assert_eq!(parse(&whole(bytes), ETHERTYPE_IPV6).unwrap().payload_len, 70_000);
    }

    #[test]
    fn a_snapped_packet_keeps_its_length_on_the_wire() {
        let bytes = ipv4_packet(&[], 6, 0, &[tcp_header(&[]), vec![0; 1000]].concat());
        let snapped = Slice { bytes: bytes[..60].to_vec(), wire_len: bytes.len() as u32 };
        assert_eq!(parse(&snapped, ETHERTYPE_IPV4).unwrap().payload_len, 1000);
    }

    #[test]
    fn ipv6_extension_headers_are_skipped() {
        let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
        let destination = [43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let routing = [51, 0, 0, 0, 0, 0, 0, 0];
        let authentication = [44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let first_fragment = [6, 0, 0, 1, 0, 0, 0, 1];
        let rest = [
            &hop_by_hop[..],
            &destination,
            &routing,
            &authentication,
            &first_fragment,
            &tcp_header(&[]),
            b"xy",
        ]
        .concat();
        let tcp = parse(&whole(ipv6_packet(0, &rest)), ETHERTYPE_IPV6).unwrap();
        assert_eq!((tcp.options_offset, tcp.payload_len), (40 + 52 + 20, 2));
    }

    #[test]
    fn later_fragments_are_told_apart() {
        let v4 = whole(ipv4_packet(&[], 6, 0x00b9, &[0; 64]));
        assert_eq!(parse(&v4, ETHERTYPE_IPV4), Err(Skip::Fragment));
        let v6 = whole(ipv6_packet(44, &[6, 0, 5, 0xa8, 0, 0, 0, 1, 0, 0, 0, 0]));
        assert_eq!(parse(&v6, ETHERTYPE_IPV6), Err(Skip::Fragment));
    }

    #[test]
    fn other_protocols_are_not_tcp() {
        let udp = whole(ipv4_packet(&[], 17, 0, &[0; 8]));
        assert_eq!(parse(&udp, ETHERTYPE_IPV4), Err(Skip::NotTcp));
        let icmp = whole(ipv6_packet(58, &[0; 8]));
        assert_eq!(parse(&icmp, ETHERTYPE_IPV6), Err(Skip::NotTcp));
        assert_eq!(parse(&udp, 0x0806), Err(Skip::NotTcp));
    }

    #[test]
    fn contradictions_are_malformed() {
        let good = ipv4_packet(&[], 6, 0, &tcp_header(&[]));
        type Harm<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));
        let broken: [Harm<'_>; 6] = [
            ("version", &|p| p[0] = 0x65),
            ("header length", &|p| p[0] = 0x44),
            ("total length below the header's", &|p| p[3] = 19),
            ("total length cuts the TCP header", &|p| p[3] = 39),
            ("data offset", &|p| p[32] = 0x40),
            ("captured bytes end in the TCP header", &|p| p.truncate(39)),
        ];
        for (what, harm) in broken {
            let mut bytes = good.clone();
            harm(&mut bytes);
            assert_eq!(parse(&whole(bytes), ETHERTYPE_IPV4), Err(Skip::Malformed), "{what}");
        }
        let endless = [0u8, 0, 0, 0, 0, 0, 0, 0].repeat(9);
        assert_eq!(parse(&whole(ipv6_packet(0, &endless)), ETHERTYPE_IPV6), Err(Skip::Malformed));
    }

    #[test]
    fn vlan_tags_are_skipped() {
        let mut frame = vec![0; 12];
        frame.extend([0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 0x86, 0xdd]);
        assert_eq!(ethertype(&whole(frame), 12), Ok((ETHERTYPE_IPV6, 22)));
        let endless = [0x81, 0].repeat(32);
        assert_eq!(ethertype(&whole(endless), 12), Err(Skip::Malformed));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        // A small deterministic generator: enough to reach every branch with hostile lengths.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..200_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let len = (state >> 56) as usize;
            let mut bytes: Vec<u8> = (0..len).map(|i| (state >> (i % 8 * 8)) as u8).collect();
            if let Some(first) = bytes.first_mut() {
                *first = if state & 1 == 0 { 0x45 } else { 0x60 };
            }
            let packet = Slice { bytes, wire_len: (state >> 40) as u32 & 0xffff };
            for ethertype in [ETHERTYPE_IPV4, ETHERTYPE_IPV6] {
                if let Ok(tcp) = parse(&packet, ethertype) {
                    assert!(tcp.payload_len <= packet.wire_len);
                }
            }
        }
    }
}
