//! The frame header (RFC 6455 section 5.2).

use std::fmt;

/// The longest header: 2 bytes, a 64-bit length, a masking key.
pub const MAX_HEADER_LEN: usize = 14;
/// The longest payload of a control frame (RFC 6455 section 5.5).
pub const MAX_CONTROL_LEN: u64 = 125;

/// What a frame is for: the four bits of the header, whatever they say.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Opcode(pub u8);

impl Opcode {
    /// Goes on with a fragmented message.
    pub const CONTINUATION: Self = Self(0);
    /// Begins a text message.
    pub const TEXT: Self = Self(1);
    /// Begins a binary message.
    pub const BINARY: Self = Self(2);
    /// Ends the connection.
    pub const CLOSE: Self = Self(8);
    /// Asks for a pong.
    pub const PING: Self = Self(9);
    /// Answers a ping, or comes unasked.
    pub const PONG: Self = Self(10);

    /// Whether it is a control frame's, defined or reserved.
    pub fn is_control(self) -> bool {
        self.0 & 8 != 0
    }

    /// Whether it is reserved for further frames: 3 to 7 and 11 to 15.
    pub fn is_reserved(self) -> bool {
        self.0 & 7 > 2
    }

    /// The name as RFC 6455 section 11.8 registers it; reserved ones as `reserved-3`.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 16] = [
            "continuation",
            "text",
            "binary",
            "reserved-3",
            "reserved-4",
            "reserved-5",
            "reserved-6",
            "reserved-7",
            "close",
            "ping",
            "pong",
            "reserved-11",
            "reserved-12",
            "reserved-13",
            "reserved-14",
            "reserved-15",
        ];
        NAMES[usize::from(self.0 & 15)]
    }
}

impl fmt::Debug for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A frame header as it was on the wire, legal or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last frame of a message.
    pub fin: bool,
    /// The reserved bits: RSV1 is 4, RSV2 is 2, RSV3 is 1.
    pub rsv: u8,
    /// What the frame is for.
    pub opcode: Opcode,
    /// The masking key, where the mask bit is set.
    pub mask: Option<[u8; 4]>,
    /// Payload length.
    pub len: u64,
    /// Length of the header itself.
    pub header_len: u8,
}

impl Header {
    /// RSV1, which permessage-deflate uses to say that a message is compressed.
    pub const RSV1: u8 = 4;

    /// Reads a header. `None` while `bytes` ends before it does; nothing is consumed then.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let (len, len_end) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        let (mask, header_len) = if second & 0x80 == 0 {
            (None, len_end)
        } else {
            (Some(*bytes.get(len_end..)?.first_chunk()?), len_end + 4)
        };
        Some(Self {
            fin: first & 0x80 != 0,
            rsv: first >> 4 & 7,
            opcode: Opcode(first & 15),
            mask,
            len,
            header_len: header_len as u8,
        })
    }

    /// How many bytes a header that begins with these two has.
    pub fn len_from(second: u8) -> usize {
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
    }

    /// Whether the length is written in the shortest of the three forms, as it must be.
    pub fn is_shortest_form(&self) -> bool {
        let written = self.header_len - if self.mask.is_some() { 4 } else { 0 };
        match written {
            2 => true,
            4 => self.len > 125,
            _ => self.len > 0xffff,
        }
    }

    /// Whether the length has its most significant bit set, which must be 0.
    pub fn is_oversized(&self) -> bool {
        self.len >> 63 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_6455_section_5_7() {
        let unmasked = Header::parse(b"\x81\x05Hello").unwrap();
        assert_eq!((unmasked.fin, unmasked.opcode, unmasked.len), (true, Opcode::TEXT, 5));
        assert_eq!((unmasked.mask, unmasked.header_len), (None, 2));
        let masked = Header::parse(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f").unwrap();
        assert_eq!((masked.mask, masked.header_len), (Some([0x37, 0xfa, 0x21, 0x3d]), 6));
        let first = Header::parse(b"\x01\x03Hel").unwrap();
        assert!(!first.fin);
        let ping = Header::parse(b"\x89\x05Hello").unwrap();
        assert_eq!((ping.opcode, ping.opcode.is_control()), (Opcode::PING, true));
        let medium = Header::parse(b"\x82\x7e\x01\x00").unwrap();
        assert_eq!((medium.len, medium.header_len), (256, 4));
        let long = Header::parse(b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00").unwrap();
        assert_eq!((long.len, long.header_len), (65536, 10));
    }

    #[test]
    fn an_incomplete_header_is_none_at_every_length() {
        for header in [&b"\x81\x05"[..], b"\x82\xfe\x01\x00abcd", b"\x82\xff\0\0\0\0\0\x01\0\0abcd"]
        {
            assert_eq!(Header::len_from(header[1]), header.len());
            for len in 0..header.len() {
                assert_eq!(Header::parse(&header[..len]), None);
            }
            assert_eq!(usize::from(Header::parse(header).unwrap().header_len), header.len());
        }
    }

    #[test]
    fn only_the_shortest_form_is_shortest() {
        let shortest = |bytes| Header::parse(bytes).unwrap().is_shortest_form();
        assert!(shortest(b"\x82\x7d"));
        assert!(!shortest(b"\x82\x7e\x00\x7d"));
        assert!(shortest(b"\x82\xfe\x00\x7eabcd"));
        assert!(!shortest(b"\x82\x7f\0\0\0\0\0\0\xff\xff"));
        assert!(shortest(b"\x82\x7f\0\0\0\0\0\x01\0\0"));
    }

    #[test]
    fn a_length_of_2_to_the_63_is_oversized() {
        let oversized = |bytes| Header::parse(bytes).unwrap().is_oversized();
        assert!(oversized(b"\x82\x7f\x80\0\0\0\0\0\0\0"));
        assert!(!oversized(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"));
    }

    #[test]
    fn reserved_opcodes() {
        for bits in 0..16 {
            let expected = matches!(bits, 3..=7 | 11..=15);
            assert_eq!(Opcode(bits).is_reserved(), expected, "{bits}");
        }
    }
}
