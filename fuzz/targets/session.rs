//! The tracker over a few connections' segments, with small limits: nothing panics, counters and
//! events agree, no control character reaches the terminal, and memory keeps to its bound.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::{
    segment::SECOND,
    session::{Limits, Options, Tracker},
};
use tracer_fuzz::{
    input::Input,
    memory::Watch,
    sink::Checked,
    wire::{FEW, MANY, Step, Wire, ports},
};

/// Small enough that inputs reach every one of them.
const LIMITS: Limits = Limits {
    payload: 256,
    connections: 3,
    half_open: 8,
    waiting_per_direction: 8 << 10,
    memory: 64 << 10,
    reordering: 3 * SECOND,
    idle: 100 * SECOND,
    inflaters: 2,
};

/// What may be allocated at a time: the limit and two machines to inflate with, a page of each table
/// (1 MiB in all, of which what is used is touched), and much more for the head in hand and an
/// event's lines.
const BOUND: usize = 2 << 20;
/// Copies of a segment at a time: in hand, unmasked, kept, and each in a buffer that grew to twice
/// of what it needs.
const COPIES: usize = 8;

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let bits = input.u8();
    let options = Options {
        ports: ports(),
        segments: bits & 1 != 0,
        frames: bits & 2 != 0,
        show_secrets: bits & 4 != 0,
        limits: LIMITS,
    };
    let watch = Watch::new();
    let longest = run(options, Wire::new(input, if bits >> 4 == 15 { MANY } else { FEW }));
    watch.check(BOUND + COPIES * longest);
});

/// Drives a tracker to the end; returns the longest segment's length.
fn run(options: Options, mut wire: Wire<'_>) -> usize {
    let mut tracker = Tracker::new(options);
    let mut sink = Checked::default();
    let (mut segments, mut longest) = (0, 0);
    let mut ticked = wire.now;
    while let Some(step) = wire.step(&mut |segment| {
        segments += u64::from(segment.offset == 0);
        longest = longest.max(segment.payload_len as usize);
        tracker.segment(segment, &mut sink);
    }) {
        if matches!(step, Step::Waited) {
            tracker.tick(wire.now, &mut sink);
            ticked = wire.now;
        }
        sink.check(&tracker.stats(), LIMITS.connections);
        let due = tracker.next_tick();
        assert!(due.is_none_or(|due| due > ticked), "due at {due:?}, and not done at {ticked}");
    }
    assert_eq!(tracker.stats().segments, segments);
    tracker.finish(wire.now, &mut sink);
    let stats = tracker.stats();
    sink.check(&stats, LIMITS.connections);
    assert_eq!(stats.flows, 0, "connections are left after the end");
    assert!(tracker.summaries().len() as u64 <= stats.connections);
    longest
}
