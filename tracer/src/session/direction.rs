//! One direction of a connection as TCP sees it: its assembler, its end, and what is missing of it.

use tracer_common::packet::flags::{FIN, RST};

use crate::{
    segment::{Nanos, SECOND, Segment},
    tcp::{assembler::Assembler, seq},
};

/// The interface that shows a direction may change after so long a silence on the one before.
const OWNER_SILENCE: Nanos = SECOND;

/// The state of one direction.
#[derive(Default)]
pub(super) struct Direction {
    pub(super) assembler: Assembler,
    /// Offset in the stream at which it ends.
    pub(super) fin: Option<u64>,
    /// The interface on which it was first seen. Bridges and veth pairs show each segment several
    /// times.
    owner: Option<u32>,
    /// When it last was.
    owner_seen: Nanos,
    /// Mostly there is none.
    hole: Option<Box<Hole>>,
}

const _: () = assert!(size_of::<Direction>() <= 128, "two cache lines");

/// A segment is missing.
struct Hole {
    since: Nanos,
    /// Its offset in the stream.
    at: u64,
}

impl Direction {
    pub(super) fn is_finished(&self) -> bool {
        self.fin.is_some_and(|fin| self.assembler.position() >= fin)
    }

    /// Whether a segment is on another interface than the direction is.
    pub(super) fn is_elsewhere(&self, segment: &Segment<'_>) -> bool {
        self.owner.is_some_and(|owner| owner != segment.interface)
            && segment.time.saturating_sub(self.owner_seen) < OWNER_SILENCE
    }

    /// Whether a segment goes beyond what has been seen. One that is elsewhere then shows that the
    /// direction has moved: its interface sees everything first. Behind a hole copies look like that.
    pub(super) fn is_news(&self, segment: &Segment<'_>) -> bool {
        let Some(next) = self.assembler.next_seq().filter(|_| !self.assembler.has_hole()) else {
            return false;
        };
        let fin = u32::from(segment.has(FIN) && self.fin.is_none());
        let end = segment.seq.wrapping_add(segment.payload_len).wrapping_add(fin);
        let is_reset = segment.has(RST) && seq::distance(next, segment.seq) >= 0;
        is_reset || seq::distance(next, end) > 0
    }

    /// Takes note of the interface that shows it.
    pub(super) fn see_on(&mut self, segment: &Segment<'_>) {
        self.owner = Some(segment.interface);
        self.owner_seen = segment.time;
    }

    /// Since when a segment has been missing.
    pub(super) fn hole_since(&self) -> Option<Nanos> {
        self.hole.as_ref().map(|hole| hole.since)
    }

    /// Looks whether something is missing; whether it is. The wait for a hole begins anew when an
    /// earlier one was filled. `has_ended`: both sides have said that they end, and what has not come
    /// by then is missing as well.
    pub(super) fn look_at_hole(&mut self, has_ended: bool, now: Nanos) -> bool {
        let at = self.assembler.position();
        let ends_early = has_ended && !self.is_finished();
        if !self.assembler.has_hole() && !ends_early {
            self.hole = None;
        } else if self.hole.as_ref().is_none_or(|hole| hole.at != at) {
            self.hole = Some(Box::new(Hole { since: now, at }));
        }
        self.hole.is_some()
    }
}
