//! Whether this process may load and attach programs at all, said before the kernel says EPERM.

use std::fs;

use anyhow::{Result, bail};

/// The capabilities wanted, and their numbers (`include/uapi/linux/capability.h`): to load the
/// program, to let it compute addresses in maps and records, to attach it.
const WANTED: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_PERFMON", 38), (NET_ADMIN, 12)];
const NET_ADMIN: &str = "CAP_NET_ADMIN";
const CAP_SYS_ADMIN: u32 = 21;

/// Fails with what is missing and what to do.
pub fn check() -> Result<()> {
    let Some(effective) = effective_capabilities() else { return Ok(()) };
    let missing = missing(effective);
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "no permission to trace: run `sudo tracer ...` (missing {}), or read a capture file with --read",
        missing.join(", ")
    )
}

/// The effective set of this process (proc(5)).
fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |number: u32| effective >> number & 1 != 0;
    // capabilities(7): CAP_BPF and CAP_PERFMON were split from CAP_SYS_ADMIN, which still serves.
    let is_missing =
        |&(name, number): &(&str, u32)| !has(number) && (name == NET_ADMIN || !has(CAP_SYS_ADMIN));
    WANTED.into_iter().filter(is_missing).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing(0), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << 12), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(1 << 12 | 1 << 39), ["CAP_PERFMON"]);
        assert_eq!(missing(1 << 12 | 1 << 21), [""; 0]);
        assert_eq!(missing(1 << 12 | 1 << 38 | 1 << 39), [""; 0]);
    }
}
