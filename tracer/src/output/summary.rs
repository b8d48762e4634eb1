//! What a run came to, for people.

use std::fmt::{self, Write};

use super::text::Millis;
use crate::{event::Stats, session::ConnectionSummary};

/// A line for each of the busiest connections, and the sums.
pub fn summary(stats: &Stats, connections: &[ConnectionSummary]) -> String {
    let mut text = String::new();
    let result = write_summary(&mut text, stats, connections);
    debug_assert!(result.is_ok(), "a String takes everything");
    text
}

fn write_summary(to: &mut String, stats: &Stats, connections: &[ConnectionSummary]) -> fmt::Result {
    writeln!(to)?;
    let mut shown = 0;
    for summary in connections.iter().filter(|summary| summary.is_websocket) {
        write_connection(to, summary)?;
        shown += 1;
    }
    let others = stats.connections.saturating_sub(shown);
    if shown > 0 && others > 0 {
        writeln!(to, "and {} more", Count(others, "connection"))?;
    }
    let Stats { segments, bytes, connections, messages, .. } = *stats;
    writeln!(
        to,
        "{} ({bytes} bytes) in {}, {}",
        Count(segments, "segment"),
        Count(connections, "connection"),
        Count(messages, "message"),
    )?;
    write_trouble(to, stats)
}

/// `#1 10.0.0.1:60653 ⇄ 10.0.0.2:7272  61.2 s: 2 messages (819 B) →, 3 messages (424 B) ←`
fn write_connection(to: &mut String, summary: &ConnectionSummary) -> fmt::Result {
    let ConnectionSummary { conn, traffic, duration, is_websocket: _ } = summary;
    writeln!(
        to,
        "#{} {} ⇄ {}  {}: {} ({} B) →, {} ({} B) ←",
        conn.id,
        conn.client,
        conn.server,
        Millis(duration / 1_000_000),
        Count(traffic.client_messages, "message"),
        traffic.client_bytes,
        Count(traffic.server_messages, "message"),
        traffic.server_bytes,
    )
}

/// A number of things.
struct Count(u64, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, what) = self;
        write!(f, "{count} {what}{}", if *count == 1 { "" } else { "s" })
    }
}

/// Says what was lost, and other things that should be 0.
fn write_trouble(to: &mut String, stats: &Stats) -> fmt::Result {
    writeln!(to, "{} lost ({} bytes)", Count(stats.lost, "segment"), stats.lost_bytes)?;
    for (count, one, many) in [
        (
            stats.bypassed,
            "segment of other protocols was left in the kernel",
            "segments of other protocols were left in the kernel",
        ),
        (stats.gaps, "gap in streams", "gaps in streams"),
        (
            stats.forgotten_syns,
            "unanswered SYN made room for another",
            "unanswered SYNs made room for others",
        ),
        (
            stats.dropped,
            "event was dropped: an output was too slow",
            "events were dropped: an output was too slow",
        ),
        (stats.violations, "violation of RFC 6455 or 7692", "violations of RFC 6455 or 7692"),
        (stats.unparsed, "packet that could not be parsed", "packets that could not be parsed"),
        (stats.fragments, "IP fragment without ports", "IP fragments without ports"),
    ] {
        if count > 0 {
            writeln!(to, "{count} {}", if count == 1 { one } else { many })?;
        }
    }
    Ok(())
}
