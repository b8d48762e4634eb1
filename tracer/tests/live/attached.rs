//! What is attached to the interfaces of a namespace: a namespace comes in, the list of its
//! classifiers comes out, asked of the kernel and not of the tracer.

use std::collections::BTreeSet;

use aya::programs::{ProgramError, SchedClassifier, TcAttachType};

use crate::{left_out, netns::Namespace};

/// A classifier: interface, direction, how it is attached, and its name.
pub(crate) type Classifier = (String, &'static str, &'static str, String);

/// Every classifier on every interface of the namespace, whoever attached it. More than one of a
/// kind at one place are listed as often as they are there.
pub(crate) fn attached(namespace: &Namespace) -> Vec<Classifier> {
    let mut found = Vec::new();
    for interface in interfaces(namespace) {
        for direction in ["ingress", "egress"] {
            let tcx = namespace.run(|| tcx(&interface, direction));
            found.extend(tcx.into_iter().map(|name| (interface.clone(), direction, "tcx", name)));
            let clsact = clsact(namespace, &interface, direction);
            found.extend(clsact.into_iter().map(|n| (interface.clone(), direction, "clsact", n)));
        }
    }
    found
}

/// Whether no place has two classifiers.
pub(crate) fn is_one_set(classifiers: &[Classifier]) -> bool {
    let places: BTreeSet<_> = classifiers.iter().map(|(i, direction, ..)| (i, direction)).collect();
    !classifiers.is_empty() && places.len() == classifiers.len()
}

/// Whether the interface has one in both directions.
pub(crate) fn is_traced(namespace: &Namespace, interface: &str) -> bool {
    let all = attached(namespace);
    ["ingress", "egress"].into_iter().all(|way| all.iter().any(|c| c.0 == interface && c.1 == way))
}

/// Whether the kernel knows TCX (Linux 6.6). If not, says that tests of it are left out.
pub(crate) fn knows_tcx(namespace: &Namespace) -> bool {
    let query = || SchedClassifier::query_tcx("lo", TcAttachType::Egress).is_ok();
    let knows = namespace.run(query);
    if !knows {
        left_out("this kernel has no TCX");
    }
    knows
}

/// The names of the namespace's interfaces.
fn interfaces(namespace: &Namespace) -> Vec<String> {
    let links = namespace.command("ip", "-oneline link show");
    // `7: veth0@if2: <BROADCAST,…`
    let names = links.lines().filter_map(|line| line.split([':', '@']).nth(1));
    names.map(|name| name.trim().to_owned()).collect()
}

/// Names of the programs that are attached by TCX.
fn tcx(interface: &str, direction: &str) -> Vec<String> {
    let direction =
        if direction == "ingress" { TcAttachType::Ingress } else { TcAttachType::Egress };
    match SchedClassifier::query_tcx(interface, direction) {
        Ok((_, programs)) => {
            programs.iter().map(|p| p.name_as_str().unwrap_or_default().to_owned()).collect()
        }
        // Kernels before 6.6 do not know TCX, so nothing is attached by it.
        Err(ProgramError::SyscallError(e)) if is_invalid(&e.io_error) => Vec::new(),
        Err(e) => panic!("cannot ask what is attached to {interface}: {e}"),
    }
}

fn is_invalid(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error())
}

/// The filters on a clsact qdisc.
fn clsact(namespace: &Namespace, interface: &str, direction: &str) -> Vec<String> {
    let filters = namespace.command("tc", &format!("filter show dev {interface} {direction}"));
    // `filter protocol all pref 1 bpf chain 0 handle 0x1 NAME direct-action …`
    let handles = filters.lines().filter_map(|line| line.split_once(" handle 0x"));
    handles.filter_map(|(_, rest)| Some(rest.split_whitespace().nth(1)?.to_owned())).collect()
}
