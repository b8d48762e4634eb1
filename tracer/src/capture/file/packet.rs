//! A captured packet, and the TCP segment in it.

use tracer_common::packet::{self, Packet, Skip};

use super::LinkType;
use crate::segment::{Endpoint, Nanos, Segment};

/// The most that one segment can carry: the largest window (RFC 7323 section 2.3). More is a lie
/// about the packet's length, which sequence numbers could not express.
const MAX_PAYLOAD: u32 = 1 << 30;

/// A packet as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawPacket<'a> {
    /// When it was captured, since 1970. A simple packet block has no time: it gets that of the
    /// packet before it.
    pub time: Nanos,
    /// Which of the file's interfaces it was captured on, numbered from 0 in each section. Files
    /// put one behind the other thus keep one interface's number.
    pub interface: u32,
    /// What `bytes` begin with.
    pub link_type: LinkType,
    /// What was captured.
    pub bytes: &'a [u8],
    /// Length on the wire, from the link header on. At least that of `bytes`.
    pub wire_len: u32,
}

impl Packet for RawPacket<'_> {
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.bytes.get(offset as usize..)?.first_chunk().copied()
    }

    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        let (words, _) = self.bytes.get(offset as usize..)?.as_chunks();
        words.first_chunk().map(|words| words.map(u32::from_ne_bytes))
    }

    fn wire_len(&self) -> u32 {
        self.wire_len
    }
}

impl<'a> RawPacket<'a> {
    /// The TCP segment in the packet, or why there is none. Options and payload are cut to what was
    /// captured; `payload_len` is not.
    pub fn segment(&self) -> Result<Segment<'a>, Skip> {
        let (ethertype, offset) = self.link_type.network(self)?;
        let ip = packet::ip(self, ethertype, offset)?;
        let tcp = packet::tcp(self, &ip)?;
        if tcp.payload_len > MAX_PAYLOAD {
            return Err(Skip::Malformed);
        }
        Ok(Segment {
            time: self.time,
            interface: self.link_type.interface(self).unwrap_or(self.interface),
            source: Endpoint { address: ip.source.octets(), port: tcp.source_port },
            destination: Endpoint { address: ip.destination.octets(), port: tcp.destination_port },
            seq: tcp.seq,
            ack: tcp.ack,
            window: tcp.window,
            flags: tcp.flags,
            options: self.captured(tcp.options_offset, tcp.options_len),
            payload_len: tcp.payload_len,
            offset: 0,
            payload: self.captured(tcp.options_offset + tcp.options_len, tcp.payload_len),
            more: false,
            left_out: 0,
            elided: 0,
            frame_at: None,
        })
    }

    /// What was captured of `len` bytes at `offset`.
    fn captured(&self, offset: u32, len: u32) -> &'a [u8] {
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        rest.get(..len as usize).unwrap_or(rest)
    }
}
