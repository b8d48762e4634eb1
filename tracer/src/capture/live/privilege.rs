//! Whether this process may load and attach programs at all, said before the kernel says EPERM.

use std::fs;

use anyhow::{Result, bail};

/// A capability and its number (`include/uapi/linux/capability.h`).
const CAP_NET_ADMIN: (&str, u32) = ("CAP_NET_ADMIN", 12);
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: (&str, u32) = ("CAP_BPF", 39);

/// Fails with what is missing and what to do.
pub fn check() -> Result<()> {
    let Some(effective) = effective_capabilities() else { return Ok(()) };
    let missing = missing(effective);
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "no permission to trace: run `sudo tracer ...` (missing {}), or read a capture file with --read",
        missing.join(" and ")
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
    let mut missing = Vec::new();
    // capabilities(7): CAP_BPF was split from CAP_SYS_ADMIN, which still serves.
    if !has(CAP_BPF.1) && !has(CAP_SYS_ADMIN) {
        missing.push(CAP_BPF.0);
    }
    if !has(CAP_NET_ADMIN.1) {
        missing.push(CAP_NET_ADMIN.0);
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing(0), ["CAP_BPF", "CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << 12), ["CAP_BPF"]);
        assert_eq!(missing(1 << 12 | 1 << 21), [""; 0]);
        assert_eq!(missing(1 << 12 | 1 << 39), [""; 0]);
    }
}
