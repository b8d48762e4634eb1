//! The OpenMetrics text: a [`Snapshot`] comes in, and the text that docs/metrics.md explains goes out.
//! All labels of a family are there from the start, so that rates have a beginning, and no family
//! ever has more.

mod page;
#[cfg(test)]
mod tests;

use std::fmt::Error;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    registry::{Registry, Unit},
};
use tracer_common::counters::Counters;

use super::{
    Attached, Limits, OutputFigures, Process, Ring, Snapshot,
    classes::{
        CAUSES, CODES, CONTROLS, ENDS, JOINED, LOOKS, MESSAGES, SENDERS, STATUSES, UNDECODED,
    },
};
use crate::{
    event::{GapCause, How, LooksLike, Stats},
    ws::{message::Undecoded, rule::Rule},
};
use page::{BYTES, COUNT, Page, SECONDS, by, by_both};

/// Microseconds, and millionths.
const MILLION: f64 = 1e6;

/// Writes a snapshot down.
pub fn encode(snapshot: Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::with_capacity(48 << 10);
    // Writing to a string cannot fail, and nothing else in it can.
    let _infallible = text::encode(&mut text, &registry);
    text
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let page = &mut Page(encoder);
        self.process(page)?;
        self.capture(page)?;
        self.missed(page)?;
        self.rings(page)?;
        self.connections(page)?;
        self.http_and_upgrades(page)?;
        self.messages(page)?;
        self.control_frames(page)?;
        self.faults(page)?;
        self.distributions(page)?;
        self.holdings(page)?;
        self.outputs(page)
    }
}

impl Snapshot {
    fn process(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Process { started, cpu, resident } = self.process;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        page.info(&("tracer_build", "The tracer that runs", COUNT), &version)?;
        let about = ("process_start_time", "When the process began, since 1970", SECONDS);
        page.gauge(&about, started)?;
        page.counter(&("process_cpu", "CPU time of all threads", SECONDS), cpu)?;
        let Some(resident) = resident else { return Ok(()) };
        page.gauge(&("process_resident_memory", "Memory that the process has", BYTES), resident)
    }

    fn capture(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Attached { tcx, clsact, libpcap, refused } = self.attached;
        let about = ("tracer_attached_interfaces", "Interfaces that are traced, by how", COUNT);
        page.gauges(&about, by("method", ["tcx", "clsact", "libpcap"], &[tcx, clsact, libpcap]))?;
        let about = (
            "tracer_refused_interfaces",
            "Interfaces that could not be attached to, and are tried again",
            COUNT,
        );
        page.gauge(&about, refused)?;
        if let Some(Counters { seen, matched, copied, .. }) = self.kernel {
            let about = ("tracer_kernel_packets", "Packets that the classifier was run for", COUNT);
            page.counter(&about, seen)?;
            let about = ("tracer_kernel_matched_segments", "Segments of traced ports", COUNT);
            page.counter(&about, matched)?;
            let about = ("tracer_kernel_copied_segments", "Segments put into a ring", COUNT);
            page.counter(&about, copied)?;
        }
        let Stats { segments, bytes, .. } = self.counted.stats;
        page.counter(&("tracer_segments", "Segments that reached the decoder", COUNT), segments)?;
        let about = ("tracer_segment", "Payload bytes that reached the decoder", BYTES);
        page.counter(&about, bytes)
    }

    /// What did not reach the decoder.
    fn missed(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Stats {
            lost,
            lost_bytes,
            unparsed,
            fragments,
            bypassed,
            bypassed_bytes,
            elided_bytes,
            ..
        } = self.missed_counts();
        let about = ("tracer_lost_segments", "Segments that found no room", COUNT);
        page.counter(&about, lost)?;
        page.counter(&("tracer_lost", "Payload bytes that found no room", BYTES), lost_bytes)?;
        let about = ("tracer_unparsed_packets", "Packets whose headers make no sense", COUNT);
        page.counter(&about, unparsed)?;
        let about = ("tracer_fragments", "IP fragments after the first, not decoded", COUNT);
        page.counter(&about, fragments)?;
        let about = (
            "tracer_bypassed_segments",
            "Segments left in the kernel: of connections that are no WebSocket",
            COUNT,
        );
        page.counter(&about, bypassed)?;
        page.counter(&("tracer_bypassed", "Payload bytes of those", BYTES), bypassed_bytes)?;
        let about = (
            "tracer_elided",
            "Payload bytes left in the kernel: of long messages and bodies, not shown",
            BYTES,
        );
        page.counter(&about, elided_bytes)
    }

    /// The kernel's own counters where there are some, which are of this moment.
    fn missed_counts(&self) -> Stats {
        let Some(kernel) = self.kernel else { return self.counted.stats };
        Stats {
            lost: kernel.lost,
            lost_bytes: kernel.lost_bytes,
            unparsed: kernel.unparsed,
            fragments: kernel.fragments,
            bypassed: kernel.bypassed,
            bypassed_bytes: kernel.bypassed_bytes,
            elided_bytes: kernel.elided_bytes,
            ..self.counted.stats
        }
    }

    fn rings(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let numbers: Vec<_> = (0..self.rings.len()).map(|number| number.to_string()).collect();
        let numbers = || numbers.iter().map(String::as_str);
        let used: Vec<_> = self.rings.iter().map(|Ring { used, .. }| *used).collect();
        let size: Vec<_> = self.rings.iter().map(|Ring { size, .. }| *size).collect();
        let about = ("tracer_ring_used", "Bytes in a ring that wait to be decoded", BYTES);
        page.gauges(&about, by("ring", numbers(), &used))?;
        page.gauges(&("tracer_ring_size", "Bytes of a ring", BYTES), by("ring", numbers(), &size))?;
        let ratio = Some(Unit::Other("ratio".to_owned()));
        let about = ("tracer_ring_fill", "How full a ring was when it was emptied", ratio);
        page.histogram(&about, MILLION, &self.counted.meter.fill)
    }

    fn connections(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Stats { connections, flows, forgotten_syns, .. } = self.counted.stats;
        let holdings = &self.counted.holdings;
        let meter = &self.counted.meter;
        page.counter(&("tracer_connections", "TCP connections seen", COUNT), connections)?;
        page.gauge(&("tracer_open_connections", "TCP connections now open", COUNT), flows)?;
        let about = ("tracer_half_open_connections", "SYNs that wait for an answer", COUNT);
        page.gauge(&about, holdings.half_open)?;
        let about =
            ("tracer_waiting_connections", "TCP connections in which a segment is missing", COUNT);
        page.gauge(&about, holdings.waiting)?;
        let about = ("tracer_closed_connections", "TCP connections that ended, by how", COUNT);
        page.counters(&about, by("how", ENDS.map(How::name), &meter.closed))?;
        let about = ("tracer_not_websocket", "TCP connections that are something else", COUNT);
        let looks = LOOKS.map(LooksLike::name);
        page.counters(&about, by("looks_like", looks, &meter.not_websocket))?;
        let about = ("tracer_forgotten_syns", "SYNs that made room for others", COUNT);
        page.counter(&about, forgotten_syns)
    }

    fn http_and_upgrades(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let meter = &self.counted.meter;
        page.counter(&("tracer_http_requests", "HTTP requests", COUNT), meter.http_requests)?;
        let about = ("tracer_http_responses", "HTTP responses, by class of status", COUNT);
        page.counters(&about, by("class", STATUSES, &meter.http_responses))?;
        let about = (
            "tracer_websocket_opened",
            "WebSocket connections, by how the tracer came to them",
            COUNT,
        );
        page.counters(&about, by("joined", JOINED, &meter.ws_opened))?;
        let about = (
            "tracer_websocket_closed",
            "WebSocket connections that ended, by code: 1006 without a close frame",
            COUNT,
        );
        page.counters(&about, by("code", CODES, &meter.ws_closed))
    }

    fn messages(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let meter = &self.counted.meter;
        let labels = ["from", "opcode"];
        let about = ("tracer_messages", "Data messages", COUNT);
        page.counters(&about, by_both(labels, &SENDERS, &MESSAGES, &meter.messages))?;
        let about = ("tracer_message", "Their payload bytes, inflated", BYTES);
        page.counters(&about, by_both(labels, &SENDERS, &MESSAGES, &meter.message_bytes))?;
        let about = ("tracer_message_wire", "Their payload bytes in frames", BYTES);
        page.counters(&about, by_both(labels, &SENDERS, &MESSAGES, &meter.wire_bytes))?;
        let about = ("tracer_undecoded_messages", "Messages that could not be decoded", COUNT);
        page.counters(&about, by("why", UNDECODED.map(Undecoded::name), &meter.undecoded))
    }

    fn control_frames(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let meter = &self.counted.meter;
        let about = ("tracer_control_frames", "Pings, pongs and close frames", COUNT);
        let values = by_both(["from", "opcode"], &SENDERS, &CONTROLS, &meter.controls);
        page.counters(&about, values)?;
        let about = ("tracer_close_frames", "Close frames, by code", COUNT);
        page.counters(&about, by_both(["from", "code"], &SENDERS, &CODES, &meter.close_codes))
    }

    fn faults(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let meter = &self.counted.meter;
        let about = ("tracer_violations", "Broken rules of RFC 6455 and RFC 7692", COUNT);
        let rules = Rule::ALL.map(Rule::name);
        page.counters(&about, by("rule", rules, &self.counted.holdings.violations))?;
        let causes = CAUSES.map(GapCause::name);
        page.counters(
            &("tracer_gaps", "Gaps in streams", COUNT),
            by("cause", causes, &meter.gaps),
        )?;
        let about = ("tracer_gap", "Bytes missing in streams", BYTES);
        page.counters(&about, by("cause", causes, &meter.gap_bytes))?;
        let about = ("tracer_tcp_conflicts", "Segments that contradict an earlier copy", COUNT);
        page.counter(&about, meter.conflicts)
    }

    fn distributions(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let meter = &self.counted.meter;
        let by_sender = |n: usize| vec![("from", SENDERS[n])];
        let about = ("tracer_tcp_handshake", "From SYN to SYN-ACK", SECONDS);
        page.histogram(&about, MILLION, &meter.tcp_rtt)?;
        let about = ("tracer_websocket_handshake", "From upgrade request to response", SECONDS);
        page.histogram(&about, MILLION, &meter.handshake)?;
        let about = ("tracer_ping", "From ping to pong, by the sender of the pong", SECONDS);
        let pings = meter.ping_rtt.iter().enumerate().map(|(n, pings)| (by_sender(n), pings));
        page.histograms(&about, MILLION, pings)?;
        let about = ("tracer_message_size", "Lengths of messages, inflated", BYTES);
        let sizes = meter.sizes.iter().enumerate().map(|(n, sizes)| (by_sender(n), sizes));
        page.histograms(&about, 1.0, sizes)
    }

    fn holdings(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Limits { memory, connections, half_open } = self.limits;
        let about = ("tracer_held", "What is not complete yet, of all connections", BYTES);
        page.gauge(&about, self.counted.holdings.bytes)?;
        page.gauge(&("tracer_held_limit", "--memory-limit", BYTES), memory)?;
        page.gauge(&("tracer_open_connections_limit", "--max-connections", COUNT), connections)?;
        page.gauge(&("tracer_half_open_connections_limit", "--max-half-open", COUNT), half_open)
    }

    fn outputs(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let of = |value: fn(&OutputFigures) -> u64| {
            let outputs = self.outputs.iter();
            outputs.map(move |output| (vec![("output", output.name.as_str())], value(output)))
        };
        let about = ("tracer_output_events", "Events that an output has written", COUNT);
        page.counters(&about, of(|output| output.written))?;
        let about = ("tracer_output_dropped_events", "Events that an output has left out", COUNT);
        page.counters(&about, of(|output| output.dropped))?;
        let about = ("tracer_output_queued", "Bytes that wait to be written", BYTES);
        page.gauges(&about, of(|output| output.queued))
    }
}
