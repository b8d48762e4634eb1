//! The two clocks of the running kernel, in nanoseconds.

use rustix::time::{ClockId, clock_gettime};

use crate::segment::{Nanos, SECOND};

/// `CLOCK_MONOTONIC`, the clock of segments.
pub fn monotonic() -> Nanos {
    nanos(ClockId::Monotonic)
}

/// `CLOCK_REALTIME`, the clock on the wall.
pub fn wall() -> Nanos {
    nanos(ClockId::Realtime)
}

fn nanos(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    time.tv_sec.cast_unsigned() * SECOND + time.tv_nsec.cast_unsigned()
}
