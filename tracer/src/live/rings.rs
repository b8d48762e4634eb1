//! How many ring buffers suit the machine, and how large.

use std::fs;

use anyhow::{Result, bail};
use aya::util::KernelVersion;
use rustix::system::{Sysinfo, sysinfo};

use crate::config::Live;

const MIB: u64 = 1 << 20;

/// Consumers unless the user wants more: each has memory of its own.
const MAX_CONSUMERS: u64 = 8;
/// The least that a ring buffer may have: whole pages, and room for the largest record.
const SMALLEST: u32 = 64 << 10;
/// Payload limits above this make the consumer slower than bulk traffic can be.
const LARGE_PAYLOAD: usize = 64 << 10;

/// Ring buffers, each with a consumer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rings {
    pub(super) count: u32,
    /// Bytes of each.
    pub(super) size: u32,
}

impl Rings {
    /// As the user wants them, or as it suits the machine.
    pub(super) fn choose(live: &Live, payload_limit: usize) -> Result<Self> {
        // Before, maps in one map had to be of the size that was compiled in (134fede4eecf).
        let several_since = KernelVersion::new(5, 10, 0);
        let can_have_several = KernelVersion::current().is_ok_and(|kernel| kernel >= several_since);
        let count = match live.threads {
            Some(count) if count > 1 && !can_have_several => {
                bail!("several threads want Linux 5.10 or later: leave out --threads")
            }
            Some(count) => count,
            None if can_have_several => count_for(cpus()),
            None => 1,
        };
        Ok(Self { count, size: part(total(live, payload_limit), count) })
    }
}

/// A consumer for every four CPUs. In docs/bench one decodes about 4 GB/s of long messages, and two CPUs
/// exchange 1 to 2.5 GB/s: four keep one busy. With few CPUs a second consumer would only take the
/// service's time for more wake-ups.
fn count_for(cpus: u64) -> u32 {
    (cpus / 4).clamp(1, MAX_CONSUMERS) as u32
}

/// One of `count` equal parts, as a power of two.
fn part(size: u32, count: u32) -> u32 {
    (1 << (size / count).max(1).ilog2()).max(SMALLEST)
}

fn cpus() -> u64 {
    std::thread::available_parallelism().map_or(1, usize::from) as u64
}

/// Bytes for all ring buffers, as the user wants them, or as it suits the machine.
pub(super) fn total(live: &Live, payload_limit: usize) -> u32 {
    live.ring_size.unwrap_or_else(|| for_this_machine(payload_limit))
}

/// What suits this machine: room for what comes while the consumer waits for a CPU, or before
/// it has said which frames need not be copied: with 8 MiB on two busy CPUs, 10 of 120 half-second
/// streams of 0.6 to 2.4 GB/s lost records, with 32 MiB none of 72. More CPUs send more. Half of the
/// last-level cache is enough: what does not stay in it slows down bulk traffic. Where whole
/// payloads are shown, not to lose counts more than speed.
fn for_this_machine(payload_limit: usize) -> u32 {
    choose(cpus(), last_level_cache(), total_memory(), payload_limit > LARGE_PAYLOAD)
}

fn choose(cpus: u64, cache: Option<u64>, memory: u64, large_payloads: bool) -> u32 {
    if large_payloads {
        return 1 << (memory / 64).clamp(MIB, 64 * MIB).ilog2();
    }
    let by_cpus = (16 * MIB).saturating_mul(cpus).clamp(8 * MIB, 64 * MIB);
    let by_cache = cache.map_or(16 * MIB, |cache| cache / 2).max(4 * MIB);
    let by_memory = (memory / 64).max(MIB);
    let wanted = by_cpus.min(by_cache).min(by_memory);
    // At most 64 MiB: it fits. The largest power of two not above it.
    1 << wanted.ilog2()
}

/// Size of the highest cache of the first CPU (`Documentation/ABI/testing/sysfs-devices-system-cpu`).
fn last_level_cache() -> Option<u64> {
    (0..5)
        .rev()
        .find_map(|index| {
            fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size")).ok()
        })
        .and_then(|size| size.trim().strip_suffix('K')?.parse::<u64>().ok())
        .map(|kib| kib << 10)
}

/// Of the machine, by sysinfo(2): `/proc/meminfo` is not there under `ProcSubset=pid` of systemd.exec(5).
fn total_memory() -> u64 {
    let Sysinfo { totalram, mem_unit, .. } = sysinfo();
    totalram.saturating_mul(mem_unit.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_within_bounds() {
        assert_eq!(choose(2, Some(260 * MIB), 24 << 30, false), 32 << 20);
        assert_eq!(choose(1, Some(MIB), 512 * MIB, false), 4 << 20);
        assert_eq!(choose(64, Some(256 * MIB), 256 << 30, false), 64 << 20);
        assert_eq!(choose(64, Some(36 * MIB), u64::MAX, false), 16 << 20);
        assert_eq!(choose(4, None, 64 * MIB, false), 1 << 20);
        assert_eq!(choose(2, Some(260 * MIB), 24 << 30, true), 64 << 20);
        assert_eq!(choose(2, None, 1 << 30, true), 16 << 20);
    }

    #[test]
    fn small_machines_have_one_ring_and_large_ones_one_for_every_four_cpus() {
        let counts = [1, 2, 4, 7, 8, 16, 32, 256].map(count_for);
        assert_eq!(counts, [1, 1, 1, 1, 2, 4, 8, 8]);
    }

    #[test]
    fn rings_share_what_one_would_have() {
        assert_eq!(part(8 << 20, 1), 8 << 20);
        assert_eq!(part(8 << 20, 4), 2 << 20);
        assert_eq!(part(8 << 20, 3), 2 << 20);
        assert_eq!(part(64 << 10, 64), SMALLEST);
    }
}
