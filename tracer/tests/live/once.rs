//! Whether a segment was shown twice, as stacked interfaces, loopback and libpcap's `any` could.
//! Wants `--segments`.

use std::collections::HashSet;

use crate::{netns::Namespace, tracer::Finished};

/// Checks that no segment with data was shown twice. TCP itself sends some again, within
/// microseconds where a thread that changed CPUs reordered a packet: not more than the kernel has
/// counted.
pub(crate) fn assert_once(finished: &Finished, namespaces: &[&Namespace]) {
    let events = finished.events();
    let mut seen = HashSet::new();
    let segments = events.iter().filter(|e| e.kind() == "segment" && e.number("len") != Some(0));
    let repeated = segments.filter(|event| {
        let numbers = ["conn", "raw_seq", "raw_ack", "win", "len"].map(|field| event.number(field));
        let texts = ["from", "flags", "options"].map(|field| event.text(field));
        !seen.insert((numbers, texts))
    });
    let repeated = repeated.count() as u64;
    let sent_again = namespaces.iter().map(|namespace| namespace.sent_again()).sum::<u64>();
    assert!(!seen.is_empty());
    assert!(repeated <= sent_again, "{repeated} shown twice, {sent_again} sent again");
}
