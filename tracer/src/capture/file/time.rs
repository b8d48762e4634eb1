//! pcapng's time stamps: a count of units whose size each interface chooses
//! (draft-ietf-opsawg-pcapng, section 4.2, `if_tsresol` and `if_tsoffset`).

use crate::segment::{Nanos, SECOND};

/// How an interface counts time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    unit: Unit,
    /// Nanoseconds to add.
    offset: i64,
}

/// Length of a time stamp's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanos(u64),
    /// So many units are a nanosecond.
    PerNano(u64),
    /// Two to that power are a second.
    Binary(u8),
}

impl Clock {
    /// From `if_tsresol`, whose highest bit tells powers of two from powers of ten, and
    /// `if_tsoffset` in seconds.
    pub(super) fn new(resolution: u8, offset: i64) -> Self {
        let exponent = resolution & 0x7f;
        let unit = match exponent {
            _ if exponent != resolution => Unit::Binary(exponent),
            0..=9 => Unit::Nanos(10u64.pow(9 - u32::from(exponent))),
            // No count of 64 bits reaches a nanosecond in units that are smaller still.
            _ => 10u64.checked_pow(u32::from(exponent) - 9).map_or(Unit::Nanos(0), Unit::PerNano),
        };
        Self { unit, offset: offset.saturating_mul(SECOND as i64) }
    }

    /// Nanoseconds since 1970; the nearest that there is, when a time stamp is garbage.
    pub(super) fn nanos(self, stamp: u64) -> Nanos {
        let nanos = match self.unit {
            Unit::Nanos(nanos) => stamp.saturating_mul(nanos),
            Unit::PerNano(units) => stamp / units,
            Unit::Binary(exponent) => {
                let nanos = (u128::from(stamp) * u128::from(SECOND)) >> exponent;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        nanos.saturating_add_signed(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2012-06-29 07:28:25.298858 UTC, the draft's own example (section 4.6).
    const STAMP: u64 = 0x0004_c397_64ca_47aa;
    const EXPECTED: Nanos = 1_340_954_905_298_858_000;

    #[test]
    fn microseconds_as_in_the_draft() {
        assert_eq!(Clock::new(6, 0).nanos(STAMP), EXPECTED);
    }

    #[test]
    fn powers_of_ten() {
        assert_eq!(Clock::new(0, 0).nanos(1_340_954_905), 1_340_954_905 * SECOND);
        assert_eq!(Clock::new(9, 0).nanos(EXPECTED), EXPECTED);
        assert_eq!(Clock::new(10, 0).nanos(EXPECTED * 10 + 9), EXPECTED);
        assert_eq!(Clock::new(12, 0).nanos(7_999), 7);
        assert_eq!(Clock::new(28, 0).nanos(u64::MAX), 1);
        assert_eq!(Clock::new(29, 0).nanos(u64::MAX), 0);
        assert_eq!(Clock::new(127, 0).nanos(u64::MAX), 0);
    }

    #[test]
    fn powers_of_two() {
        assert_eq!(Clock::new(0x80, 0).nanos(3), 3 * SECOND);
        assert_eq!(Clock::new(0x81, 0).nanos(3), SECOND * 3 / 2);
        assert_eq!(Clock::new(0x80 | 32, 0).nanos(5 << 32 | 1 << 31), SECOND * 11 / 2);
        assert_eq!(Clock::new(0xff, 0).nanos(u64::MAX), 0);
    }

    #[test]
    fn offsets_are_seconds() {
        assert_eq!(Clock::new(6, 100).nanos(5_000_000), 105 * SECOND);
        assert_eq!(Clock::new(6, -2).nanos(5_000_000), 3 * SECOND);
    }

    #[test]
    fn garbage_saturates() {
        assert_eq!(Clock::new(0, 0).nanos(u64::MAX), u64::MAX);
        assert_eq!(Clock::new(0x80, i64::MAX).nanos(u64::MAX), u64::MAX);
        assert_eq!(Clock::new(6, i64::MIN).nanos(0), 0);
    }
}
