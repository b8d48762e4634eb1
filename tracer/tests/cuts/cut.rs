//! Four ways in which a capture is less than what was on the wire: a whole one comes in, what is
//! left of it goes out.

use std::fmt;

use crate::{packet::Packet, random::Random};

/// A way to cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cut {
    /// Everything before some packet is missing: the tracer was started late.
    Late,
    /// Packets are missing here and there, or in bursts: the tracer did not keep up.
    Lossy,
    /// Each segment is cut to the same length: `--snaplen`.
    Snapped,
    /// Late, lossy, and perhaps snapped.
    All,
}

impl Cut {
    pub(crate) const ALL: [Self; 4] = [Self::Late, Self::Lossy, Self::Snapped, Self::All];

    /// Cuts as `random` has it.
    pub(crate) fn of(self, packets: &[Packet], random: &mut Random) -> Vec<Packet> {
        let mut left = packets.to_vec();
        if matches!(self, Self::Late | Self::All) {
            left.drain(..random.below(packets.len() as u64 / 10 * 9) as usize + 1);
        }
        if matches!(self, Self::Lossy | Self::All) {
            lose(&mut left, random);
        }
        if self == Self::Snapped || (self == Self::All && random.below(3) == 0) {
            snap(&mut left, random);
        }
        left
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Late => "joined late",
            Self::Lossy => "packets lost",
            Self::Snapped => "snapped",
            Self::All => "all of these",
        })
    }
}

/// Loses one packet, or a share of them, one by one or up to 20 in a row.
fn lose(packets: &mut Vec<Packet>, random: &mut Random) {
    let longest = [1, 1, 5, 20][random.below(4) as usize];
    let holes = match random.below(4) {
        0 => 1,
        n => packets.len() as u64 * n * n / 100 / longest + 1,
    };
    for _ in 0..holes {
        let start = random.below(packets.len() as u64) as usize;
        let end = start + random.below(longest) as usize + 1;
        packets.drain(start..end.min(packets.len()));
        if packets.is_empty() {
            break;
        }
    }
}

fn snap(packets: &mut [Packet], random: &mut Random) {
    let snaplen = (12 << random.below(7)) + random.below(12) as usize;
    for packet in packets {
        packet.captured = packet.captured.min(snaplen);
    }
}
