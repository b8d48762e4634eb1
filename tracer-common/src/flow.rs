//! What user space wants to know of a flow: the keys and values of the classifier's tables.

use crate::packet::{Address, Ip, Tcp};

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

/// Which of `rings` ring buffers takes a segment: the same one for both directions of a connection,
/// and whatever interface shows it, so that its segments stay in order.
///
/// Of an address only the end counts: where many have that in common, the ports tell them apart.
#[inline(always)]
pub fn ring(ip: &Ip, tcp: &Tcp, rings: u32) -> u32 {
    let addresses = ip.source.last_word() ^ ip.destination.last_word();
    let ports = tcp.source_port ^ tcp.destination_port;
    let ends = u64::from(addresses) << 16 | u64::from(ports);
    // Fibonacci hashing: the upper half is spread well, even of numbers that follow each other.
    let hash = ends.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    // A multiplication maps it to a range without a division.
    ((hash * u64::from(rings)) >> 32) as u32
}

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

    const PORT: u16 = 7272;

    fn ring_of((source, source_port): ([u8; 16], u16), to: ([u8; 16], u16), rings: u32) -> u32 {
        let (destination, destination_port) = to;
        let (source, destination) = (source.into(), destination.into());
        let ip = Ip { source, destination, tcp_offset: 34, tcp_len: 20 };
        let tcp = Tcp {
            source_port,
            destination_port,
            seq: 0,
            ack: 0,
            flags: 0,
            window: 0,
            options_offset: 54,
            options_len: 0,
            payload_len: 0,
        };
        ring(&ip, &tcp, rings)
    }

    fn v4(address: [u8; 4]) -> [u8; 16] {
        let mut mapped = [0; 16];
        mapped[10..12].fill(0xff);
        mapped[12..].copy_from_slice(&address);
        mapped
    }

    #[test]
    fn both_directions_of_a_flow_go_into_the_same_ring() {
        for rings in 1..=64 {
            for n in 0..1000_u16 {
                let [high, low] = n.wrapping_mul(40_503).to_be_bytes();
                let v6 = core::array::from_fn(|i| (i as u8).wrapping_mul(high) ^ low);
                for address in [v6, v4([10, high, low, 7]), v4([127, 0, 0, 1])] {
                    let ends = ((address, 1024 + n), (v4([127, 0, 0, 1]), PORT));
                    let there = ring_of(ends.0, ends.1, rings);
                    assert_eq!(there, ring_of(ends.1, ends.0, rings), "{ends:?}");
                    assert!(there < rings);
                }
            }
        }
    }

    /// How many of the flows each ring gets.
    fn spread(rings: u32, clients: impl Iterator<Item = ([u8; 16], u16)>) -> [usize; 64] {
        let mut flows = [0; 64];
        clients.for_each(|c| flows[ring_of(c, (v4([10, 0, 0, 1]), PORT), rings) as usize] += 1);
        flows
    }

    #[test]
    fn every_ring_gets_its_part_of_the_flows() {
        for rings in 2..=16_u32 {
            // Linux gives those who connect ports of one parity first.
            let of_one_host = (0..1024).map(|n| (v4([10, 0, 0, 2]), 32_768 + 2 * n));
            let of_many_hosts =
                (0..1024_u16).map(|n| (v4([10, 9, (n >> 8) as u8, n as u8]), 50_000));
            let of_a_proxy = (0..1024_u16).map(|n| (v4([10, 0, 0, 1]), 40_000 + n));
            for flows in [
                spread(rings, of_one_host),
                spread(rings, of_many_hosts),
                spread(rings, of_a_proxy),
            ] {
                let flows = &flows[..rings as usize];
                let (mean, least) = (1024 / rings as usize, flows.iter().min());
                let most = flows.iter().max();
                assert!(least >= Some(&(mean / 2)) && most <= Some(&(mean * 2)), "{flows:?}");
            }
        }
    }

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
