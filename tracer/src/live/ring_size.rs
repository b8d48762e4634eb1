//! How large a ring buffer suits the machine.

use std::fs;

const MIB: u64 = 1 << 20;

/// Payload limits above this make the consumer slower than bulk traffic can be.
const LARGE_PAYLOAD: usize = 64 << 10;

/// Bytes for the ring buffer. It should stay in the last-level cache (a ring of 64 MiB made bulk
/// traffic a third slower than one of 4 to 16 MiB), and hold what comes while the consumer waits for
/// a CPU: more CPUs send more. Where whole payloads are shown, not to lose counts more than speed.
pub(super) fn for_this_machine(payload_limit: usize) -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    choose(cpus, last_level_cache(), total_memory(), payload_limit > LARGE_PAYLOAD)
}

fn choose(cpus: u64, cache: Option<u64>, memory: Option<u64>, large_payloads: bool) -> u32 {
    if large_payloads {
        return 1 << memory.map_or(64 * MIB, |memory| memory / 64).clamp(MIB, 64 * MIB).ilog2();
    }
    let by_cpus = (2 * MIB).saturating_mul(cpus).clamp(8 * MIB, 64 * MIB);
    let by_cache = cache.map_or(16 * MIB, |cache| cache / 2).max(4 * MIB);
    let by_memory = memory.map_or(u64::MAX, |memory| memory / 64).max(MIB);
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

/// `MemTotal` of `/proc/meminfo`.
fn total_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_within_bounds() {
        assert_eq!(choose(2, Some(260 * MIB), Some(24 << 30), false), 8 << 20);
        assert_eq!(choose(1, Some(MIB), Some(512 * MIB), false), 4 << 20);
        assert_eq!(choose(64, Some(256 * MIB), Some(256 << 30), false), 64 << 20);
        assert_eq!(choose(64, Some(36 * MIB), None, false), 16 << 20);
        assert_eq!(choose(4, None, Some(64 * MIB), false), 1 << 20);
        assert_eq!(choose(2, Some(260 * MIB), Some(24 << 30), true), 64 << 20);
        assert_eq!(choose(2, None, Some(1 << 30), true), 16 << 20);
    }
}
