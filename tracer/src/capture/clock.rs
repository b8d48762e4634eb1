//! The two clocks of the running kernel, in nanoseconds.

use std::{fs, sync::OnceLock};

use rustix::time::{ClockId, clock_gettime};

use crate::segment::{Nanos, SECOND};

/// `CLOCK_MONOTONIC`, the clock of segments. In a time namespace it shows another time than the one
/// that the classifier reads (`time_namespaces(7)`).
pub fn monotonic() -> Nanos {
    static AHEAD: OnceLock<i64> = OnceLock::new();
    let ahead = AHEAD.get_or_init(|| {
        // Kernels without time namespaces do not have the file.
        let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        monotonic_offset(&offsets).unwrap_or_default()
    });
    nanos(ClockId::Monotonic).saturating_add_signed(ahead.saturating_neg())
}

/// `CLOCK_REALTIME`, the clock on the wall.
pub fn wall() -> Nanos {
    nanos(ClockId::Realtime)
}

fn nanos(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    time.tv_sec.cast_unsigned() * SECOND + time.tv_nsec.cast_unsigned()
}

/// From lines such as `monotonic  86400  0`: seconds, nanoseconds.
fn monotonic_offset(offsets: &str) -> Option<i64> {
    let mut fields =
        offsets.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_whitespace();
    let seconds: i64 = fields.next()?.parse().ok()?;
    let nanos: i64 = fields.next()?.parse().ok()?;
    seconds.checked_mul(SECOND.cast_signed())?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::monotonic_offset;

    #[test]
    fn a_time_namespace_is_ahead_or_behind() {
        let offsets =
            "monotonic           -2         500000000\nboottime             7         0\n";
        assert_eq!(monotonic_offset(offsets), Some(-1_500_000_000));
        assert_eq!(monotonic_offset("monotonic 0 0\nboottime 0 0\n"), Some(0));
        assert_eq!(monotonic_offset(""), None);
    }
}
