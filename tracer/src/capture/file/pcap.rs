//! The pcap format (draft-ietf-opsawg-pcap): one header that holds for the file, then packets.

use std::io::Read;

use pcap_parser::{PcapHeader, pcap::parse_pcap_header};

use super::{
    FileError, LinkType, Record,
    input::{Input, Order},
};
use crate::segment::SECOND;

const HEADER_LEN: usize = 24;
/// Magic of the "modified" format of Linux distributions before 2000, which only little-endian
/// machines wrote: each packet's header is 8 bytes longer.
const MODIFIED: [u8; 4] = [0x34, 0xcd, 0xb2, 0xa1];
const FILE_HEADER: &str = "file header";
const PACKET: &str = "packet";

/// What the file header says.
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds in a unit of the time stamps' second part.
    unit: u64,
    /// Length of the header before each packet.
    record_header_len: usize,
    link_type: LinkType,
}

impl Pcap {
    /// Whether a file that begins with `magic` is a pcap file.
    pub(super) fn recognizes(magic: [u8; 4]) -> bool {
        matches!(
            magic,
            [0xd4, 0xc3, 0xb2, 0xa1] // microseconds
                | [0xa1, 0xb2, 0xc3, 0xd4]
                | [0x4d, 0x3c, 0xb2, 0xa1] // nanoseconds
                | [0xa1, 0xb2, 0x3c, 0x4d]
                | MODIFIED
        )
    }

    /// Reads the file header.
    pub(super) fn open<R: Read>(input: &mut Input<R>) -> Result<Self, FileError> {
        let taken = input.take(HEADER_LEN, FILE_HEADER)?;
        let (_, header) = parse_pcap_header(input.bytes(taken))
            .map_err(|_| FileError::Broken { what: "its header makes no sense", at: 0 })?;
        Self::new(&header)
    }

    fn new(header: &PcapHeader) -> Result<Self, FileError> {
        // Above the type are bits about the frame check sequence (`LT_LINKTYPE` in libpcap).
        let number = header.network.0.cast_unsigned() & 0x03ff_ffff;
        Ok(Self {
            order: if header.is_bigendian() { Order::Big } else { Order::Little },
            unit: if header.is_nanosecond_precision() { 1 } else { 1000 },
            record_header_len: if header.is_modified_format() { 24 } else { 16 },
            link_type: LinkType::from_number(number).ok_or(FileError::LinkType(number))?,
        })
    }

    /// Reads the next packet.
    #[inline]
    pub(super) fn next<R: Read>(&self, input: &mut Input<R>) -> Result<Option<Record>, FileError> {
        if input.peek(1)?.is_empty() {
            return Ok(None);
        }
        let at = input.at();
        let header = input.need(self.record_header_len, PACKET)?;
        let [seconds, fraction, captured, wire_len] = self
            .order
            .words(header)
            .ok_or(FileError::Broken { what: "a packet's header is too short", at })?;
        let bytes = input.take(self.record_header_len.saturating_add(captured as usize), PACKET)?;
        Ok(Some(Record {
            // Cannot overflow: both are 32 bits, and SECOND has 30.
            time: u64::from(seconds) * SECOND + u64::from(fraction) * self.unit,
            interface: 0,
            link_type: self.link_type,
            bytes: bytes.start + self.record_header_len..bytes.end,
            wire_len,
        }))
    }
}
