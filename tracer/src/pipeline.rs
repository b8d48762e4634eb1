//! From segments to lines: the same for a capture file and for the running kernel.

use std::io;

use crate::{
    cli::FormatName,
    config::Config,
    event::{Body, Event, SCHEMA_VERSION, Sink, Start, Stats},
    output::{Json, Output, Text, WallClock},
    segment::{Interest, Nanos, Segment},
    session::{ConnectionSummary, Tracker},
};

/// Decodes segments and writes events.
pub struct Pipeline {
    tracker: Tracker,
    lines: Lines,
    stats_interval: Option<Nanos>,
    next_stats: Option<Nanos>,
    ports: String,
}

/// The output, up to the wanted number of messages.
struct Lines {
    output: Output,
    /// Messages still wanted.
    left: Option<u64>,
}

impl Sink for Lines {
    fn emit(&mut self, event: &Event<'_>) {
        if self.left == Some(0) {
            return;
        }
        self.output.emit(event);
        if let (Body::WsMessage(_), Some(left)) = (&event.body, &mut self.left) {
            *left -= 1;
        }
    }
}

/// What a run has to say of where it listens.
pub struct Listening<'a> {
    /// `live`, or the file.
    pub source: &'a str,
    /// The interfaces, empty for a file.
    pub interfaces: &'a [String],
    /// This host's name.
    pub host: &'a str,
    /// The running kernel's release.
    pub kernel: &'a str,
}

impl Pipeline {
    /// A pipeline that writes to `to`.
    pub fn new(config: &Config, to: Box<dyn io::Write + Send>) -> Self {
        let output = match config.format {
            FormatName::Json => Output::new(Box::new(Json::default()), to),
            FormatName::Text => Output::new(Box::new(Text::new(config.style)), to),
        };
        Self {
            tracker: Tracker::new(config.options.clone()),
            lines: Lines { output, left: config.count },
            stats_interval: config.stats_interval,
            next_stats: None,
            ports: config.ports.to_string(),
        }
    }

    /// Sets the clock that shows the time of events.
    pub fn set_clock(&mut self, clock: WallClock) {
        self.lines.output.clock = clock;
    }

    /// Says that the run begins.
    pub fn start(&mut self, time: Nanos, listening: &Listening<'_>) {
        let start = Start {
            v: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION"),
            host: listening.host,
            kernel: listening.kernel,
            source: listening.source,
            interfaces: listening.interfaces,
            ports: &self.ports,
        };
        let body = Body::Start(start);
        self.lines.output.emit(&Event { time, conn: None, from: None, body });
    }

    /// Takes a segment. Says what more of its direction is good for.
    pub fn segment(&mut self, segment: &Segment<'_>) -> Interest {
        self.tracker.segment(segment, &mut self.lines)
    }

    /// Does what is due at `now`; `counters` gives the capture's.
    pub fn tick(&mut self, now: Nanos, counters: impl FnOnce(&mut Stats)) {
        self.tracker.tick(now, &mut self.lines);
        let Some(interval) = self.stats_interval else { return };
        let next = *self.next_stats.get_or_insert(now.saturating_add(interval));
        if now >= next {
            self.next_stats = Some(now.saturating_add(interval));
            self.emit_stats(now, counters);
        }
    }

    /// When [`Pipeline::tick`] has something to do next, if not before the next segment.
    pub fn next_tick(&self) -> Option<Nanos> {
        self.tracker.next_tick()
    }

    /// Whether nothing more is wanted: enough messages, or nowhere to write them.
    pub fn is_done(&self) -> bool {
        self.lines.left == Some(0) || self.lines.output.has_failed()
    }

    /// Segments seen so far.
    pub fn segments(&self) -> u64 {
        self.tracker.stats().segments
    }

    /// Writes what was collected.
    pub fn flush(&mut self) -> io::Result<()> {
        self.lines.output.flush()
    }

    /// Ends the run: what waits comes out, then the last `stats`.
    pub fn finish(
        mut self,
        now: Nanos,
        counters: impl FnOnce(&mut Stats),
    ) -> (Stats, Vec<ConnectionSummary>, io::Result<()>) {
        self.tracker.finish(now, &mut self.lines);
        let stats = self.emit_stats(now, counters);
        (stats, self.tracker.summaries(), self.flush())
    }

    fn emit_stats(&mut self, time: Nanos, counters: impl FnOnce(&mut Stats)) -> Stats {
        let mut stats = self.tracker.stats();
        counters(&mut stats);
        let body = Body::Stats(stats);
        self.lines.output.emit(&Event { time, conn: None, from: None, body });
        stats
    }
}
