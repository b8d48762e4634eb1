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
}

#[inline(always)]
pub(crate) fn copy(skb: &Skb, ip: &Ip, tcp: &Tcp, counters: &mut Counters) {
    counters.matched += 1;
    let signals = tcp.flags & (flags::SYN | flags::FIN | flags::RST) != 0;
    if tcp.payload_len == 0 && !signals && PURE_ACKS.load() == 0 {
        return;
    }
    let wanted = tcp.payload_len.min(SNAPLEN.load());
    let copied = copy_parts(skb, ip, tcp, wanted);
    if copied == Some(wanted) {
        counters.copied += 1;
    } else {
        counters.lost += 1;
        counters.lost_bytes += u64::from(wanted - copied.unwrap_or(0));
    }
}

/// Writes the first `wanted` bytes of payload. Returns how many made it; `None` when not even the
/// first record did.
#[inline(always)]
fn copy_parts(skb: &Skb, ip: &Ip, tcp: &Tcp, wanted: u32) -> Option<u32> {
    // SAFETY: takes nothing, gives CLOCK_MONOTONIC.
    let time = unsafe { bpf_ktime_get_ns() };
    let mut copied = None;
    for _ in 0..MAX_RECORDS_PER_SEGMENT {
        let part = next_part(tcp, copied, wanted);
        if !put(skb, ip, tcp, &part, time) {
            break;
        }
        copied = Some(part.offset + part.captured);
        if !part.more {
            break;
        }
    }
    copied
}

#[inline(always)]
fn next_part(tcp: &Tcp, copied: Option<u32>, wanted: u32) -> Part {
    let (offset, options_len) = match copied {
        None => (0, tcp.options_len),
        Some(copied) => (copied, 0),
    };
    let left = wanted - offset;
    let captured = left.min(LARGEST_CLASS as u32 - options_len);
    Part { offset, captured, options_len, more: captured < left }
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
        // One by one: of an array at once LLVM makes a call of memset.
        (*header).reserved[0] = 0;
        (*header).reserved[1] = 0;
        (*header).reserved[2] = 0;
    }
}
