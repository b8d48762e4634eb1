//! Capture files: the bytes of a pcap or pcapng file come in, from any reader, packets and their
//! TCP segments go out. Memory is bounded, whatever the file says.

mod error;
mod input;
mod link;
mod packet;
mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;
mod time;

use std::{io::Read, ops::Range};

pub use self::{
    error::{FileError, Found},
    link::LinkType,
    packet::RawPacket,
};
use self::{
    input::{Input, WINDOW},
    pcap::Pcap,
    pcapng::PcapNg,
};
use crate::segment::Nanos;

/// Reads a capture file, packet by packet.
pub struct Reader<R> {
    input: Input<R>,
    format: Format,
    /// A packet was delivered.
    delivered: bool,
    /// Nothing follows: the file's end, or a fault.
    ended: bool,
}

enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// A packet in the input's window.
struct Record {
    time: Nanos,
    interface: u32,
    link_type: LinkType,
    bytes: Range<usize>,
    wire_len: u32,
}

/// Packets left out because their link type cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The first such packet's link type.
    pub link_type: u32,
    /// How many there were.
    pub packets: u64,
}

impl Unsupported {
    fn count(counted: &mut Option<Self>, link_type: u32) {
        counted.get_or_insert(Self { link_type, packets: 0 }).packets += 1;
    }
}

impl<R: Read> Reader<R> {
    /// Reads the file's header. `input` need not be buffered.
    pub fn new(input: R) -> Result<Self, FileError> {
        Self::with_window(input, WINDOW)
    }

    fn with_window(input: R, window: usize) -> Result<Self, FileError> {
        let mut input = Input::new(input, window);
        let format = Format::open(&mut input)?;
        Ok(Self { input, format, delivered: false, ended: false })
    }

    /// The next packet whose link type can be decoded; `None` at the file's end, and always after
    /// an error.
    pub fn next_packet(&mut self) -> Result<Option<RawPacket<'_>>, FileError> {
        if self.ended {
            return Ok(None);
        }
        // Until the record turns out to be one: an error, too, is the end.
        self.ended = true;
        let Some(record) = self.format.next(&mut self.input)? else {
            return self.check_end();
        };
        self.ended = false;
        self.delivered = true;
        let Record { time, interface, link_type, bytes, wire_len } = record;
        let bytes = self.input.bytes(bytes);
        // Some writers get it wrong; a packet is not shorter than what was captured of it.
        let wire_len = wire_len.max(bytes.len() as u32);
        Ok(Some(RawPacket { time, interface, link_type, bytes, wire_len }))
    }

    /// Packets left out so far.
    pub fn unsupported(&self) -> Option<Unsupported> {
        match &self.format {
            // One link type holds for the file, and `new` has refused those that cannot be decoded.
            Format::Pcap(_) => None,
            Format::PcapNg(pcapng) => pcapng.unsupported,
        }
    }

    fn check_end(&self) -> Result<Option<RawPacket<'_>>, FileError> {
        match self.unsupported() {
            Some(unsupported) if !self.delivered => Err(FileError::LinkType(unsupported.link_type)),
            _ => Ok(None),
        }
    }
}

impl Format {
    fn open<R: Read>(input: &mut Input<R>) -> Result<Self, FileError> {
        let start = input.peek(8)?;
        match start.first_chunk() {
            Some(&magic) if Pcap::recognizes(magic) => Pcap::open(input).map(Self::Pcap),
            Some(&PcapNg::MAGIC) => Ok(Self::PcapNg(PcapNg::new())),
            _ => Err(FileError::NotACapture(Found::from_start(start))),
        }
    }

    fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Record>, FileError> {
        match self {
            Self::Pcap(pcap) => pcap.next(input),
            Self::PcapNg(pcapng) => pcapng.next(input),
        }
    }
}

impl Found {
    /// Tells a file by its first bytes.
    fn from_start(start: &[u8]) -> Self {
        match start {
            [] => Self::Nothing,
            [0x1f, 0x8b, ..] => Self::Compressed("gzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Compressed("zstd"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Self::Compressed("xz"),
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Compressed("lz4"),
            [b'B', b'Z', b'h', ..] => Self::Compressed("bzip2"),
            _ => Self::Unknown,
        }
    }
}
