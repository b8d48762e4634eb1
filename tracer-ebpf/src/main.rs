//! The TC classifier: copies the traced ports' TCP segments into a ring buffer.
//!
//! It reads packets and never writes them, and it always returns `TC_ACT_UNSPEC`: whatever other
//! programs and filters decide, they decide as if this one were not there.
//!
//! `skb` is the packet seen through the kernel's helpers, `segment` the copying, `flows` and
//! `follow` what need not be copied; parsing is `tracer_common::packet`, which user space runs and tests too.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![expect(unsafe_code, reason = "kernel helpers, map values and ring records are raw pointers")]

mod flows;
mod follow;
mod maps;
mod segment;
mod skb;

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};
use skb::Skb;
use tracer_common::{
    counters::Counters,
    packet::{self, Skip},
};

/// For devices whose packets begin with an Ethernet header.
#[classifier]
fn tracer_ether(ctx: TcContext) -> i32 {
    classify(&Skb::new(ctx), packet::ETHERNET_HEADER_LEN)
}

/// For devices without a MAC header: tun, WireGuard, IP tunnels.
#[classifier]
fn tracer_ip(ctx: TcContext) -> i32 {
    classify(&Skb::new(ctx), 0)
}

#[inline(always)]
fn classify(skb: &Skb, network_offset: u32) -> i32 {
    if let Some(counters) = maps::COUNTERS.get_ptr_mut(0) {
        // SAFETY: a per-CPU value, and nothing preempts a classifier with another on the same CPU.
        let counters = unsafe { &mut *counters };
        counters.seen += 1;
        match trace(skb, network_offset, counters) {
            Ok(()) | Err(Skip::NotTcp) => {}
            Err(Skip::Fragment) => counters.fragments += 1,
            Err(Skip::Malformed) => {
                counters.unparsed += 1;
                log_unparsed(skb);
            }
        }
    }
    TC_ACT_UNSPEC
}

#[inline(always)]
fn trace(skb: &Skb, network_offset: u32, counters: &mut Counters) -> Result<(), Skip> {
    let (ethertype, network_offset) = network_header(skb, network_offset)?;
    let ip = packet::ip(skb, ethertype, network_offset)?;
    let tcp = packet::tcp(skb, &ip)?;
    if maps::is_traced(tcp.source_port) || maps::is_traced(tcp.destination_port) {
        segment::copy(skb, &ip, &tcp, counters);
    }
    Ok(())
}

/// The EtherType and offset of the network header. The kernel moves the outer VLAN tag into
/// metadata, where `protocol` tells what is below. A tag that is left in the frame is walked over,
/// whether `protocol` tells of it or, as on a VLAN interface with `reorder_hdr off`, does not.
#[inline(always)]
fn network_header(skb: &Skb, network_offset: u32) -> Result<(u16, u32), Skip> {
    let protocol = skb.protocol();
    if network_offset == packet::ETHERNET_HEADER_LEN
        && packet::is_vlan(skb.ethertype_field().unwrap_or(protocol))
    {
        packet::ethertype(skb, network_offset - 2)
    } else {
        Ok((protocol, network_offset))
    }
}

#[cfg(feature = "log")]
#[inline(always)]
fn log_unparsed(skb: &Skb) {
    aya_log_ebpf::debug!(skb, "unparsed: protocol {:x} length {}", skb.protocol(), skb.length());
}

#[cfg(not(feature = "log"))]
#[inline(always)]
fn log_unparsed(_: &Skb) {}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that could get here: no path panics.
    loop {}
}

/// On the host the crate is only checked and linted.
#[cfg(not(target_arch = "bpf"))]
fn main() {}

/// Some helpers are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
