//! The capabilities that tracing wants, and what is missing of them, said before the kernel says EPERM;
//! and those that are still wanted when everything is open.

use anyhow::{Result, bail};
use aya::util::KernelVersion;
use rustix::thread::{CapabilitySet, capabilities};

use super::attach::Method;

/// What the classifier wants: to load the program, to let it compute addresses in maps and records,
/// to attach it.
pub const FOR_BPF: CapabilitySet =
    CapabilitySet::BPF.union(CapabilitySet::PERFMON).union(CapabilitySet::NET_ADMIN);
/// What a packet socket wants.
pub const FOR_LIBPCAP: CapabilitySet = CapabilitySet::NET_RAW;

/// Fails with what is missing and what to do.
pub fn check(wanted: CapabilitySet) -> Result<()> {
    let missing = missing(capabilities(None)?.effective, wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    bail!(
        "no permission to trace: run `sudo tracer ...` (missing {}), or read a capture file with --read",
        names.join(", ")
    )
}

fn missing(effective: CapabilitySet, wanted: CapabilitySet) -> CapabilitySet {
    // capabilities(7): these were split from CAP_SYS_ADMIN, which still serves.
    let split = CapabilitySet::PERFMON | CapabilitySet::BPF;
    let has = match effective.contains(CapabilitySet::SYS_ADMIN) {
        true => effective | split,
        false => effective,
    };
    wanted - has
}

/// What is still needed when everything is open and attached.
pub fn kept(method: Option<Method>) -> Result<CapabilitySet> {
    let oldest = KernelVersion::new(0, 0, 0);
    let kernel = KernelVersion::current().unwrap_or(oldest);
    Ok(needed(method, kernel, capabilities(None)?.permitted))
}

/// The same on this kernel, of what is permitted.
fn needed(
    method: Option<Method>,
    kernel: KernelVersion,
    permitted: CapabilitySet,
) -> CapabilitySet {
    // A filter is somebody's who may change the network. A TCX link is made of what is open already.
    let attaching = match method {
        Some(Method::Tcx) => CapabilitySet::empty(),
        // Nothing is attached yet, and TCX will be tried first.
        None if kernel >= KernelVersion::new(6, 6, 0) => CapabilitySet::empty(),
        Some(Method::Clsact) | None => CapabilitySet::NET_ADMIN,
    };
    // Before, each use of a map's descriptor wanted it, unless BPF was for everybody (c8644cd0efe7).
    let maps = match kernel >= KernelVersion::new(5, 19, 0) {
        true => CapabilitySet::empty(),
        false if permitted.contains(CapabilitySet::BPF) => CapabilitySet::BPF,
        // Which it was split from, and which still serves.
        false => CapabilitySet::SYS_ADMIN,
    };
    attaching | maps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let (bpf, perfmon, net_admin) =
            (CapabilitySet::BPF, CapabilitySet::PERFMON, CapabilitySet::NET_ADMIN);
        let missing = |effective| missing(effective, FOR_BPF);
        assert_eq!(missing(CapabilitySet::empty()), FOR_BPF);
        assert_eq!(missing(net_admin), bpf | perfmon);
        assert_eq!(missing(net_admin | bpf), perfmon);
        assert_eq!(missing(net_admin | CapabilitySet::SYS_ADMIN), CapabilitySet::empty());
        assert_eq!(missing(FOR_BPF), CapabilitySet::empty());
    }

    #[test]
    fn what_is_kept_hangs_on_the_kernel_and_the_way_of_attaching() {
        let (none, net_admin) = (CapabilitySet::empty(), CapabilitySet::NET_ADMIN);
        let [old, maps, tcx] = [(5, 18), (5, 19), (6, 6)].map(|(a, b)| KernelVersion::new(a, b, 0));
        let clsact = Some(Method::Clsact);
        assert_eq!(needed(clsact, old, FOR_BPF), net_admin | CapabilitySet::BPF);
        let by_sys_admin = CapabilitySet::SYS_ADMIN | net_admin;
        assert_eq!(needed(clsact, old, by_sys_admin), by_sys_admin);
        assert_eq!(needed(clsact, maps, FOR_BPF), net_admin);
        assert_eq!(needed(clsact, tcx, by_sys_admin), net_admin);
        assert_eq!(needed(Some(Method::Tcx), tcx, FOR_BPF), none);
        assert_eq!(needed(None, tcx, FOR_BPF), none);
        assert_eq!(needed(None, maps, FOR_BPF), net_admin);
    }

    #[test]
    fn a_packet_socket_wants_one_capability() {
        assert_eq!(missing(CapabilitySet::SYS_ADMIN, FOR_LIBPCAP), FOR_LIBPCAP);
        assert_eq!(missing(FOR_LIBPCAP, FOR_LIBPCAP), CapabilitySet::empty());
    }
}
