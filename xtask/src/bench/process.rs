//! What processes and the machine have used so far, from proc(5).

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

/// Ticks of /proc/stat and /proc/PID/stat a second: `USER_HZ`, 100 on every architecture with BPF.
const TICK_MS: u64 = 10;

/// CPU time in milliseconds. The kernel's precise sum, split by where its ticks fell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cpu {
    pub(super) user_ms: u64,
    pub(super) system_ms: u64,
}

impl Cpu {
    /// Of processes together.
    pub(super) fn of(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let stat = read(&format!("/proc/{pid}/stat"))?;
            let (user, system) =
                cpu_ticks(&stat).with_context(|| format!("/proc/{pid}/stat is odd"))?;
            sum.user_ms += user * TICK_MS;
            sum.system_ms += system * TICK_MS;
        }
        Ok(sum)
    }

    pub(super) fn total_ms(self) -> f64 {
        (self.user_ms + self.system_ms) as f64
    }

    /// What came after `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            user_ms: self.user_ms.saturating_sub(earlier.user_ms),
            system_ms: self.system_ms.saturating_sub(earlier.system_ms),
        }
    }
}

/// `utime` and `stime`, the 14th and 15th field; the second is a name in brackets that may contain
/// anything.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// How often the threads of these processes went to sleep: each has to be woken again.
pub(super) fn switches(pids: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let tasks = format!("/proc/{pid}/task");
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot list {tasks}"))? {
            let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            // A thread may end meanwhile.
            sum += field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
        }
    }
    Ok(sum)
}

/// The most memory that these processes had resident, in KiB.
pub(super) fn peak_memory_kib(pids: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let status = read(&format!("/proc/{pid}/status"))?;
        sum += field(&status, "VmHWM:").with_context(|| format!("process {pid} has no VmHWM"))?;
    }
    Ok(sum)
}

/// Memory of a process now, in KiB: all that is resident, and what nobody shares with it.
pub(super) fn memory_kib(pid: u32) -> Result<(u64, u64)> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let of = |name| field(&status, name).with_context(|| format!("process {pid} has no {name}"));
    Ok((of("VmRSS:")?, of("RssAnon:")?))
}

/// How many descriptors a process has open.
pub(super) fn descriptors(pid: u32) -> Result<usize> {
    let directory = format!("/proc/{pid}/fd");
    Ok(fs::read_dir(&directory).with_context(|| format!("cannot list {directory}"))?.count())
}

fn field(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

/// A process and its children: tshark lets another program capture.
pub(super) fn family(pid: Pid) -> Result<Vec<u32>> {
    let parent = pid.as_raw_pid().cast_unsigned();
    let mut family = vec![parent];
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if parent_of(&stat) == Some(parent) {
            family.push(pid);
        }
    }
    Ok(family)
}

fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// What all CPUs together have not done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Idle {
    /// With nothing to do.
    pub(super) idle_ms: u64,
    /// Something to do, and the host let others run.
    pub(super) stolen_ms: u64,
}

impl Idle {
    pub(super) fn now() -> Result<Self> {
        Self::parse(&read("/proc/stat")?).context("/proc/stat is odd")
    }

    /// `cpu user nice system idle iowait irq softirq steal …`
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<u64> = stat
            .lines()
            .next()?
            .strip_prefix("cpu ")?
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        let [_, _, _, idle, waiting, _, _, stolen, ..] = fields[..] else { return None };
        Some(Self { idle_ms: (idle + waiting) * TICK_MS, stolen_ms: stolen * TICK_MS })
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(Path::new(path)).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "812 (a (b) c) S 7 812 812 0 -1 4194560 1 2 0 0 150 20 0 0 20 0 3 0 94 1 2";

    #[test]
    fn fields_are_found_behind_any_name() {
        assert_eq!(cpu_ticks(STAT), Some((150, 20)));
        assert_eq!(parent_of(STAT), Some(7));
    }

    #[test]
    fn idle_time_is_what_waits_too() {
        let idle = Idle::parse("cpu  10 0 5 700 30 0 1 9 0 0\ncpu0 5 0 2 350 15 0 0 4 0 0\n");
        assert_eq!(idle, Some(Idle { idle_ms: 7_300, stolen_ms: 90 }));
        assert_eq!(Idle::parse("intr 1 2 3"), None);
    }

    #[test]
    fn we_use_memory_and_have_slept() {
        let us = [std::process::id()];
        assert!(peak_memory_kib(&us).expect("proc is mounted") > 100);
        std::thread::sleep(std::time::Duration::from_millis(1));
        assert!(switches(&us).expect("proc is mounted") > 0);
        assert!(Cpu::of(&us).is_ok());
        let (all, own) = memory_kib(us[0]).expect("proc is mounted");
        assert!(all > own && own > 100, "{all} and {own} KiB");
        assert!(descriptors(us[0]).expect("proc is mounted") >= 3);
    }
}
