//! Whole events, one behind the other, on their way from a pipeline to its outputs; and how far an
//! output has come with them.

use std::sync::Arc;

/// What is kept of a queue's room for each batch besides its bytes.
const OVERHEAD: usize = 128;

/// A number of events and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Events of all kinds.
    pub events: u64,
    /// Bytes, in an output's format.
    pub bytes: u64,
}

impl Amount {
    /// Whether there is nothing.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
    }
}

/// Events as they were formatted. Not changed any more: several outputs may have the same.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each event ends.
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn new(bytes: Vec<u8>, ends: Vec<usize>) -> Self {
        debug_assert_eq!(ends.last().copied().unwrap_or_default(), bytes.len());
        Self { bytes, ends }
    }

    pub(super) fn events(&self) -> usize {
        self.ends.len()
    }

    /// Where the first so many events end.
    fn end_of(&self, events: usize) -> usize {
        events.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or_default()
    }

    /// The first so many events.
    pub(super) fn amount(&self, events: usize) -> Amount {
        Amount { events: events as u64, bytes: self.end_of(events) as u64 }
    }

    /// What the first so many events take of a queue's room.
    pub(super) fn cost(&self, events: usize) -> usize {
        self.end_of(events) + OVERHEAD
    }

    /// How many of the first events find room.
    pub(super) fn fitting(&self, room: usize) -> usize {
        self.ends.partition_point(|end| end + OVERHEAD <= room)
    }
}

/// The first events of a batch, and how far they are written.
#[derive(Clone, Debug)]
pub(super) struct Portion {
    batch: Arc<Batch>,
    events: usize,
    /// Bytes.
    written: usize,
}

impl Portion {
    /// The first so many events, none of them written.
    pub(super) fn new(batch: Arc<Batch>, events: usize) -> Self {
        let events = events.min(batch.events());
        Self { batch, events, written: 0 }
    }

    pub(super) fn cost(&self) -> usize {
        self.batch.cost(self.events)
    }

    fn end(&self) -> usize {
        self.batch.end_of(self.events)
    }

    pub(super) fn is_done(&self) -> bool {
        self.written >= self.end()
    }

    /// What is not written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.batch.bytes[self.written..self.end()]
    }

    /// What is not written of the event that has begun, or begins.
    pub(super) fn event(&self) -> &[u8] {
        let end = self.batch.ends.get(self.whole()).copied().unwrap_or(self.written);
        &self.batch.bytes[self.written..end]
    }

    /// Whole events that are not written and have at most so many bytes, but at least one.
    pub(super) fn at_most(&self, bytes: u64) -> &[u8] {
        let limit = usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(self.written);
        let events = self.batch.ends[..self.events].partition_point(|&end| end <= limit);
        let end = self.batch.end_of(events.max(self.whole() + 1)).min(self.end());
        &self.batch.bytes[self.written..end]
    }

    /// Notes that so many bytes more are written.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.written = (self.written + bytes).min(self.end());
    }

    /// Whether the next byte begins an event.
    pub(super) fn is_between_events(&self) -> bool {
        self.batch.end_of(self.whole()) == self.written
    }

    /// Has the event that has begun written again as a whole.
    pub(super) fn rewind(&mut self) {
        self.written = self.batch.end_of(self.whole());
    }

    /// How many events are written to their ends.
    fn whole(&self) -> usize {
        self.batch.ends[..self.events].partition_point(|&end| end <= self.written)
    }

    /// The events that are not written to their ends.
    pub(super) fn left(&self) -> Amount {
        let whole = self.whole();
        let bytes = self.end() - self.batch.end_of(whole);
        Amount { events: (self.events - whole) as u64, bytes: bytes as u64 }
    }

    /// All of its events, written or not.
    pub(super) fn amount(&self) -> Amount {
        self.batch.amount(self.events)
    }
}

/// Events of these lengths, of bytes that count up.
#[cfg(test)]
pub(super) fn of_lengths(lengths: &[usize]) -> Arc<Batch> {
    let ends: Vec<usize> = lengths
        .iter()
        .scan(0, |end, length| {
            *end += length;
            Some(*end)
        })
        .collect();
    let bytes = (0..ends.last().copied().unwrap_or_default()).map(|n| n as u8).collect();
    Arc::new(Batch::new(bytes, ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_is_written_to_its_end_and_no_further() {
        let mut portion = Portion::new(of_lengths(&[3, 5, 2]), 2);
        assert_eq!((portion.rest().len(), portion.event().len()), (8, 3));
        portion.advance(3);
        assert!(portion.is_between_events());
        assert_eq!((portion.event(), portion.left().events), (&[3, 4, 5, 6, 7][..], 1));
        portion.advance(5);
        assert!(portion.is_done() && portion.rest().is_empty() && portion.left().is_zero());
    }

    #[test]
    fn an_event_that_has_begun_can_be_written_again() {
        let mut portion = Portion::new(of_lengths(&[3, 5, 2]), 3);
        portion.advance(6);
        assert!(!portion.is_between_events());
        assert_eq!(portion.event(), [6, 7]);
        assert_eq!(portion.left(), Amount { events: 2, bytes: 7 });
        portion.rewind();
        assert_eq!(portion.rest(), [3, 4, 5, 6, 7, 8, 9]);
        assert!(portion.is_between_events());
        portion.rewind();
        assert_eq!(portion.rest().len(), 7, "once is enough");
    }

    #[test]
    fn as_many_whole_events_as_fit_but_one_in_any_case() {
        let mut portion = Portion::new(of_lengths(&[3, 5, 2, 9]), 3);
        let lengths =
            |portion: &Portion| [0, 3, 7, 8, 9, 99].map(|room| portion.at_most(room).len());
        assert_eq!(lengths(&portion), [3, 3, 3, 8, 8, 10]);
        portion.advance(3);
        assert_eq!(lengths(&portion), [5, 5, 7, 7, 7, 7]);
        portion.advance(1);
        assert_eq!(portion.at_most(0).len(), 4, "the rest of the one that has begun");
    }

    #[test]
    fn what_fits_into_a_queue_is_whole_events() {
        let batch = of_lengths(&[100, 50, 100]);
        for events in 0..=3 {
            let cost = batch.cost(events);
            assert_eq!(batch.fitting(cost), events);
            assert_eq!(batch.fitting(cost + 10), events);
        }
        assert_eq!(batch.fitting(0), 0);
    }
}
