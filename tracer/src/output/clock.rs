//! From the monotonic time of segments to what clocks on the wall show.

use jiff::{Timestamp, tz::TimeZone};

use super::digits;
use crate::segment::{Nanos, SECOND};

/// Adds what the wall clock is ahead of the segments' clock. Capture files have wall clock time
/// already: the default adds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock {
    ahead: i64,
}

impl WallClock {
    /// A clock that shows `wall` when the segments' clock shows `time`, both in nanoseconds.
    pub fn new(wall: Nanos, time: Nanos) -> Self {
        Self { ahead: wall.wrapping_sub(time).cast_signed() }
    }

    /// Nanoseconds since the epoch.
    pub fn at(self, time: Nanos) -> Nanos {
        time.saturating_add_signed(self.ahead)
    }
}

/// Writes time stamps; most are of the same second as the one before.
pub(super) struct Stamp {
    zone: Option<TimeZone>,
    second: Option<u64>,
    prefix: String,
}

impl Stamp {
    /// `2026-11-22T07:36:16.123456789Z` (RFC 3339).
    pub(super) fn utc() -> Self {
        Self { zone: None, second: None, prefix: String::new() }
    }

    /// `08:36:16.123456`, as tcpdump writes it, in the local time zone.
    pub(super) fn local() -> Self {
        Self { zone: Some(TimeZone::system()), second: None, prefix: String::new() }
    }

    /// Appends the time stamp.
    pub(super) fn write(&mut self, wall: Nanos, buffer: &mut Vec<u8>) {
        let (second, nanos) = (wall / SECOND, wall % SECOND);
        if self.second != Some(second) {
            self.second = Some(second);
            self.prefix = self.format(second);
        }
        buffer.extend_from_slice(self.prefix.as_bytes());
        buffer.push(b'.');
        if self.zone.is_some() {
            digits::push_fixed::<6>(nanos / 1000, buffer);
        } else {
            digits::push_fixed::<9>(nanos, buffer);
            buffer.push(b'Z');
        }
    }

    fn format(&self, second: u64) -> String {
        let second = i64::try_from(second).unwrap_or(i64::MAX);
        let time = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        match &self.zone {
            None => time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            Some(zone) => time.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_with_nanoseconds() {
        let (mut stamp, mut buffer) = (Stamp::utc(), Vec::new());
        stamp.write(1_795_329_695_837_600_500, &mut buffer);
        assert_eq!(buffer, b"2026-11-22T06:41:35.837600500Z");
        stamp.write(u64::MAX, &mut buffer);
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_the_shown_time_only() {
        assert_eq!(WallClock::new(1000, 10).at(15), 1005);
        assert_eq!(WallClock::new(10, 1000).at(1015), 25);
        assert_eq!(WallClock::default().at(7), 7);
    }
}
