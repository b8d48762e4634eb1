//! The kernel's counters, added up over the CPUs.

use aya::maps::{MapData, PerCpuArray};
use tracer_common::counters::Counters;

use crate::event::Stats;

/// Reads the counters of the loaded classifier.
pub struct KernelCounters(PerCpuArray<MapData, Counters>);

impl KernelCounters {
    /// Reads from this map.
    pub fn new(map: PerCpuArray<MapData, Counters>) -> Self {
        Self(map)
    }

    /// The sums so far. A map that cannot be read counts nothing.
    pub fn read(&self) -> Counters {
        let mut sum = Counters::default();
        if let Ok(values) = self.0.get(&0, 0) {
            values.iter().for_each(|of_cpu| sum.add(of_cpu));
        }
        sum
    }

    /// Fills in what only the kernel knows.
    pub fn fill(&self, stats: &mut Stats) {
        let Counters {
            seen: _,
            matched: _,
            copied: _,
            lost,
            lost_bytes,
            unparsed,
            fragments,
            bypassed,
            bypassed_bytes,
            elided_bytes,
        } = self.read();
        stats.lost = lost;
        stats.lost_bytes = lost_bytes;
        stats.unparsed = unparsed;
        stats.fragments = fragments;
        stats.bypassed = bypassed;
        stats.bypassed_bytes = bypassed_bytes;
        stats.elided_bytes = elided_bytes;
    }
}
