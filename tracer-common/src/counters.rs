//! What the classifier counts, per CPU, so that nothing is lost in silence.

/// Counters of one CPU; user space adds them up. All count packets since the program was loaded.
///
/// A packet here is what the kernel hands to a classifier: with GRO or GSO one "packet" holds many
/// wire segments.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Every packet the classifier was run for.
    pub seen: u64,
    /// TCP segments from or to a traced port.
    pub matched: u64,
    /// Matched segments that went into the ring whole (or up to the snap length).
    pub copied: u64,
    /// Matched segments that did not fit into the ring, or only in part.
    pub lost: u64,
    /// Payload bytes of `lost` segments that user space will never see.
    pub lost_bytes: u64,
    /// IP packets whose headers make no sense, or end before the TCP header does.
    pub unparsed: u64,
    /// Fragments after the first: they carry no ports, so nobody knows whose they are.
    pub fragments: u64,
    /// Matched segments that were left out, because nobody wants to see their flow.
    pub bypassed: u64,
    /// Payload bytes of those.
    pub bypassed_bytes: u64,
    /// Payload bytes of long messages and HTTP bodies that were left out, because they are not shown.
    pub elided_bytes: u64,
}

const _: () = assert!(size_of::<Counters>() == 10 * 8);

impl Counters {
    /// Adds the counters of another CPU.
    pub fn add(&mut self, other: &Self) {
        let Self {
            seen,
            matched,
            copied,
            lost,
            lost_bytes,
            unparsed,
            fragments,
            bypassed,
            bypassed_bytes,
            elided_bytes,
        } = other;
        self.seen += seen;
        self.matched += matched;
        self.copied += copied;
        self.lost += lost;
        self.lost_bytes += lost_bytes;
        self.unparsed += unparsed;
        self.fragments += fragments;
        self.bypassed += bypassed;
        self.bypassed_bytes += bypassed_bytes;
        self.elided_bytes += elided_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_covers_every_field() {
        let one = Counters {
            seen: 1,
            matched: 2,
            copied: 3,
            lost: 4,
            lost_bytes: 5,
            unparsed: 6,
            fragments: 7,
            bypassed: 8,
            bypassed_bytes: 9,
            elided_bytes: 10,
        };
        let mut sum = one;
        sum.add(&one);
        let twice = Counters {
            seen: 2,
            matched: 4,
            copied: 6,
            lost: 8,
            lost_bytes: 10,
            unparsed: 12,
            fragments: 14,
            bypassed: 16,
            bypassed_bytes: 18,
            elided_bytes: 20,
        };
        assert_eq!(sum, twice);
    }
}
