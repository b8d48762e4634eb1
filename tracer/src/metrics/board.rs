//! Where the pipelines of a run put what they have counted: a copy from each comes in once a drain, the
//! sums come out whenever somebody asks. A pipeline waits for nobody longer than a copy takes.

use std::sync::{Arc, Mutex, PoisonError};

use super::Meter;
use crate::{
    event::{Event, Stats},
    pipeline::add_stats,
    segment::{Nanos, SECOND},
    session::Holdings,
};

/// What pipelines have counted, alone or together.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Events.
    pub meter: Meter,
    /// What the tracker, and a capture that says so, count anyway.
    pub stats: Stats,
    /// What the tracker holds.
    pub holdings: Holdings,
}

impl Counted {
    fn add(&mut self, other: &Self) {
        let Self { meter, stats, holdings } = other;
        self.meter.add(meter);
        self.stats = add_stats(self.stats, stats);
        let Holdings { bytes, half_open, waiting, violations } = holdings;
        let all = &mut self.holdings;
        all.bytes += bytes;
        all.half_open += half_open;
        all.waiting += waiting;
        super::meter::add(&mut all.violations, violations);
    }
}

/// The latest of every pipeline, each with a lock of its own.
#[derive(Debug)]
pub struct Board {
    parts: Vec<Mutex<Counted>>,
    asks_captures: bool,
}

impl Board {
    /// For so many pipelines. `asks_captures`: nobody else can say what the capture has missed.
    pub fn new(pipelines: usize, asks_captures: bool) -> Arc<Self> {
        let parts = (0..pipelines).map(|_| Mutex::default()).collect();
        Arc::new(Self { parts, asks_captures })
    }

    /// What all pipelines have counted.
    pub fn sum(&self) -> Counted {
        let mut sum = Counted::default();
        for part in &self.parts {
            // Nothing can be left half done.
            sum.add(&part.lock().unwrap_or_else(PoisonError::into_inner));
        }
        sum
    }

    fn put(&self, pipeline: usize, meter: &Meter, stats: Stats, holdings: Holdings) {
        let Some(part) = self.parts.get(pipeline) else { return };
        let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
        part.meter.clone_from(meter);
        part.stats = stats;
        part.holdings = holdings;
    }
}

/// One pipeline's meter, and its place on the board.
pub struct Metering {
    meter: Meter,
    board: Arc<Board>,
    pipeline: usize,
    /// What the capture said last, and when it is asked again.
    capture: Stats,
    ask_again: Nanos,
}

impl Metering {
    /// Counts for the pipeline of this number.
    pub fn new(board: &Arc<Board>, pipeline: usize) -> Self {
        let (meter, capture) = (Meter::default(), Stats::default());
        Self { meter, board: Arc::clone(board), pipeline, capture, ask_again: 0 }
    }

    /// Counts what happened.
    pub fn count(&mut self, event: &Event<'_>) {
        self.meter.count(event);
    }

    /// Counts how much waited in a ring buffer of `size` bytes when its consumer came, unless it came
    /// for nothing.
    pub fn ring(&mut self, waiting: usize, size: usize) {
        if waiting > 0 {
            self.meter.ring(waiting, size);
        }
    }

    /// Shows what was counted up to `now`. `capture` is asked once a second, if at all.
    pub fn publish(
        &mut self,
        now: Nanos,
        stats: Stats,
        holdings: Holdings,
        capture: impl FnOnce(&mut Stats),
    ) {
        if self.board.asks_captures && self.ask_again <= now {
            capture(&mut self.capture);
            self.ask_again = now.saturating_add(SECOND);
        }
        self.board.put(self.pipeline, &self.meter, add_stats(self.capture, &stats), holdings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: u64) -> Holdings {
        let mut holdings = Holdings { bytes, half_open: 1, waiting: 2, ..Holdings::default() };
        holdings.violations[3] = bytes;
        holdings
    }

    #[test]
    fn the_latest_of_each_pipeline_adds_up() {
        let board = Board::new(2, false);
        let mut pipelines = [0, 1].map(|number| Metering::new(&board, number));
        let segments = |segments| Stats { segments, ..Stats::default() };
        pipelines[0].publish(0, segments(100), held(100), |_| panic!("it is not asked"));
        pipelines[0].publish(0, segments(1), held(1), |_| panic!("it is not asked"));
        pipelines[1].publish(0, segments(20), held(20), |_| panic!("it is not asked"));
        let Counted { stats, holdings, .. } = board.sum();
        assert_eq!(stats.segments, 21);
        assert_eq!((holdings.bytes, holdings.violations[3]), (21, 21));
        assert_eq!((holdings.half_open, holdings.waiting), (2, 4));
    }

    #[test]
    fn a_capture_is_asked_once_a_second() {
        let board = Board::new(1, true);
        let mut metering = Metering::new(&board, 0);
        let mut asked = 0;
        for now in [0, SECOND / 2, SECOND, SECOND + 1, 2 * SECOND] {
            metering.publish(now, Stats::default(), Holdings::default(), |stats| {
                asked += 1;
                stats.lost = asked;
            });
        }
        assert_eq!(asked, 3);
        assert_eq!(board.sum().stats.lost, 3);
    }

    #[test]
    fn an_empty_ring_is_no_level() {
        let board = Board::new(1, false);
        let mut metering = Metering::new(&board, 0);
        for waiting in [0, 512, 1024] {
            metering.ring(waiting, 1024);
        }
        metering.publish(0, Stats::default(), Holdings::default(), |_| {});
        let fill = board.sum().meter.fill;
        assert_eq!((fill.count(), fill.sum()), (2, 1_500_000));
    }
}
