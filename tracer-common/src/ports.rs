//! The set of traced ports, as one map value: a list or a range costs the classifier the same
//! single look-up as one port.

/// A bit for each of the 65,536 TCP ports.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PortSet {
    bits: [u64; 1024],
}

const _: () = assert!(size_of::<PortSet>() == 8192);

impl PortSet {
    /// The set without any port.
    pub const EMPTY: Self = Self { bits: [0; 1024] };

    /// Adds a port.
    pub const fn insert(&mut self, port: u16) {
        self.bits[(port >> 6) as usize] |= 1 << (port & 63);
    }

    /// Whether `port` is in the set.
    #[inline(always)]
    pub const fn contains(&self, port: u16) -> bool {
        // A `u16` shifted by 6 is below 1024: no bounds check for the verifier to follow.
        self.bits[(port >> 6) as usize] >> (port & 63) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_exactly_what_was_inserted() {
        let mut set = PortSet::EMPTY;
        let members = [0, 63, 64, 7272, 65535];
        for port in members {
            set.insert(port);
        }
        for port in 0..=u16::MAX {
            assert_eq!(set.contains(port), members.contains(&port), "port {port}");
        }
    }
}
