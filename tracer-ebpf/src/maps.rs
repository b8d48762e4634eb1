//! What the loader sets and reads: maps and the globals that are fixed at load time.

use aya_ebpf::{
    Global,
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use tracer_common::{counters::Counters, ports::PortSet};

/// The traced ports; user space may change them while the program runs.
#[map]
static PORTS: Array<PortSet> = Array::with_max_entries(1, 0);

/// What this CPU has counted.
#[map]
pub(crate) static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// The way to user space; the loader sizes it.
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Payload bytes to copy of each segment at most.
#[unsafe(no_mangle)]
pub(crate) static SNAPLEN: Global<u32> = Global::new(u32::MAX);

/// 1: pure acknowledgments are copied too. They are half of all segments, and nobody needs them
/// for the WebSocket side.
#[unsafe(no_mangle)]
pub(crate) static PURE_ACKS: Global<u8> = Global::new(0);

#[inline(always)]
pub(crate) fn is_traced(port: u16) -> bool {
    PORTS.get(0).is_some_and(|ports| ports.contains(port))
}
