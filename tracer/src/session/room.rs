//! A bound that the trackers of a run keep together: how much each of them holds comes in, whether it
//! may come out. No lock: a tracker looks at what is common only when its own part does not do.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// What is common is taken, and given back, in steps of this part of the bound.
const STEPS: usize = 64;

/// One tracker's room. Of the bound one half is the trackers' own in equal parts, so that none can
/// be starved by another's peers; the other half is for who needs it. A tracker alone has it all.
pub(super) struct Room {
    own: usize,
    borrowed: usize,
    step: usize,
    common: Arc<AtomicUsize>,
}

impl Room {
    /// The rooms of `count` trackers. Each has room for one thing at least.
    pub(super) fn split(bound: usize, count: usize) -> Vec<Self> {
        let own = if count == 1 { bound } else { (bound / 2 / count).max(1) };
        let common = Arc::new(AtomicUsize::new(bound.saturating_sub(own * count)));
        let step = (bound / STEPS).max(1);
        (0..count).map(|_| Self { own, borrowed: 0, step, common: Arc::clone(&common) }).collect()
    }

    /// How much is there for the tracker now.
    pub(super) fn size(&self) -> usize {
        self.own + self.borrowed
    }

    /// Whether `wanted` fits in, if need be with more of what is common.
    #[inline]
    pub(super) fn has(&mut self, wanted: usize) -> bool {
        wanted <= self.size() || self.grow(wanted)
    }

    #[cold]
    fn grow(&mut self, wanted: usize) -> bool {
        let missing = wanted - self.size();
        let taken = |left: usize| left.min(missing.max(self.step));
        // It guards no other memory: the number alone counts.
        let left = self
            .common
            .fetch_update(Relaxed, Relaxed, |left| (left >= missing).then(|| left - taken(left)));
        self.borrowed += left.map_or(0, taken);
        left.is_ok()
    }

    /// Gives back what was borrowed and is not needed for `used`, but for a step: who needed more
    /// may soon do so again.
    pub(super) fn shrink(&mut self, used: usize) {
        let spare = self.size().saturating_sub(used);
        if self.borrowed > 0 && spare > 2 * self.step {
            let returned = self.borrowed.min(spare - self.step);
            self.borrowed -= returned;
            self.common.fetch_add(returned, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_random::Random;

    #[test]
    fn a_tracker_alone_has_it_all() {
        let mut room = Room::split(100, 1).remove(0);
        assert!(room.has(100));
        assert!(!room.has(101));
        assert_eq!(room.size(), 100);
    }

    #[test]
    fn one_of_several_can_have_its_own_part_and_what_is_common() {
        let mut rooms = Room::split(1000, 2);
        assert!(rooms[0].has(750), "250 of its own, and 500");
        assert!(!rooms[0].has(751));
        assert!(rooms[1].has(250), "nobody takes these");
        assert!(!rooms[1].has(251));
    }

    #[test]
    fn what_is_not_needed_any_more_goes_back() {
        let mut rooms = Room::split(1000, 2);
        assert!(rooms[0].has(750));
        rooms[0].shrink(749);
        assert!(!rooms[1].has(251), "a step is kept");
        rooms[0].shrink(0);
        assert_eq!(rooms[0].size(), 250);
        assert!(rooms[1].has(750));
    }

    #[test]
    fn each_has_room_for_one_however_little_there_is() {
        let mut rooms = Room::split(2, 4);
        assert!(rooms.iter_mut().all(|room| room.has(1)));
        assert!(!rooms.iter_mut().any(|room| room.has(2)));
    }

    #[test]
    fn together_they_never_have_more_than_the_bound() {
        let mut random = Random::new(4);
        for bound in [8, 100, 65_536] {
            let mut rooms = Room::split(bound, 4);
            for _ in 0..10_000 {
                let room = &mut rooms[random.below(4) as usize];
                let wanted = random.below(bound as u64 + 2) as usize;
                let before = room.size();
                let fits = room.has(wanted);
                assert_eq!(fits, wanted <= room.size(), "of {bound}");
                assert!(fits || room.size() == before, "what does not do is not taken");
                if random.below(3) == 0 {
                    room.shrink(wanted);
                }
                assert!(rooms.iter().map(Room::size).sum::<usize>() <= bound);
            }
        }
    }
}
