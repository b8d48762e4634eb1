//! Packets go through two captures, one that leaves out and one that does not, each with a decoder
//! of its own; what both tell is compared.

use std::ops::AddAssign;

use tracer::{
    event::{Event, Stats},
    output::{Format as _, Json, WallClock},
    segment::{Nanos, SECOND, Segment},
    session::{Limits, Options, Tracker},
};
use tracer_common::ports::PortSet;

use crate::{
    classifier::Classifier,
    random::Random,
    wire::{Packet, endpoints},
};

/// What came of a comparison, or of many.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) bytes: u64,
    pub(crate) elided: u64,
    /// How often the classifier was told to copy everything again.
    pub(crate) withdrawn: u64,
    pub(crate) messages: u64,
    pub(crate) gaps: u64,
}

impl AddAssign for Compared {
    fn add_assign(&mut self, other: Self) {
        let Self { bytes, elided, withdrawn, messages, gaps } = other;
        self.bytes += bytes;
        self.elided += elided;
        self.withdrawn += withdrawn;
        self.messages += messages;
        self.gaps += gaps;
    }
}

/// Panics where the two differ, with the first difference.
pub(crate) fn compare(packets: &[Packet], limit: usize, latency: u32, name: &str) -> Compared {
    let eliding = observe(packets, Classifier::new(limit as u32, latency), limit);
    let copying = observe(packets, Classifier::new(u32::MAX, latency), limit);
    for (n, (elided, copied)) in eliding.events.iter().zip(&copying.events).enumerate() {
        assert_eq!(elided, copied, "{name}: event {n} with and without");
    }
    assert_eq!(eliding.events.len(), copying.events.len(), "{name}: events with and without");
    assert_eq!(Stats { bytes: copying.stats.bytes, ..eliding.stats }, copying.stats, "{name}");
    let Classifier { elided, withdrawn, .. } = eliding.classifier;
    let Stats { bytes, messages, gaps, .. } = copying.stats;
    assert!(eliding.stats.bytes <= bytes, "{name}: less is copied, never more");
    Compared { bytes, elided, withdrawn, messages, gaps }
}

/// A run that has ended.
struct Observed {
    events: Vec<String>,
    stats: Stats,
    classifier: Classifier,
}

fn observe(packets: &[Packet], mut classifier: Classifier, limit: usize) -> Observed {
    let mut tracker = Tracker::new(options(limit));
    let mut events = Vec::new();
    let mut sink = |event: &Event<'_>| {
        let mut line = Vec::new();
        Json::default().write(event, WallClock::default(), &mut line);
        events.push(String::from_utf8(line).expect("JSON is UTF-8"));
    };
    let mut now: Nanos = 0;
    for packet in packets {
        if packet.time > now + SECOND / 10 {
            tracker.tick(packet.time, &mut sink);
        }
        now = packet.time;
        classifier.segment(&segment(packet), &mut || !packet.is_lost, &mut |record| {
            tracker.segment(record, &mut sink)
        });
    }
    tracker.finish(now, &mut sink);
    let stats = tracker.stats();
    Observed { events, stats, classifier }
}

/// The ring has room for most records only. What was left out is of a payload that nobody wants all
/// the same. Returns how many did not fit.
pub(crate) fn withstand(packets: &[Packet], limit: usize, random: &mut Random) -> u64 {
    let mut tracker = Tracker::new(options(limit));
    let mut classifier = Classifier::new(limit as u32, 3);
    let mut lost = 0;
    for packet in packets {
        let mut fits = || {
            let fits = random.below(20) > 0;
            lost += u64::from(!fits);
            fits
        };
        classifier.segment(&segment(packet), &mut fits, &mut |record| {
            tracker.segment(record, &mut |_: &Event<'_>| {})
        });
    }
    assert_eq!(classifier.withdrawn, 0);
    lost
}

fn options(limit: usize) -> Options {
    let mut ports = PortSet::EMPTY;
    ports.insert(7272);
    let limits = Limits { payload: limit, ..Limits::default() };
    Options { ports, segments: false, frames: true, show_secrets: false, limits }
}

fn segment(packet: &Packet) -> Segment<'_> {
    let Packet { time, from_client, interface, seq, ack, flags, payload, is_lost: _ } = packet;
    let [client, server] = endpoints();
    let (source, destination) = if *from_client { (client, server) } else { (server, client) };
    Segment {
        time: *time,
        interface: *interface,
        source,
        destination,
        seq: *seq,
        ack: *ack,
        window: 500,
        flags: *flags,
        options: &[],
        payload_len: payload.len() as u32,
        offset: 0,
        payload,
        more: false,
        left_out: 0,
        elided: 0,
        frame_at: None,
    }
}
