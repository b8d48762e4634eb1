//! Leftovers on clsact qdiscs: a tracer that was killed cannot take its filters away, so the next
//! one does. Whose filter it is says its handle, which is the process id.

use std::process;

use anyhow::{Context as _, Result};
use aya::programs::{
    TcAttachType,
    links::Link as _,
    tc::{SchedClassifierLink, TcHandle as AyaHandle},
};
use futures_util::TryStreamExt as _;
use rtnetlink::{
    Handle,
    packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};
use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

use super::interface::{Interface, LinkLayer};

/// A filter of some tracer's.
#[derive(PartialEq)]
struct Filter {
    hook: TcAttachType,
    priority: u16,
    handle: u32,
}

/// Removes the filters of tracers that do not run any more. Returns how many there were.
pub async fn sweep(handle: &Handle, interfaces: &[Interface]) -> Result<usize> {
    let mut swept = 0;
    for interface in interfaces {
        let leftovers = ours(handle, interface.index).await?;
        for filter in leftovers.into_iter().filter(|filter| !is_running(filter.handle)) {
            match remove(interface, &filter) {
                Ok(()) => swept += 1,
                // Another tracer that begins does the same.
                Err(_) if !ours(handle, interface.index).await?.contains(&filter) => {}
                Err(error) => {
                    let what = format!("cannot remove a leftover from {}", interface.name);
                    return Err(error).context(what);
                }
            }
        }
    }
    Ok(swept)
}

/// Removes a clsact qdisc, which this process had added, unless others use it by now.
pub async fn remove_unused_qdisc(handle: &Handle, interface: u32) -> Result<()> {
    for hook in [TcAttachType::Ingress, TcAttachType::Egress] {
        if !filters(handle, interface, hook).await?.is_empty() {
            return Ok(());
        }
    }
    let mut request = handle.qdisc().del(interface.cast_signed());
    let header = &mut request.message_mut().header;
    header.handle = TcHandle { major: 0xffff, minor: 0 };
    header.parent = TcHandle { major: 0xffff, minor: 0xfff1 }; // TC_H_CLSACT
    match request.execute().await {
        // Somebody else has removed it already.
        Err(rtnetlink::Error::NetlinkError(error)) if is_nothing(error.raw_code()) => Ok(()),
        result => result.context("cannot remove the clsact qdisc"),
    }
}

async fn ours(handle: &Handle, interface: u32) -> Result<Vec<Filter>> {
    let mut found = Vec::new();
    for hook in [TcAttachType::Ingress, TcAttachType::Egress] {
        let filters = filters(handle, interface, hook).await?;
        found.extend(filters.iter().filter(|filter| is_ours(filter)).map(|filter| Filter {
            hook,
            // tcm_info: priority above, protocol below (linux/rtnetlink.h).
            priority: (filter.header.info >> 16) as u16,
            handle: filter.header.handle.into(),
        }));
    }
    Ok(found)
}

/// The filters at one hook. There are none where there is no clsact qdisc.
pub(super) async fn filters(
    handle: &Handle,
    interface: u32,
    hook: TcAttachType,
) -> Result<Vec<TcMessage>> {
    let request = handle.traffic_filter(interface.cast_signed()).get();
    let request = if hook == TcAttachType::Egress { request.egress() } else { request.ingress() };
    match request.execute().try_collect().await {
        Ok(filters) => Ok(filters),
        Err(rtnetlink::Error::NetlinkError(error)) if is_nothing(error.raw_code()) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error).context("cannot list traffic control filters"),
    }
}

/// What the kernel answers where there is no clsact qdisc, or no such interface any more.
fn is_nothing(code: i32) -> bool {
    const ENOENT: i32 = -2;
    const ENODEV: i32 = -19;
    const EINVAL: i32 = -22;
    matches!(code, ENOENT | ENODEV | EINVAL)
}

/// Whether it is some tracer's.
pub(super) fn is_ours(filter: &TcMessage) -> bool {
    filter.attributes.iter().any(|attribute| match attribute {
        TcAttribute::Options(options) => options.iter().any(|option| match option {
            TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => LinkLayer::is_program_name(name),
            _ => false,
        }),
        _ => false,
    })
}

/// Whether it is this process's.
pub(super) fn is_own(filter: &TcMessage) -> bool {
    u32::from(filter.header.handle) == process::id() && is_ours(filter)
}

/// Whether the process that a filter's handle names is another tracer. Our own has none yet: in a
/// container a killed tracer's process id may be ours.
fn is_running(pid: u32) -> bool {
    if pid == process::id() {
        return false;
    }
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(comm) => comm.trim_end() == "tracer",
        // A service may see its own user's processes only (proc(5), hidepid): then it may well be one.
        Err(_) => exists(pid),
    }
}

/// Whether there is such a process, whoever may look at it.
fn exists(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

fn remove(interface: &Interface, filter: &Filter) -> Result<()> {
    let handle = AyaHandle::from(filter.handle);
    let link =
        SchedClassifierLink::attached(&interface.name, filter.hook, filter.priority, handle, None)?;
    Ok(link.detach()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_tracer_or_what_cannot_be_looked_at_is_running() {
        // The first process is none, though it is there; above the last number there is none.
        assert!(exists(1) && !is_running(1));
        let none = 1 << 22;
        assert!(!exists(none) && !is_running(none) && !exists(u32::MAX) && !exists(0));
        assert!(!is_running(process::id()));
    }
}
