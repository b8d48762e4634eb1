//! The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, of which some describe
//! interfaces and some are packets.
//!
//! The blocks with options are parsed by `pcap-parser`. Packets are not: it does not know the
//! obsolete packet block, nor cuts simple packets to the interface's snapshot length, and it takes
//! whole blocks only, with an allocation for each packet that has options.

use std::io::Read;

use pcap_parser::{
    BOM_MAGIC, EPB_MAGIC, IDB_MAGIC, InterfaceDescriptionBlock, OptionCode, SHB_MAGIC, SPB_MAGIC,
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
    parse_sectionheaderblock,
};

use super::{
    FileError, LinkType, Record, Unsupported,
    input::{Input, Order},
    time::Clock,
};
use crate::segment::Nanos;

/// Type of the obsolete packet block, which files before 2010 have (draft, appendix A).
const OBSOLETE_PACKET: u32 = 2;
/// A block with nothing in it: type, length, and the length again.
const EMPTY_BLOCK_LEN: u32 = 12;
/// Enhanced and obsolete packet blocks up to the packet.
const PACKET_HEADER_LEN: u32 = 28;
/// Simple packet blocks up to the packet.
const SIMPLE_HEADER_LEN: u32 = 12;
/// The length at a block's end.
const TRAILER_LEN: u32 = 4;
/// Interfaces in a section; more would be a file made to take memory.
const MAX_INTERFACES: usize = 1 << 16;

const BLOCK: &str = "block";
const PACKET: &str = "packet";

/// What the blocks so far say.
pub(super) struct PcapNg {
    /// The section's.
    order: Order,
    /// The section's.
    interfaces: Vec<Interface>,
    /// Time of the packet before.
    time: Nanos,
    /// Packets left out.
    pub(super) unsupported: Option<Unsupported>,
}

/// An interface that packets were captured on.
struct Interface {
    /// Number of its link type.
    link_type: u32,
    /// The most captured of each packet; 0 is everything.
    snaplen: u32,
    clock: Clock,
}

/// A block's first fields.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    /// Length with these fields and the trailer.
    len: u32,
    /// Where it begins in the file.
    at: u64,
}

/// The fields of a packet block, whichever kind it is.
struct PacketFields {
    interface: u32,
    /// In the interface's units.
    stamp: Option<u64>,
    /// `None`: what the snapshot length leaves.
    captured: Option<u32>,
    wire_len: u32,
    /// Length of the block before the packet.
    header_len: u32,
}

impl PcapNg {
    /// The section header's type, which reads the same in both byte orders.
    pub(super) const MAGIC: [u8; 4] = SHB_MAGIC.to_be_bytes();

    /// The state before the first section header.
    pub(super) fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), time: 0, unsupported: None }
    }

    /// Reads up to the next packet whose link type can be decoded.
    pub(super) fn next<R: Read>(
        &mut self,
        input: &mut Input<R>,
    ) -> Result<Option<Record>, FileError> {
        while let Some(block) = self.block(input)? {
            match block.kind {
                SHB_MAGIC => self.start_section(input, block)?,
                IDB_MAGIC => self.add_interface(input, block)?,
                EPB_MAGIC | SPB_MAGIC | OBSOLETE_PACKET => {
                    if let Some(record) = self.packet(input, block)? {
                        return Ok(Some(record));
                    }
                }
                _ => self.skip(input, block)?,
            }
        }
        Ok(None)
    }

    /// Looks at the next block's first fields.
    fn block<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Block>, FileError> {
        if input.peek(1)?.is_empty() {
            return Ok(None);
        }
        let at = input.at();
        let start = input.need(EMPTY_BLOCK_LEN as usize, BLOCK)?;
        if start.starts_with(&Self::MAGIC) {
            self.order = section_order(start).ok_or(broken("a section has no byte order", at))?;
        }
        let Some([kind, len]) = self.order.words(start) else {
            return Err(broken("a block is too short", at));
        };
        if len < EMPTY_BLOCK_LEN {
            return Err(broken("a block claims to be shorter than its header", at));
        }
        Ok(Some(Block { kind, len, at }))
    }

    fn start_section<R: Read>(
        &mut self,
        input: &mut Input<R>,
        block: Block,
    ) -> Result<(), FileError> {
        let bytes = self.take(input, block, BLOCK)?;
        let (_, header) = parse_sectionheaderblock(bytes)
            .map_err(|_| broken("a section header makes no sense", block.at))?;
        if header.major_version != 1 {
            return Err(broken("its pcapng version is not 1, the only one known", block.at));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn add_interface<R: Read>(
        &mut self,
        input: &mut Input<R>,
        block: Block,
    ) -> Result<(), FileError> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(broken("a section has more interfaces than are possible", block.at));
        }
        let bytes = self.take(input, block, BLOCK)?;
        let parse = match self.order {
            Order::Little => parse_interfacedescriptionblock_le,
            Order::Big => parse_interfacedescriptionblock_be,
        };
        let (_, description) = parse(bytes)
            .map_err(|_| broken("an interface's description makes no sense", block.at))?;
        self.interfaces.push(Interface::new(&description, self.order));
        Ok(())
    }

    /// Reads a packet; `None` when its link type cannot be decoded.
    fn packet<R: Read>(
        &mut self,
        input: &mut Input<R>,
        block: Block,
    ) -> Result<Option<Record>, FileError> {
        let fields = PacketFields::read(input, self.order, block)?;
        let interface = self
            .interfaces
            .get(fields.interface as usize)
            .ok_or(broken("a packet is of an interface that was not described", block.at))?;
        let room = block.len - fields.header_len - TRAILER_LEN;
        let captured = fields.captured.unwrap_or(interface.snapped(fields.wire_len).min(room));
        if captured > room {
            return Err(broken("a packet is longer than the block around it", block.at));
        }
        self.time = fields.stamp.map_or(self.time, |stamp| interface.clock.nanos(stamp));
        let Some(link_type) = LinkType::from_number(interface.link_type) else {
            Unsupported::count(&mut self.unsupported, interface.link_type);
            self.skip(input, block)?;
            return Ok(None);
        };
        let taken = input.take(block.len as usize, PACKET)?;
        self.check_trailer(input.bytes(taken.clone()), block)?;
        let start = taken.start + fields.header_len as usize;
        Ok(Some(Record {
            time: self.time,
            interface: fields.interface,
            link_type,
            bytes: start..start + captured as usize,
            wire_len: fields.wire_len,
        }))
    }

    fn take<'i, R: Read>(
        &self,
        input: &'i mut Input<R>,
        block: Block,
        what: &'static str,
    ) -> Result<&'i [u8], FileError> {
        let taken = input.take(block.len as usize, what)?;
        let bytes = input.bytes(taken);
        self.check_trailer(bytes, block)?;
        Ok(bytes)
    }

    /// Passes a block by, however long: decryption secrets may be larger than the window.
    fn skip<R: Read>(&self, input: &mut Input<R>, block: Block) -> Result<(), FileError> {
        input.skip(u64::from(block.len - TRAILER_LEN), BLOCK)?;
        let trailer = input.take(TRAILER_LEN as usize, BLOCK)?;
        self.check_trailer(input.bytes(trailer), block)
    }

    /// The length at the end tells early that blocks are not where they seem to be.
    fn check_trailer(&self, bytes: &[u8], block: Block) -> Result<(), FileError> {
        match bytes.last_chunk().map(|&len| self.order.u32(len)) {
            Some(len) if len == block.len => Ok(()),
            _ => Err(broken("a block's two lengths differ", block.at)),
        }
    }
}

impl Interface {
    fn new(description: &InterfaceDescriptionBlock<'_>, order: Order) -> Self {
        // Not `description.if_tsoffset`: pcap-parser 0.17 takes it for little-endian in every file.
        let offset = description
            .options
            .iter()
            .find(|option| option.code == OptionCode::IfTsoffset)
            .and_then(|option| option.value.first_chunk())
            .map_or(0, |&seconds| order.i64(seconds));
        Self {
            link_type: u32::from(description.linktype.0.cast_unsigned() as u16),
            snaplen: description.snaplen,
            clock: Clock::new(description.if_tsresol, offset),
        }
    }

    /// What is captured of `len` bytes.
    fn snapped(&self, len: u32) -> u32 {
        if self.snaplen == 0 { len } else { len.min(self.snaplen) }
    }
}

impl PacketFields {
    /// Looks at the fields before the packet.
    fn read<R: Read>(input: &mut Input<R>, order: Order, block: Block) -> Result<Self, FileError> {
        let header_len = match block.kind {
            SPB_MAGIC => SIMPLE_HEADER_LEN,
            _ => PACKET_HEADER_LEN,
        };
        let short = broken("a packet block is too short", block.at);
        if block.len < header_len + TRAILER_LEN {
            return Err(short);
        }
        let header = input.need(header_len as usize, PACKET)?;
        match block.kind {
            SPB_MAGIC => Self::simple(order, header),
            _ => Self::enhanced(order, header, block.kind == OBSOLETE_PACKET),
        }
        .ok_or(short)
    }

    /// Simple packet block, draft section 4.4: of the first interface, without a time.
    fn simple(order: Order, header: &[u8]) -> Option<Self> {
        let [_, _, wire_len] = order.words(header)?;
        let header_len = SIMPLE_HEADER_LEN;
        Some(Self { interface: 0, stamp: None, captured: None, wire_len, header_len })
    }

    /// Enhanced packet block, draft section 4.3. The obsolete one has a count of drops in half of
    /// the interface's field.
    fn enhanced(order: Order, header: &[u8], obsolete: bool) -> Option<Self> {
        let [_, _, interface, high, low, captured, wire_len] = order.words(header)?;
        let interface = match header.get(8..)?.first_chunk() {
            Some(&half) if obsolete => u32::from(order.u16(half)),
            _ => interface,
        };
        Some(Self {
            interface,
            stamp: Some(u64::from(high) << 32 | u64::from(low)),
            captured: Some(captured),
            wire_len,
            header_len: PACKET_HEADER_LEN,
        })
    }
}

/// The byte order that a section header's third word tells.
fn section_order(start: &[u8]) -> Option<Order> {
    [Order::Little, Order::Big]
        .into_iter()
        .find(|order| matches!(order.words(start), Some([_, _, BOM_MAGIC])))
}

fn broken(what: &'static str, at: u64) -> FileError {
    FileError::Broken { what, at }
}
