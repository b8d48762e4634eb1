//! What the loader sets and reads: maps and the globals that are fixed at load time.

use aya_ebpf::{
    Global,
    macros::map,
    maps::{Array, LruHashMap, PerCpuArray, RingBuf},
};
use tracer_common::{
    counters::Counters,
    flow::{Bypassed, FlowKey},
    follow::{Arrival, Followed, Walk},
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

/// Directions whose frames are followed; segments of long messages add them, and the ones not seen
/// for longest go.
#[map]
static FOLLOWED: LruHashMap<FlowKey, Followed> = LruHashMap::with_max_entries(16_384, 0);

/// When a segment came with which, as user space has seen, a frame begins.
#[map]
static CONFIRMED: LruHashMap<FlowKey, u64> = LruHashMap::with_max_entries(16_384, 0);

/// 1 once there is a followed direction: before that, nothing is looked up.
#[map]
static HAS_FOLLOWED: Array<u32> = Array::with_max_entries(1, 0);

/// Where the copying of a segment is.
#[map]
static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(1, 0);

/// What is shown of a binary message: payload behind that need not be copied. `u32::MAX`: all of it.
#[unsafe(no_mangle)]
pub(crate) static SHOWN: Global<u32> = Global::new(u32::MAX);

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
pub(crate) fn has_followed_flows() -> bool {
    HAS_FOLLOWED.get(0).is_some_and(|has| *has != 0)
}

/// The beginning of a segment with so many bytes of options.
#[inline(always)]
pub(crate) fn walk(options_len: u32) -> Option<&'static mut Walk> {
    // SAFETY: a per-CPU value, and nothing preempts a classifier with another on the same CPU.
    let walk = unsafe { &mut *WALK.get_ptr_mut(0)? };
    walk.place.begin(options_len);
    walk.whole.stop();
    Some(walk)
}

/// Where the frames of a direction are, if they are followed.
#[inline(always)]
pub(crate) fn frames(key: &FlowKey) -> Option<&'static mut Followed> {
    let frames = FOLLOWED.get_ptr_mut(key)?;
    // SAFETY: a value of the map, valid until the program returns. Segments of one direction on one
    // interface come one after the other.
    Some(unsafe { &mut *frames })
}

/// Follows a direction from the frame that may begin with a segment.
#[inline(always)]
pub(crate) fn follow(key: &FlowKey, first: &Arrival) -> Option<&'static mut Followed> {
    FOLLOWED.insert(key, Followed::new(first), 0).ok()?;
    // SAFETY: a map's value; every writer writes the same.
    unsafe { *HAS_FOLLOWED.get_ptr_mut(0)? = 1 };
    frames(key)
}

/// When a segment came with which, as user space has seen, a frame begins.
#[inline(always)]
pub(crate) fn confirmed(key: &FlowKey) -> Option<u64> {
    // SAFETY: a value of the map, copied at once.
    unsafe { CONFIRMED.get(key) }.copied()
}

#[inline(always)]
pub(crate) fn is_traced(port: u16) -> bool {
    PORTS.get(0).is_some_and(|ports| ports.contains(port))
}
