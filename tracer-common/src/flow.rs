//! What user space wants to know of a flow: the keys and values of the classifier's tables.

use crate::packet::Address;

/// One direction of a connection, as one interface shows it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Index of the interface.
    pub interface: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 40);

/// A bypassed flow: its payload stays in the kernel. From time to time, and with its last segment,
/// a record without payload says that it is alive and how much was left out.
///
/// Segments of one direction on one interface come one after the other, so nothing here is atomic.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bypassed {
    /// Payload bytes left out that no record has told of.
    pub left_out: u64,
    /// When a record last told of the flow, `CLOCK_MONOTONIC` in nanoseconds.
    pub told_at: u64,
}

const _: () = assert!(size_of::<Bypassed>() == 16);

impl Bypassed {
    /// Bytes after which a record tells of a flow: far from where a `u32` wraps around.
    const MAX_LEFT_OUT: u64 = 1 << 30;
    /// Nanoseconds after which it does: idle time-outs are longer.
    const MAX_SILENCE: u64 = 1_000_000_000;

    /// Leaves out `bytes` more at `now`. Returns the bytes that a record has to tell of, if it is
    /// time for one, or the flow's `last` segment.
    #[inline(always)]
    pub fn leave_out(&mut self, bytes: u32, now: u64, last: bool) -> Option<u32> {
        self.left_out += u64::from(bytes);
        let is_due = last
            || self.left_out >= Self::MAX_LEFT_OUT
            || now.wrapping_sub(self.told_at) >= Self::MAX_SILENCE;
        if !is_due {
            return None;
        }
        let left_out = self.left_out as u32;
        self.left_out = 0;
        self.told_at = now;
        Some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_of_every_second_of_every_gibibyte_and_of_the_end() {
        let mut flow = Bypassed { left_out: 0, told_at: 5 };
        assert_eq!(flow.leave_out(100, 6, false), None);
        assert_eq!(flow.leave_out(10, 5 + 1_000_000_000, false), Some(110));
        assert_eq!(flow.leave_out(1 << 20, 6 + 1_000_000_000, false), None);
        assert_eq!(flow.leave_out(1 << 30, 7 + 1_000_000_000, false), Some((1 << 30) + (1 << 20)));
        assert_eq!(flow.leave_out(1, 8 + 1_000_000_000, false), None);
        assert_eq!(flow.leave_out(2, 9 + 1_000_000_000, true), Some(3));
    }
}
