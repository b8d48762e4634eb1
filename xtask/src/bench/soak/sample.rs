//! What is looked at every few seconds, as lines of a table: a process and what it told come in.

use std::{
    io::{self, Write},
    time::Instant,
};

use anyhow::Result;

use super::reader::{Reader, Told};
use crate::bench::process::{self, Cpu};

/// One look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) seconds: f64,
    /// All that is resident, the ring buffer too, in KiB.
    pub(super) resident: u64,
    /// What is the tracer's own of it.
    pub(super) own: u64,
    pub(super) descriptors: usize,
    /// Of one CPU, since the sample before, in percent.
    pub(super) cpu: f64,
    pub(super) told: Told,
}

/// The samples of a process.
pub(super) struct Samples {
    pid: u32,
    begin: Instant,
    last: (Instant, Cpu),
    pub(super) all: Vec<Sample>,
}

impl Samples {
    pub(super) fn of(pid: u32) -> Result<Self> {
        let begin = Instant::now();
        Ok(Self { pid, begin, last: (begin, Cpu::of(&[pid])?), all: Vec::new() })
    }

    /// Looks now.
    pub(super) fn take(&mut self, reader: &Reader) -> Result<&Sample> {
        let (now, cpu) = (Instant::now(), Cpu::of(&[self.pid])?);
        let used = cpu.since(self.last.1).total_ms();
        let elapsed = (now - self.last.0).as_secs_f64() * 1e3;
        self.last = (now, cpu);
        let (resident, own) = process::memory_kib(self.pid)?;
        self.all.push(Sample {
            seconds: (now - self.begin).as_secs_f64(),
            resident,
            own,
            descriptors: process::descriptors(self.pid)?,
            cpu: 100.0 * used / elapsed.max(1.0),
            told: reader.look(),
        });
        Ok(&self.all[self.all.len() - 1])
    }
}

/// The columns' names.
pub(super) const HEADING: &str = "seconds,resident_kib,own_kib,descriptors,cpu_percent,lag_ms,\
    segments,lost,connections,messages,gaps,dropped";

impl Sample {
    /// As a line of comma-separated values.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let Self { seconds, resident, own, descriptors, cpu, told } = self;
        let Told { messages, gaps, dropped, stats, lag_ms, .. } = told;
        writeln!(
            to,
            "{seconds:.1},{resident},{own},{descriptors},{cpu:.0},{lag_ms},{},{},{},{messages},{gaps},\
             {dropped}",
            stats.segments, stats.lost, stats.connections,
        )
    }
}
