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
pub fn kept(method: Option<Method>) -> CapabilitySet {
    // A filter is somebody's who may change the network. A TCX link is made of what is open already.
    let is_since = |since| KernelVersion::current().is_ok_and(|kernel| kernel >= since);
    let attaching = match method {
        Some(Method::Tcx) => CapabilitySet::empty(),
        // Nothing is attached yet, and TCX will be tried first.
        None if is_since(KernelVersion::new(6, 6, 0)) => CapabilitySet::empty(),
        Some(Method::Clsact) | None => CapabilitySet::NET_ADMIN,
    };
    // Before, each use of a map's descriptor wanted it, unless BPF was for everybody (c8644cd0efe7).
    let maps = match is_since(KernelVersion::new(5, 19, 0)) {
        true => CapabilitySet::empty(),
        false => CapabilitySet::BPF,
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
    fn a_packet_socket_wants_one_capability() {
        assert_eq!(missing(CapabilitySet::SYS_ADMIN, FOR_LIBPCAP), FOR_LIBPCAP);
        assert_eq!(missing(FOR_LIBPCAP, FOR_LIBPCAP), CapabilitySet::empty());
    }
}
