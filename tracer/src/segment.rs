//! A TCP segment as every capture source yields it, and the flow that it belongs to.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
};

/// A point in time, in nanoseconds. Live: `CLOCK_MONOTONIC`, which never jumps; from a file: the
/// file's time stamps. Only differences mean something to the decoder.
pub type Nanos = u64;

/// Nanoseconds in a second.
pub const SECOND: Nanos = 1_000_000_000;

/// One side of a flow. IPv4 addresses are IPv4-mapped IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address's 16 bytes.
    pub address: [u8; 16],
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// The same as a standard socket address: IPv4-mapped addresses become IPv4 again.
    pub fn socket_addr(self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.address).to_canonical(), self.port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        let address = match addr {
            SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
            SocketAddr::V6(v6) => *v6.ip(),
        };
        Self { address: address.octets(), port: addr.port() }
    }
}

impl fmt::Display for Endpoint {
    /// `10.0.0.1:7272`, `[::1]:7272`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(f)
    }
}

/// A captured TCP segment, or one part of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// When it was captured.
    pub time: Nanos,
    /// Index of the interface it was captured on: the kernel's, or the capture file's.
    pub interface: u32,
    /// Who sent it.
    pub source: Endpoint,
    /// Whom it is for.
    pub destination: Endpoint,
    /// Sequence number of the whole segment's first byte.
    pub seq: u32,
    /// Acknowledgment number; means something where `flags` has `ACK`.
    pub ack: u32,
    /// The window field, not scaled.
    pub window: u16,
    /// The nine TCP flags, [`tracer_common::packet::flags`].
    pub flags: u16,
    /// TCP options as on the wire; empty in every part but the first.
    pub options: &'a [u8],
    /// Payload bytes of the whole segment on the wire.
    pub payload_len: u32,
    /// Where in the segment's payload `payload` begins.
    pub offset: u32,
    /// The captured payload, or this part's stretch of it.
    pub payload: &'a [u8],
    /// Whether another part of the same segment follows.
    pub more: bool,
    /// Payload bytes of this direction that the capture left out since the last segment it gave, as
    /// it was told ([`Interest::Nothing`]). This segment's own are among them, and it has none then.
    pub left_out: u32,
    /// Payload bytes right behind `payload` that the capture left out, as it was told, because it
    /// follows the frames ([`Interest::Headers`]), or a body ([`Interest::Behind`]). `payload_len`
    /// counts them.
    pub elided: u32,
    /// The capture follows the frames, and can leave out of them ([`Interest::Headers`]) if it is
    /// right: the latest whose header is there began at this sequence number.
    pub frame_at: Option<u32>,
}

/// What more of a segment's direction is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// It is decoded, as far as it comes.
    Payload,
    /// The capture follows its frames rightly ([`Segment::frame_at`]): of what comes, only the
    /// headers and what is shown are of use.
    Headers,
    /// Nothing before this sequence number, and all that is behind: it is the rest of a body.
    Behind(u32),
    /// All of it again: where its frames are is not known any more.
    Everything,
    /// Nothing: it is no WebSocket. SYN, FIN and RST still count, and how much there was.
    Nothing,
}

impl Segment<'_> {
    /// Whether all of `flags` are set.
    pub fn has(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// Sequence number of `payload`'s first byte.
    pub fn payload_seq(&self) -> u32 {
        use tracer_common::packet::flags::SYN;
        // SYN takes the first sequence number (RFC 9293 section 3.4).
        self.seq.wrapping_add(u32::from(self.has(SYN))).wrapping_add(self.offset)
    }

    /// Payload bytes right behind `payload` that were on the wire but not captured: elided, or else
    /// snapped off.
    pub fn absent(&self) -> u32 {
        if self.more || self.elided > 0 {
            return self.elided;
        }
        if self.left_out > 0 {
            return 0;
        }
        let captured = self.offset.saturating_add(self.payload.len() as u32);
        self.payload_len.saturating_sub(captured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_print_as_people_write_them() {
        let v4: SocketAddr = "10.0.0.1:7272".parse().unwrap();
        let v6: SocketAddr = "[::1]:7272".parse().unwrap();
        assert_eq!(Endpoint::from(v4).to_string(), "10.0.0.1:7272");
        assert_eq!(Endpoint::from(v6).to_string(), "[::1]:7272");
    }
}
