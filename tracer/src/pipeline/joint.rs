//! What the pipelines of a run have in common: what each has counted comes in, the sums come out
//! when it is time for a `stats` event, and with the last of them to end.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{event::Stats, segment::Nanos};

/// Messages that are still wanted.
pub(super) struct Wanted(AtomicU64);

impl Wanted {
    pub(super) fn new(messages: u64) -> Self {
        Self(AtomicU64::new(messages))
    }

    /// Takes one; false when there were enough.
    pub(super) fn take(&self) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    pub(super) fn is_none(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}

/// The counts of all pipelines. The lock is taken once a drain.
pub(super) struct Joint {
    counted: Mutex<Counted>,
}

struct Counted {
    /// Time between `stats` events; `None`: only at the end.
    interval: Option<Nanos>,
    /// By pipeline.
    parts: Vec<Stats>,
    /// Pipelines that have not ended.
    at_work: usize,
    next_stats: Option<Nanos>,
}

impl Joint {
    pub(super) fn new(pipelines: usize, interval: Option<Nanos>) -> Self {
        let parts = vec![Stats::default(); pipelines];
        let counted = Counted { interval, parts, at_work: pipelines, next_stats: None };
        Self { counted: Mutex::new(counted) }
    }

    /// Has the next `stats` event come at another time.
    pub(super) fn set_interval(&self, interval: Option<Nanos>) {
        let mut counted = self.counted();
        if counted.interval != interval {
            counted.interval = interval;
            counted.next_stats = None;
        }
    }

    /// Notes what a pipeline has counted so far.
    pub(super) fn put(&self, pipeline: usize, part: Stats) {
        self.counted().put(pipeline, part);
    }

    /// Notes what a pipeline has counted so far. Returns the sums when it is time to tell them.
    pub(super) fn note(&self, pipeline: usize, part: Stats, now: Nanos) -> Option<Stats> {
        let mut counted = self.counted();
        counted.put(pipeline, part);
        let interval = counted.interval?;
        let next = *counted.next_stats.get_or_insert(now.saturating_add(interval));
        if now < next {
            return None;
        }
        counted.next_stats = Some(now.saturating_add(interval));
        Some(counted.sum())
    }

    /// Notes what a pipeline has counted in all. The last one to end gets the sums.
    pub(super) fn end(&self, pipeline: usize, part: Stats) -> Option<Stats> {
        let mut counted = self.counted();
        counted.put(pipeline, part);
        counted.at_work = counted.at_work.saturating_sub(1);
        (counted.at_work == 0).then(|| counted.sum())
    }

    /// The sums of what was noted.
    pub(super) fn sum(&self) -> Stats {
        self.counted().sum()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Nothing here can be left half done.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn put(&mut self, pipeline: usize, part: Stats) {
        if let Some(place) = self.parts.get_mut(pipeline) {
            *place = part;
        }
    }

    fn sum(&self) -> Stats {
        self.parts.iter().fold(Stats::default(), add_stats)
    }
}

/// The sums of two accounts.
pub(crate) fn add_stats(sum: Stats, part: &Stats) -> Stats {
    let Stats {
        segments,
        bytes,
        lost,
        lost_bytes,
        unparsed,
        fragments,
        bypassed,
        bypassed_bytes,
        elided_bytes,
        connections,
        flows,
        messages,
        violations,
        gaps,
        forgotten_syns,
        dropped,
    } = *part;
    Stats {
        segments: sum.segments + segments,
        bytes: sum.bytes + bytes,
        lost: sum.lost + lost,
        lost_bytes: sum.lost_bytes + lost_bytes,
        unparsed: sum.unparsed + unparsed,
        fragments: sum.fragments + fragments,
        bypassed: sum.bypassed + bypassed,
        bypassed_bytes: sum.bypassed_bytes + bypassed_bytes,
        elided_bytes: sum.elided_bytes + elided_bytes,
        connections: sum.connections + connections,
        flows: sum.flows + flows,
        messages: sum.messages + messages,
        violations: sum.violations + violations,
        gaps: sum.gaps + gaps,
        forgotten_syns: sum.forgotten_syns + forgotten_syns,
        dropped: sum.dropped + dropped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(segments: u64) -> Stats {
        Stats { segments, ..Stats::default() }
    }

    #[test]
    fn the_sums_are_told_every_interval_by_whoever_comes_first() {
        let joint = Joint::new(2, Some(10));
        let segments = |told: Option<Stats>| told.map(|stats| stats.segments);
        assert_eq!(segments(joint.note(0, part(1), 100)), None);
        assert_eq!(segments(joint.note(1, part(20), 109)), None);
        assert_eq!(segments(joint.note(1, part(30), 110)), Some(31));
        assert_eq!(segments(joint.note(0, part(2), 111)), None);
        assert_eq!(segments(joint.note(0, part(3), 120)), Some(33));
    }

    #[test]
    fn another_interval_counts_from_when_it_is_set() {
        let joint = Joint::new(1, Some(10));
        let is_told = |now| joint.note(0, part(1), now).is_some();
        assert!(!is_told(100));
        joint.set_interval(Some(10));
        assert!(is_told(110), "it is the same");
        joint.set_interval(Some(3));
        assert!(!is_told(112) && is_told(115) && !is_told(117) && is_told(118));
        joint.set_interval(None);
        assert!(!is_told(1000));
    }

    #[test]
    fn the_last_to_end_gets_the_sums() {
        let joint = Joint::new(3, None);
        assert!(joint.note(2, part(400), 1 << 60).is_none(), "no interval");
        assert!(joint.end(1, part(20)).is_none());
        assert!(joint.end(0, part(3)).is_none());
        assert_eq!(joint.end(2, part(500)).map(|stats| stats.segments), Some(523));
    }

    #[test]
    fn no_more_messages_are_taken_than_are_wanted() {
        let wanted = Wanted::new(1000);
        let take_some = || (0..700).filter(|_| wanted.take()).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take_some)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
        assert!(wanted.is_none());
    }
}
