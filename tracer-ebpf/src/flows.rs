//! Flows that nobody wants to see: TLS and other protocols on the traced port.

use tracer_common::{
    counters::Counters,
    flow::FlowKey,
    packet::{Ip, Tcp, flags},
};

use crate::{maps, skb::Skb};

/// What user space wants of a segment.
pub(crate) enum Wanted {
    /// The segment.
    Segment,
    /// A record without payload, which tells of so many bytes left out.
    SignOfLife(u32),
    /// Nothing.
    Nothing,
}

#[inline(always)]
pub(crate) fn key(skb: &Skb, ip: &Ip, tcp: &Tcp) -> FlowKey {
    FlowKey {
        source: ip.source,
        destination: ip.destination,
        source_port: tcp.source_port,
        destination_port: tcp.destination_port,
        interface: skb.interface(),
    }
}

#[inline(always)]
pub(crate) fn wanted(skb: &Skb, ip: &Ip, tcp: &Tcp, counters: &mut Counters, now: u64) -> Wanted {
    if !maps::has_bypassed_flows() {
        return Wanted::Segment;
    }
    let key = key(skb, ip, tcp);
    let Some(flow) = maps::BYPASSED.get_ptr_mut(key) else { return Wanted::Segment };
    // The same ports may be another connection's now.
    if tcp.flags & flags::SYN != 0 {
        // It may be gone already.
        maps::BYPASSED.remove(key).ok();
        return Wanted::Segment;
    }
    let is_last = tcp.flags & (flags::FIN | flags::RST) != 0;
    counters.bypassed += 1;
    counters.bypassed_bytes += u64::from(tcp.payload_len);
    // SAFETY: a value of the map, valid until the program returns.
    let due = unsafe { (*flow).leave_out(tcp.payload_len, now, is_last) };
    match due {
        Some(left_out) => Wanted::SignOfLife(left_out),
        None => Wanted::Nothing,
    }
}
