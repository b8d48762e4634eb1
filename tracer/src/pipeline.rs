//! From segments to lines: the same for a capture file and for the running kernel. Where a run has
//! several pipelines, each has connections of its own, and what they say together adds up.

mod joint;

use std::{io, sync::Arc};

pub(crate) use joint::add_stats;
use joint::{Joint, Wanted};

use crate::{
    config::Config,
    event::{Body, Event, SCHEMA_VERSION, Sink, Start, Stats},
    metrics::{Board, Metering},
    output::{Look, WallClock},
    segment::{Interest, Nanos, Segment},
    session::{ConnectionSummary, Options, Tracker},
    sink::Feed,
};

/// Decodes segments and writes events.
pub struct Pipeline {
    tracker: Tracker,
    lines: Lines,
    joint: Arc<Joint>,
    /// Its number among the run's pipelines.
    number: usize,
    ports: String,
}

/// The outputs, up to the wanted number of messages.
struct Lines {
    feed: Feed,
    /// How many are still wanted, by all pipelines.
    wanted: Option<Arc<Wanted>>,
    /// Counts what is told, where somebody wants to know.
    metering: Option<Box<Metering>>,
}

impl Sink for Lines {
    fn emit(&mut self, event: &Event<'_>) {
        if let Some(wanted) = &self.wanted {
            let is_wanted = match event.body {
                Body::WsMessage(_) => wanted.take(),
                _ => !wanted.is_none(),
            };
            if !is_wanted {
                return;
            }
        }
        if let Some(metering) = &mut self.metering {
            metering.count(event);
        }
        self.feed.emit(event);
    }
}

/// What a run has to say of where it listens.
pub struct Listening<'a> {
    /// `live`, or the file.
    pub source: &'a str,
    /// The network namespace, unless it is our own.
    pub netns: Option<&'a str>,
    /// The interfaces, empty for a file.
    pub interfaces: &'a [String],
    /// This host's name.
    pub host: &'a str,
    /// The running kernel's release.
    pub kernel: &'a str,
}

/// What can change while a pipeline is at work.
pub struct Change {
    /// What is wanted of the decoder, but the bounds.
    pub options: Options,
    /// Time between `stats` events; `None`: only at the end.
    pub stats_interval: Option<Nanos>,
    /// Where events go.
    pub feed: Feed,
}

/// What a pipeline came to.
pub struct Finished {
    /// The sums of all pipelines, from the last one to end.
    pub stats: Option<Stats>,
    /// The connections with the most messages.
    pub connections: Vec<ConnectionSummary>,
    /// Whether all could be written.
    pub written: io::Result<()>,
}

impl Pipeline {
    /// A pipeline that writes to `to` what the first output would be given.
    pub fn new(config: &Config, to: Box<dyn io::Write + Send>) -> Self {
        let look = config.outputs.first().map_or(Look::Json, |wanted| wanted.look);
        Self::several(config, vec![Feed::direct(look, to)]).remove(0)
    }

    /// The pipelines of a run whose connections are divided among them: one for each feed. Those of a
    /// run lead to the same outputs.
    pub fn several(config: &Config, feeds: Vec<Feed>) -> Vec<Self> {
        let joint = Arc::new(Joint::new(feeds.len(), config.stats_interval));
        let wanted = config.count.map(|count| Arc::new(Wanted::new(count)));
        let trackers = Tracker::several(config.options.clone(), feeds.len());
        let each = trackers.into_iter().zip(feeds).enumerate();
        each.map(|(number, (tracker, feed))| {
            let lines = Lines { feed, wanted: wanted.clone(), metering: None };
            let ports = config.ports.to_string();
            Self { tracker, lines, joint: Arc::clone(&joint), number, ports }
        })
        .collect()
    }

    /// Goes on as is wanted now. What was collected goes to the outputs that it had.
    pub fn change(&mut self, change: Change, now: Nanos) -> io::Result<()> {
        let Change { options, stats_interval, feed } = change;
        self.tracker.set_options(&options, now, &mut self.lines);
        self.joint.set_interval(stats_interval);
        let flushed = self.flush();
        self.lines.feed = feed;
        flushed
    }

    /// What all pipelines of the run have counted so far; `counters` gives the capture's.
    pub fn counted(&self, counters: impl FnOnce(&mut Stats)) -> Stats {
        self.joint.put(self.number, self.tracker.stats());
        self.with_counters(self.joint.sum(), counters)
    }

    /// Counts what it tells from now on, for the board to show.
    pub fn count_for(&mut self, board: &Arc<Board>) {
        self.lines.metering = Some(Box::new(Metering::new(board, self.number)));
    }

    /// Takes note that so many bytes of a buffer of `size` wait for this pipeline.
    pub fn note_waiting(&mut self, waiting: impl FnOnce() -> Option<usize>, size: usize) {
        if let Some(metering) = &mut self.lines.metering
            && let Some(waiting) = waiting()
        {
            metering.ring(waiting, size);
        }
    }

    /// Sets the clock that shows the time of events.
    pub fn set_clock(&mut self, clock: WallClock) {
        self.lines.feed.set_clock(clock);
    }

    /// Says that the run begins.
    pub fn start(&mut self, time: Nanos, listening: &Listening<'_>) {
        let start = Start {
            v: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            host: listening.host,
            kernel: listening.kernel,
            source: listening.source,
            netns: listening.netns,
            interfaces: listening.interfaces,
            ports: &self.ports,
        };
        let body = Body::Start(start);
        self.lines.feed.emit(&Event { time, conn: None, from: None, body });
    }

    /// Takes a segment. Says what more of its direction is good for.
    pub fn segment(&mut self, segment: &Segment<'_>) -> Interest {
        self.tracker.segment(segment, &mut self.lines)
    }

    /// The same as [`Pipeline::tick`] where the capture knows what it has missed.
    pub fn tick_live(&mut self, now: Nanos, mut counters: impl FnMut(&mut Stats)) {
        if self.tracker.next_hole().is_some_and(|due| due <= now) {
            let mut stats = Stats::default();
            counters(&mut stats);
            let Stats { lost, unparsed, fragments, .. } = stats;
            self.tracker.note_missed(lost + unparsed + fragments, now);
        }
        self.tick(now, counters);
    }

    /// Does what is due at `now`; `counters` gives the capture's.
    pub fn tick(&mut self, now: Nanos, mut counters: impl FnMut(&mut Stats)) {
        self.tracker.tick(now, &mut self.lines);
        self.publish(now, &mut counters);
        if let Some(sums) = self.joint.note(self.number, self.tracker.stats(), now) {
            self.emit_stats(now, sums, counters);
        }
    }

    /// Shows on the board what was counted so far.
    fn publish(&mut self, now: Nanos, counters: impl FnOnce(&mut Stats)) {
        if let Some(metering) = &mut self.lines.metering {
            metering.publish(now, self.tracker.stats(), self.tracker.holdings(), counters);
        }
    }

    /// When [`Pipeline::tick`] has something to do next, if not before the next segment.
    pub fn next_tick(&self) -> Option<Nanos> {
        self.tracker.next_tick()
    }

    /// Whether nothing more is wanted: enough messages, or nowhere to write them.
    pub fn is_done(&self) -> bool {
        self.lines.wanted.as_ref().is_some_and(|wanted| wanted.is_none())
            || self.lines.feed.has_failed()
    }

    /// Whether any pipeline of the run had a segment by its latest tick.
    pub fn has_seen_any(&self) -> bool {
        self.joint.sum().segments > 0
    }

    /// Bytes that its connections hold.
    pub fn held(&self) -> usize {
        self.tracker.held()
    }

    /// Writes what was collected.
    pub fn flush(&mut self) -> io::Result<()> {
        self.lines.feed.flush()
    }

    /// Ends the run: what waits comes out, then, if no other pipeline is at work, the last `stats`.
    pub fn finish(mut self, now: Nanos, mut counters: impl FnMut(&mut Stats)) -> Finished {
        self.tracker.finish(now, &mut self.lines);
        self.publish(now, &mut counters);
        // Before another one may say what all have come to. An error stays.
        self.flush().ok();
        let sums = self.joint.end(self.number, self.tracker.stats());
        let stats = sums.map(|sums| self.emit_stats(now, sums, counters));
        let written = self.lines.feed.conclude();
        Finished { stats, connections: self.tracker.summaries(), written }
    }

    /// The sums of what pipelines have counted, with what others count.
    fn with_counters(&self, mut sums: Stats, counters: impl FnOnce(&mut Stats)) -> Stats {
        counters(&mut sums);
        sums.dropped = self.lines.feed.dropped().events;
        sums
    }

    fn emit_stats(&mut self, time: Nanos, sums: Stats, counters: impl FnOnce(&mut Stats)) -> Stats {
        let stats = self.with_counters(sums, counters);
        let body = Body::Stats(stats);
        self.lines.feed.emit(&Event { time, conn: None, from: None, body });
        stats
    }
}
