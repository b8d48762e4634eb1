//! What the loader sets and reads: maps and the globals that are fixed at load time.

use aya_ebpf::{
    Global,
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray, RingBuf},
};
use tracer_common::{
    counters::Counters,
    flow::{Bypassed, FlowKey},
    ports::PortSet,
};

/// The traced ports; user space may change them while the program runs.
#[map]
static PORTS: Array<PortSet> = Array::with_max_entries(1, 0);

/// What this CPU has counted.
#[map]
pub(crate) static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// The way to user space; the loader sizes it.
#[map]
pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// Flows whose payload nobody wants; user space adds them, and the ones not seen for longest go.
#[map]
pub(crate) static BYPASSED: LruHashMap<FlowKey, Bypassed> = LruHashMap::with_max_entries(16_384, 0);

/// 1 once there is a bypassed flow: before that, nothing is looked up.
#[map]
static HAS_BYPASSED: Array<u32> = Array::with_max_entries(1, 0);

/// Payload bytes to copy of each segment at most.
#[unsafe(no_mangle)]
pub(crate) static SNAPLEN: Global<u32> = Global::new(u32::MAX);

/// 1: pure acknowledgments are copied too. They are half of all segments, and nobody needs them
/// for the WebSocket side.
#[unsafe(no_mangle)]
pub(crate) static PURE_ACKS: Global<u8> = Global::new(0);

#[inline(always)]
pub(crate) fn has_bypassed_flows() -> bool {
    HAS_BYPASSED.get(0).is_some_and(|has| *has != 0)
}

#[inline(always)]
pub(crate) fn is_traced(port: u16) -> bool {
    PORTS.get(0).is_some_and(|ports| ports.contains(port))
}
