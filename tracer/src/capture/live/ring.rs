//! Takes records out of the ring buffer.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{MapData, RingBuf};
use tracer_common::record::{RecordHeader, marks};

use crate::segment::{Endpoint, Segment};

/// What the kernel puts before each record (`BPF_RINGBUF_HDR_SZ`).
const RING_HEADER: usize = 8;

/// The consumer's side of the ring buffer.
pub struct Records {
    ring: RingBuf<MapData>,
    /// Bytes of the ring.
    size: usize,
}

impl Records {
    /// Takes records from `ring`, which is `size` bytes long.
    pub fn new(ring: RingBuf<MapData>, size: usize) -> Self {
        Self { ring, size }
    }

    /// Bytes of the ring.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Gives out the segments that are there, up to one ringful of them, so that the caller gets
    /// its turn in a flood too. Returns how many bytes of the ring that set free.
    pub fn drain(&mut self, mut take: impl FnMut(&Segment<'_>) -> bool) -> usize {
        let mut freed = 0;
        while freed < self.size
            && let Some(record) = self.ring.next()
        {
            freed += record.len() + RING_HEADER;
            let go_on = segment_of(&record).is_none_or(|segment| take(&segment));
            if !go_on {
                break;
            }
        }
        freed
    }
}

impl AsFd for Records {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// The segment in a record. The classifier writes none that is not one.
fn segment_of(record: &[u8]) -> Option<Segment<'_>> {
    let (header, options, payload) = RecordHeader::split(record)?;
    let RecordHeader {
        time,
        source,
        destination,
        source_port,
        destination_port,
        seq,
        ack,
        interface,
        payload_len,
        offset,
        captured: _,
        window,
        flags,
        options_len: _,
        more,
        marks,
        left_out,
    } = header;
    let has = |mark| marks & mark != 0;
    let counts = |is_meant: bool| if is_meant { left_out } else { 0 };
    Some(Segment {
        time,
        interface,
        source: Endpoint { address: source.octets(), port: source_port },
        destination: Endpoint { address: destination.octets(), port: destination_port },
        seq,
        ack,
        window,
        flags,
        options,
        payload_len,
        offset,
        payload,
        more: more != 0,
        left_out: counts(has(marks::BYPASSED)),
        elided: counts(marks == 0),
        frame_at: has(marks::ASKS).then_some(left_out),
    })
}
