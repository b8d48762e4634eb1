//! Copies one segment into the ring: in the smallest size class that holds it, in one copy, in
//! several records where it is longer than the largest class.

use core::ptr::addr_of_mut;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tracer_common::{
    counters::Counters,
    follow::{Piece, Spot, Walk},
    packet::{Ip, Tcp, flags},
    record::{
        LARGEST_CLASS, MAX_FOLLOWED_PIECES, MAX_RECORDS_PER_SEGMENT, RecordHeader, SMALLEST_CLASS,
        marks,
    },
};

use crate::{
    flows::{self, Wanted},
    follow,
    maps::{self, PURE_ACKS, SNAPLEN},
    skb::{Skb, forget},
};

/// A stretch of the segment that goes into one record.
pub(crate) struct Part {
    /// Where in the payload it begins.
    pub(crate) offset: u32,
    /// Its payload bytes.
    pub(crate) captured: u32,
    /// TCP options before the payload: the first part has them.
    pub(crate) options_len: u32,
    /// Whether another part follows.
    pub(crate) more: bool,
    /// See [`RecordHeader::marks`].
    pub(crate) marks: u16,
    /// See [`RecordHeader::left_out`].
    pub(crate) left_out: u32,
}

#[inline(always)]
pub(crate) fn copy(skb: &Skb, ip: &Ip, tcp: &Tcp, counters: &mut Counters) {
    counters.matched += 1;
    let signals = tcp.flags & (flags::SYN | flags::FIN | flags::RST) != 0;
    if tcp.payload_len == 0 && !signals && PURE_ACKS.load() == 0 {
        return;
    }
    // SAFETY: takes nothing, gives CLOCK_MONOTONIC.
    let time = unsafe { bpf_ktime_get_ns() };
    let copied = match flows::wanted(skb, ip, tcp, counters, time) {
        Wanted::Nothing => return,
        Wanted::SignOfLife(left_out) => sign_of_life(skb, ip, tcp, left_out, time),
        Wanted::Segment => copy_parts(skb, ip, tcp, time, counters),
    };
    match copied {
        Ok(()) => counters.copied += 1,
        Err(missing) => {
            counters.lost += 1;
            counters.lost_bytes += u64::from(missing);
        }
    }
}

/// Tells of a bypassed flow.
#[inline(always)]
fn sign_of_life(skb: &Skb, ip: &Ip, tcp: &Tcp, left_out: u32, time: u64) -> Result<(), u32> {
    let part = Part {
        offset: 0,
        captured: 0,
        options_len: 0,
        more: false,
        marks: marks::BYPASSED,
        left_out,
    };
    if put_class::<SMALLEST_CLASS>(skb, ip, tcp, &part, time) { Ok(()) } else { Err(0) }
}

/// Copies the segment, up to the snap length, and without what a followed flow does not need. An
/// error is how many payload bytes did not make it.
#[inline(always)]
fn copy_parts(
    skb: &Skb,
    ip: &Ip,
    tcp: &Tcp,
    time: u64,
    counters: &mut Counters,
) -> Result<(), u32> {
    let wanted = tcp.payload_len.min(SNAPLEN.load());
    let options_len = tcp.options_len;
    let followed = follow::begin(skb, ip, tcp, time);
    // Nearly every segment is one part, and this is all that is done for it.
    if followed.is_none() && options_len + wanted <= LARGEST_CLASS as u32 {
        let part =
            Part { offset: 0, captured: wanted, options_len, more: false, marks: 0, left_out: 0 };
        return if put(skb, ip, tcp, &part, time) { Ok(()) } else { Err(wanted) };
    }
    let Some(Walk { place, whole }) = maps::walk(options_len) else { return Err(wanted) };
    let frames = followed.unwrap_or(whole);
    for n in 0..MAX_RECORDS_PER_SEGMENT {
        if n == MAX_FOLLOWED_PIECES {
            frames.stop();
        }
        let spot @ Spot { start: offset, at, options_len } = place.get();
        let (rest, room) = (wanted - at, spot.room());
        let piece = follow::next_piece(skb, tcp, frames, at, rest, room);
        let Piece { copy, skip } = piece;
        if !piece.ends_record(rest, room) {
            place.extend(copy);
            continue;
        }
        let captured = at - offset + copy;
        let more = copy + skip < rest;
        let (marks, left_out) = follow::marks(frames, skip);
        let part = Part { offset, captured, options_len, more, marks, left_out };
        let is_lost = !put(skb, ip, tcp, &part, time);
        frames.written(time, is_lost);
        if is_lost {
            place.lose(captured + skip);
        } else {
            counters.elided_bytes += u64::from(skip);
        }
        if !more {
            return place.outcome();
        }
        place.advance(copy + skip);
    }
    frames.stop();
    place.lose(wanted - place.get().start);
    place.outcome()
}

/// Writes one record.
#[inline(always)]
pub(crate) fn put(skb: &Skb, ip: &Ip, tcp: &Tcp, part: &Part, time: u64) -> bool {
    match part.options_len + part.captured {
        0..=0x80 => put_class::<0x80>(skb, ip, tcp, part, time),
        0x81..=0x200 => put_class::<0x200>(skb, ip, tcp, part, time),
        0x201..=0x800 => put_class::<0x800>(skb, ip, tcp, part, time),
        0x801..=0x2000 => put_class::<0x2000>(skb, ip, tcp, part, time),
        _ => put_class::<LARGEST_CLASS>(skb, ip, tcp, part, time),
    }
}

#[inline(always)]
fn put_class<const N: usize>(skb: &Skb, ip: &Ip, tcp: &Tcp, part: &Part, time: u64) -> bool {
    let Some(mut entry) = maps::reserve::<N>(ip, tcp) else {
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points to a reserved `Record<N>`.
    let (data, len) = unsafe {
        let header = addr_of_mut!((*record).header);
        write_header(header, skb, ip, tcp, part, time);
        (addr_of_mut!((*record).data), forget(addr_of_mut!((*header).captured)))
    };
    let skipped = if part.offset == 0 { 0 } else { tcp.options_len + part.offset };
    if skb.copy(tcp.options_offset + skipped, data, part.options_len + len) {
        // No flags: the kernel wakes the reader only when it has caught up, and the reader naps
        // between drains, so a flood costs one wake-up a nap.
        entry.submit(0);
        true
    } else {
        entry.discard(0);
        false
    }
}

/// Field by field: for a struct built first and copied then, LLVM emits loops of stores.
///
/// # Safety
///
/// `header` is valid for writes.
#[inline(always)]
unsafe fn write_header(
    header: *mut RecordHeader,
    skb: &Skb,
    ip: &Ip,
    tcp: &Tcp,
    part: &Part,
    time: u64,
) {
    // SAFETY: by the caller.
    unsafe {
        (*header).time = time;
        (*header).source = ip.source;
        (*header).destination = ip.destination;
        (*header).source_port = tcp.source_port;
        (*header).destination_port = tcp.destination_port;
        (*header).seq = tcp.seq;
        (*header).ack = tcp.ack;
        (*header).interface = skb.interface();
        (*header).payload_len = tcp.payload_len;
        (*header).offset = part.offset;
        (*header).captured = part.captured;
        (*header).window = tcp.window;
        (*header).flags = tcp.flags;
        (*header).options_len = part.options_len as u8;
        (*header).more = u8::from(part.more);
        (*header).marks = part.marks;
        (*header).left_out = part.left_out;
    }
}
