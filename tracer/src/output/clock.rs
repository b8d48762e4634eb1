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
    /// Stands before each.
    label: &'static str,
    zone: Option<TimeZone>,
    second: Option<u64>,
    /// The label and the second, padded: so much is copied in a few instructions.
    prefix: [u8; PREFIX],
    prefix_len: usize,
}

/// Bytes that a label and a second take at most.
const PREFIX: usize = 32;

impl Stamp {
    /// `2026-11-22T07:36:16.123456789Z` (RFC 3339), and `label` before it.
    pub(super) fn utc(label: &'static str) -> Self {
        Self { label, zone: None, second: None, prefix: [0; PREFIX], prefix_len: 0 }
    }

    /// `08:36:16.123456`, as tcpdump writes it, in the local time zone.
    pub(super) fn local() -> Self {
        Self { zone: Some(TimeZone::system()), ..Self::utc("") }
    }

    /// Appends the time stamp.
    pub(super) fn write(&mut self, wall: Nanos, buffer: &mut Vec<u8>) {
        let (second, nanos) = (wall / SECOND, (wall % SECOND) as u32);
        if self.second != Some(second) {
            self.begin(second);
        }
        let end = buffer.len() + self.prefix_len;
        buffer.extend_from_slice(&self.prefix);
        buffer.truncate(end);
        if self.zone.is_some() {
            buffer.extend_from_slice(&digits::fixed::<6>(nanos / 1000));
        } else {
            buffer.extend_from_slice(&digits::fixed::<9>(nanos));
            buffer.push(b'Z');
        }
    }

    /// Writes what is before the digits of the fraction.
    #[cold]
    fn begin(&mut self, second: u64) {
        self.second = Some(second);
        let second = i64::try_from(second).unwrap_or(i64::MAX);
        let time = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        let second = match &self.zone {
            None => time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            Some(zone) => time.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
        };
        let text = format!("{}{second}.", self.label);
        self.prefix_len = text.len().min(PREFIX);
        self.prefix[..self.prefix_len].copy_from_slice(&text.as_bytes()[..self.prefix_len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_with_nanoseconds() {
        let (mut stamp, mut buffer) = (Stamp::utc("> "), Vec::new());
        stamp.write(1_795_329_695_837_600_500, &mut buffer);
        assert_eq!(buffer, b"> 2026-11-22T06:41:35.837600500Z");
        stamp.write(u64::MAX, &mut buffer);
    }

    #[test]
    fn a_step_of_the_wall_clock_moves_the_shown_time_only() {
        assert_eq!(WallClock::new(1000, 10).at(15), 1005);
        assert_eq!(WallClock::new(10, 1000).at(1015), 25);
        assert_eq!(WallClock::default().at(7), 7);
    }
}
