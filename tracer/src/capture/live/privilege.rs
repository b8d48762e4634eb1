//! Whether this process may load and attach programs at all, said before the kernel says EPERM.

use std::fs;

use anyhow::{Result, bail};

/// A capability and its number (`include/uapi/linux/capability.h`).
pub type Capability = (&'static str, u32);

/// What the classifier wants: to load the program, to let it compute addresses in maps and records,
/// to attach it.
pub const FOR_BPF: [Capability; 3] = [("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_NET_ADMIN", 12)];
/// What a packet socket wants.
pub const FOR_LIBPCAP: [Capability; 1] = [("CAP_NET_RAW", 13)];

const CAP_SYS_ADMIN: u32 = 21;
/// capabilities(7): this one and those after it were split from `CAP_SYS_ADMIN`, which still serves.
const CAP_PERFMON: u32 = 38;

/// Fails with what is missing and what to do.
pub fn check(wanted: &[Capability]) -> Result<()> {
    let Some(effective) = effective_capabilities() else { return Ok(()) };
    let missing = missing(effective, wanted);
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

fn missing(effective: u64, wanted: &[Capability]) -> Vec<&'static str> {
    let has = |number: u32| effective >> number & 1 != 0;
    let is_there = |number| has(number) || number >= CAP_PERFMON && has(CAP_SYS_ADMIN);
    wanted.iter().filter(|(_, number)| !is_there(*number)).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let missing = |effective| missing(effective, &FOR_BPF);
        assert_eq!(missing(0), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << 12), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(1 << 12 | 1 << 39), ["CAP_PERFMON"]);
        assert_eq!(missing(1 << 12 | 1 << 21), [""; 0]);
        assert_eq!(missing(1 << 12 | 1 << 38 | 1 << 39), [""; 0]);
    }

    #[test]
    fn a_packet_socket_wants_one_capability() {
        assert_eq!(missing(1 << 21, &FOR_LIBPCAP), ["CAP_NET_RAW"]);
        assert_eq!(missing(1 << 13, &FOR_LIBPCAP), [""; 0]);
    }
}
