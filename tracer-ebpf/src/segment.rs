//! Copies one segment into the ring: in the smallest size class that holds it, in one copy, in
//! several records where it is longer than the largest class.

use core::ptr::addr_of_mut;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tracer_common::{
    counters::Counters,
    packet::{Ip, Tcp, flags},
    record::{LARGEST_CLASS, MAX_RECORDS_PER_SEGMENT, Record, RecordHeader},
};

use crate::{
    flows::{self, Wanted},
    maps::{PURE_ACKS, RECORDS, SNAPLEN},
    skb::Skb,
};

/// A stretch of the segment that goes into one record.
struct Part {
    /// Where in the payload it begins.
    offset: u32,
    /// Its payload bytes.
    captured: u32,
    /// TCP options before the payload: the first part has them.
    options_len: u32,
    /// Whether another part follows.
    more: bool,
    /// Payload bytes of the flow that were left out until now.
    left_out: u32,
}

#[inline(always)]
pub(crate) fn copy(skb: &Skb, ip: &Ip, tcp: &Tcp, counters: &mut Counters) {
    counters.matched += 1;
    let signals = tcp.flags & (flags::SYN | flags::FIN | flags::RST) != 0;
    if tcp.payload_len == 0 && !signals && PURE_ACKS.load() == 0 {
        return;
    }
    let (wanted, left_out) = match flows::wanted(skb, ip, tcp, counters) {
        Wanted::Segment => (tcp.payload_len.min(SNAPLEN.load()), 0),
        Wanted::SignOfLife(left_out) => (0, left_out),
        Wanted::Nothing => return,
    };
    match copy_parts(skb, ip, tcp, wanted, left_out) {
        Ok(()) => counters.copied += 1,
        Err(missing) => {
            counters.lost += 1;
            counters.lost_bytes += u64::from(missing);
        }
    }
}

/// Writes the first `wanted` bytes of payload. An error is how many of them did not make it.
#[inline(always)]
fn copy_parts(skb: &Skb, ip: &Ip, tcp: &Tcp, wanted: u32, left_out: u32) -> Result<(), u32> {
    // SAFETY: takes nothing, gives CLOCK_MONOTONIC.
    let time = unsafe { bpf_ktime_get_ns() };
    let mut offset = 0;
    let mut options_len = tcp.options_len;
    for _ in 0..MAX_RECORDS_PER_SEGMENT {
        let left = wanted - offset;
        let captured = left.min(LARGEST_CLASS as u32 - options_len);
        let more = captured < left;
        let part = Part { offset, captured, options_len, more, left_out };
        if !put(skb, ip, tcp, &part, time) {
            break;
        }
        if !more {
            return Ok(());
        }
        offset += captured;
        options_len = 0;
    }
    Err(wanted - offset)
}

#[inline(always)]
fn put(skb: &Skb, ip: &Ip, tcp: &Tcp, part: &Part, time: u64) -> bool {
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
    let Some(mut entry) = RECORDS.reserve::<Record<N>>(0) else {
        return false;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points to a reserved `Record<N>`.
    let data = unsafe {
        write_header(addr_of_mut!((*record).header), skb, ip, tcp, part, time);
        addr_of_mut!((*record).data)
    };
    let skipped = if part.offset == 0 { 0 } else { tcp.options_len + part.offset };
    if skb.copy(tcp.options_offset + skipped, data, part.options_len + part.captured) {
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
        (*header).reserved = 0;
        (*header).left_out = part.left_out;
    }
}
