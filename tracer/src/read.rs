//! `--read`: decodes a capture file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use ::tracing::warn;
use anyhow::{Context as _, Result, anyhow, bail};
use tracer_common::packet::Skip;

use crate::{
    capture::file::Reader,
    config::Config,
    event::Stats,
    logs,
    output::summary,
    pipeline::{Finished, Listening, Pipeline},
    segment::{Nanos, Segment},
    session::busiest,
    sink::{Outputs, Overflow},
};

/// File time between two looks at what is due.
const TICK: Nanos = 100_000_000;
/// Ports remembered for the hint at an unmatched file.
const MAX_PORTS: usize = 1024;

/// Decodes the file at `path`.
pub fn file(path: &Path, config: &Config) -> Result<()> {
    let name = path.display().to_string();
    let metadata = path.metadata().with_context(|| format!("cannot open {name}"))?;
    if metadata.is_dir() {
        bail!("cannot read {name}: it is a directory; name a pcap or pcapng file");
    }
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    capture(file, &name, config)
}

/// Decodes standard input.
pub fn stdin(config: &Config) -> Result<()> {
    capture(io::stdin().lock(), "standard input", config)
}

fn capture(input: impl Read, name: &str, config: &Config) -> Result<()> {
    let mut reader = Reader::new(input).with_context(|| format!("cannot read {name}"))?;
    let outputs = Outputs::open(&config.outputs, Overflow::Wait, 0, || Ok(()))?;
    let mut run = Run {
        pipeline: Pipeline::several(config, vec![outputs.feed()]).remove(0),
        config,
        name,
        counted: Stats::default(),
        ports: BTreeMap::new(),
        time: None,
        next_tick: 0,
    };
    let read = run.packets(&mut reader);
    if let Some(unsupported) = reader.unsupported() {
        warn!(
            "{name}: {} packets have the unsupported link type {} and were left out",
            unsupported.packets, unsupported.link_type
        );
    }
    run.finish(outputs)?;
    read.with_context(|| format!("cannot read {name} to its end"))
}

/// A file on its way through the pipeline.
struct Run<'a> {
    pipeline: Pipeline,
    config: &'a Config,
    name: &'a str,
    counted: Stats,
    /// How many segments were on other ports.
    ports: BTreeMap<u16, u64>,
    /// The latest packet's time.
    time: Option<Nanos>,
    next_tick: Nanos,
}

impl Run<'_> {
    fn packets<R: Read>(&mut self, reader: &mut Reader<R>) -> Result<()> {
        while !self.pipeline.is_done()
            && let Some(packet) = reader.next_packet()?
        {
            self.at(packet.time);
            match packet.segment() {
                Ok(segment) => self.segment(&segment),
                Err(Skip::NotTcp) => {}
                Err(Skip::Fragment) => self.counted.fragments += 1,
                Err(Skip::Malformed) => self.counted.unparsed += 1,
            }
        }
        Ok(())
    }

    /// Lets time pass, as the file's packets do.
    fn at(&mut self, time: Nanos) {
        if self.time.is_none() {
            self.start(time);
        }
        self.time = Some(time.max(self.time.unwrap_or_default()));
        let went_back = time.saturating_add(2 * TICK) < self.next_tick;
        if time >= self.next_tick || went_back {
            self.next_tick = time.saturating_add(TICK);
            let Stats { fragments, unparsed, .. } = self.counted;
            self.pipeline.tick(time, |stats| {
                stats.fragments = fragments;
                stats.unparsed = unparsed;
            });
        }
    }

    fn start(&mut self, time: Nanos) {
        let listening =
            Listening { source: self.name, netns: None, interfaces: &[], host: "", kernel: "" };
        self.pipeline.start(time, &listening);
    }

    fn segment(&mut self, segment: &Segment<'_>) {
        let ports = &self.config.options.ports;
        let (source, destination) = (segment.source.port, segment.destination.port);
        if !ports.contains(source) && !ports.contains(destination) {
            let server = source.min(destination);
            if self.ports.len() < MAX_PORTS || self.ports.contains_key(&server) {
                *self.ports.entry(server).or_default() += 1;
            }
            return;
        }
        self.pipeline.segment(segment);
    }

    fn finish(mut self, outputs: Outputs) -> Result<()> {
        let time = self.time.unwrap_or_default();
        if self.time.is_none() {
            self.start(time);
        }
        let Stats { fragments, unparsed, .. } = self.counted;
        let Finished { stats, connections, written } = self.pipeline.finish(time, |stats| {
            stats.fragments = fragments;
            stats.unparsed = unparsed;
        });
        written?;
        outputs.finish()?;
        let stats = stats.unwrap_or_default();
        logs::say(&summary(&stats, &busiest(connections)));
        if stats.segments == 0 {
            return Err(no_traffic(self.name, &self.config.ports.to_string(), &self.ports));
        }
        Ok(())
    }
}

fn no_traffic(name: &str, wanted: &str, found: &BTreeMap<u16, u64>) -> anyhow::Error {
    let mut found: Vec<_> = found.iter().map(|(port, count)| (*count, *port)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    let busiest: Vec<_> = found.iter().take(5).map(|(_, port)| port.to_string()).collect();
    if busiest.is_empty() {
        return anyhow!("{name} has no TCP segment at all");
    }
    let busiest = busiest.join(", ");
    anyhow!("{name} has no segment of port {wanted}; choose with --port, the busiest are {busiest}")
}
