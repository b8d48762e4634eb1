//! The record that crosses the ring buffer: one TCP segment, or one part of a long one.

use crate::packet::Address;

/// Length of the smallest record's data; each class is four times the one before.
pub const SMALLEST_CLASS: usize = 128;
/// Length of the largest record's data: a longer segment comes in several records.
pub const LARGEST_CLASS: usize = 32 * 1024;
/// Records a single segment may need: the largest super-segment that the kernel builds is 512 KiB
/// (`GSO_MAX_SIZE`, 8 × 65,536 in `include/linux/netdevice.h` since Linux 6.0).
pub const MAX_RECORDS_PER_SEGMENT: u32 = MAX_FOLLOWED_PIECES + 17;
/// Records of a segment in which frames are followed; one with more is copied whole from there on.
pub const MAX_FOLLOWED_PIECES: u32 = 8;
/// Ring buffers that the classifier can tell apart.
pub const MAX_RINGS: u32 = 64;

/// What stands before a record's data. The data is the TCP options (`options_len` bytes, only in a
/// segment's first record), then `captured` bytes of payload; what follows in the record, up to
/// its class's length, is not initialised and means nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// `CLOCK_MONOTONIC` in nanoseconds when the classifier saw the segment.
    pub time: u64,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Sequence number of the segment (not of this part of it).
    pub seq: u32,
    /// Acknowledgment number.
    pub ack: u32,
    /// Index of the interface on which the classifier ran.
    pub interface: u32,
    /// Payload bytes of the whole segment.
    pub payload_len: u32,
    /// Where in the segment's payload this record's part begins.
    pub offset: u32,
    /// Payload bytes in this record.
    pub captured: u32,
    /// The window field, not scaled.
    pub window: u16,
    /// The nine TCP flags, `FIN` lowest ([`crate::packet::flags`]).
    pub flags: u16,
    /// Length of the TCP options in this record.
    pub options_len: u8,
    /// 1 when another record of the same segment follows, else 0.
    pub more: u8,
    /// What else there is to say: [`marks`].
    pub marks: u16,
    /// Payload bytes that were left out on request. Of a bypassed flow
    /// ([`crate::flow::Bypassed`]): since the record before, this segment's own included. Of a
    /// followed one ([`crate::follow::Followed`]): behind those in this record. With
    /// [`marks::ASKS`]: a sequence number instead.
    pub left_out: u32,
}

/// Bits of [`RecordHeader::marks`].
pub mod marks {
    /// The flow is bypassed.
    pub const BYPASSED: u16 = 1;
    /// The flow is followed, and nothing is left out yet: `left_out` is the sequence number at which
    /// the latest frame begins, if the classifier is right ([`crate::follow::Followed::asks`]).
    pub const ASKS: u16 = 2;
}

const _: () = assert!(size_of::<RecordHeader>() == 80);
const _: () = assert!(align_of::<RecordHeader>() == 8);

/// A record of one size class.
#[repr(C)]
pub struct Record<const N: usize> {
    /// What it carries.
    pub header: RecordHeader,
    /// Options and payload.
    pub data: [u8; N],
}

impl RecordHeader {
    /// Takes a record apart: header, TCP options, payload. `None` when the record is shorter than
    /// its header says, which the classifier never writes.
    pub fn split(record: &[u8]) -> Option<(Self, &[u8], &[u8])> {
        let (header, data) = record.split_first_chunk::<80>()?;
        let header = Self::decode(header);
        let options_len = usize::from(header.options_len);
        let end = options_len.checked_add(header.captured as usize)?;
        let (options, payload) = data.get(..end)?.split_at_checked(options_len)?;
        Some((header, options, payload))
    }

    /// Reads a header field by field: no pointer casts, and compilers make plain loads of it.
    fn decode(bytes: &[u8; 80]) -> Self {
        fn at<const N: usize>(bytes: &[u8; 80], offset: usize) -> [u8; N] {
            core::array::from_fn(|i| bytes[offset + i])
        }
        Self {
            time: u64::from_ne_bytes(at(bytes, 0)),
            source: at(bytes, 8).into(),
            destination: at(bytes, 24).into(),
            source_port: u16::from_ne_bytes(at(bytes, 40)),
            destination_port: u16::from_ne_bytes(at(bytes, 42)),
            seq: u32::from_ne_bytes(at(bytes, 44)),
            ack: u32::from_ne_bytes(at(bytes, 48)),
            interface: u32::from_ne_bytes(at(bytes, 52)),
            payload_len: u32::from_ne_bytes(at(bytes, 56)),
            offset: u32::from_ne_bytes(at(bytes, 60)),
            captured: u32::from_ne_bytes(at(bytes, 64)),
            window: u16::from_ne_bytes(at(bytes, 68)),
            flags: u16::from_ne_bytes(at(bytes, 70)),
            options_len: bytes[72],
            more: bytes[73],
            marks: u16::from_ne_bytes(at(bytes, 74)),
            left_out: u32::from_ne_bytes(at(bytes, 76)),
        }
    }
}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn decode_reads_the_fields_where_the_classifier_writes_them() {
        assert_eq!(offset_of!(RecordHeader, source), 8);
        assert_eq!(offset_of!(RecordHeader, destination), 24);
        assert_eq!(offset_of!(RecordHeader, source_port), 40);
        assert_eq!(offset_of!(RecordHeader, destination_port), 42);
        assert_eq!(offset_of!(RecordHeader, seq), 44);
        assert_eq!(offset_of!(RecordHeader, ack), 48);
        assert_eq!(offset_of!(RecordHeader, interface), 52);
        assert_eq!(offset_of!(RecordHeader, payload_len), 56);
        assert_eq!(offset_of!(RecordHeader, offset), 60);
        assert_eq!(offset_of!(RecordHeader, captured), 64);
        assert_eq!(offset_of!(RecordHeader, window), 68);
        assert_eq!(offset_of!(RecordHeader, flags), 70);
        assert_eq!(offset_of!(RecordHeader, options_len), 72);
        assert_eq!(offset_of!(RecordHeader, more), 73);
        assert_eq!(offset_of!(RecordHeader, marks), 74);
        assert_eq!(offset_of!(RecordHeader, left_out), 76);
        assert_eq!(offset_of!(Record<128>, data), size_of::<RecordHeader>());
    }

    #[test]
    fn split_separates_options_from_payload() {
        let mut record = [0u8; 80 + 16];
        record[64..68].copy_from_slice(&3u32.to_ne_bytes());
        record[72] = 4;
        record[80..87].copy_from_slice(b"optsabc");
        let (header, options, payload) = RecordHeader::split(&record).unwrap();
        assert_eq!((header.captured, options, payload), (3, &b"opts"[..], &b"abc"[..]));
    }

    #[test]
    fn split_refuses_a_record_shorter_than_it_says() {
        let mut record = [0u8; 80 + 2];
        record[64..68].copy_from_slice(&3u32.to_ne_bytes());
        assert!(RecordHeader::split(&record).is_none());
        assert!(RecordHeader::split(&record[..79]).is_none());
        record[64..68].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert!(RecordHeader::split(&record).is_none());
    }

    #[test]
    fn the_largest_super_segment_fits_into_the_allowed_records() {
        let options_and_payload = 8 * 65_536;
        let records = (MAX_RECORDS_PER_SEGMENT - MAX_FOLLOWED_PIECES) as usize;
        assert!(records * LARGEST_CLASS >= options_and_payload);
    }
}
