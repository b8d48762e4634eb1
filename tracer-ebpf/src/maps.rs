//! What the loader sets and reads: maps and the globals that are fixed at load time.

use aya_ebpf::{
    Global,
    btf_maps::{ArrayOfMaps, RingBuf},
    macros::{btf_map, map},
    maps::{Array, LruHashMap, PerCpuArray, ring_buf::RingBufEntry},
};
use tracer_common::{
    counters::Counters,
    flow::{self, Bypassed, FlowKey},
    follow::{Arrival, Followed, Walk},
    packet::{Ip, Tcp},
    ports::PortSet,
    record::{MAX_RINGS, Record},
};

/// The traced ports; user space may change them while the program runs.
#[map]
static PORTS: Array<PortSet> = Array::with_max_entries(1, 0);

/// What this CPU has counted.
#[map]
pub(crate) static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// The loader sizes them. As a template this has to be of whole pages, however large those are.
type Ring = RingBuf<(), { 64 << 10 }>;

/// The way to user space, where one is enough.
#[btf_map]
static RECORDS: Ring = Ring::new();

/// The ways to user space where there are several.
#[btf_map]
static RINGS: ArrayOfMaps<Ring, { MAX_RINGS as usize }> = ArrayOfMaps::new();

/// How many ways there are. The verifier knows it, and drops what is for other numbers.
#[unsafe(no_mangle)]
static RING_COUNT: Global<u32> = Global::new(1);

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

/// Room for a record in the ring of the segment's flow.
#[inline(always)]
pub(crate) fn reserve<const N: usize>(ip: &Ip, tcp: &Tcp) -> Option<RingBufEntry<Record<N>>> {
    let ring = match RING_COUNT.load() {
        1 => &RECORDS,
        count => RINGS.get(flow::ring(ip, tcp, count))?,
    };
    ring.reserve_untyped(0)
}

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
