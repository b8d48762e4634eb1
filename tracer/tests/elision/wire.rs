//! From what two peers say to the segments that a capture sees of it, in order and not.

use tracer::segment::{Endpoint, Nanos, SECOND};
use tracer_common::packet::flags::{ACK, FIN, PSH, SYN};

use crate::random::Random;

/// The longest segment: what fits behind the headers of an IPv4 packet.
const MAX_LEN: u64 = 65_483;

/// A segment on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) time: Nanos,
    pub(crate) from_client: bool,
    pub(crate) interface: u32,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u16,
    pub(crate) payload: Vec<u8>,
    /// The ring had no room for it.
    pub(crate) is_lost: bool,
}

/// How segments begin and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each frame begins a segment, of the largest size.
    Frames,
    /// Each frame begins one, and they are as long as Ethernet allows.
    Ethernet,
    /// They begin anywhere, and have any length.
    Anywhere,
}

/// A connection's packets in the making.
pub(crate) struct Connection<'r> {
    random: &'r mut Random,
    now: Nanos,
    next: [u32; 2],
    packets: Vec<Packet>,
}

/// The addresses of client and server.
pub(crate) fn endpoints() -> [Endpoint; 2] {
    [60_000, 7272].map(|port| Endpoint { address: [1; 16], port })
}

impl<'r> Connection<'r> {
    /// Opens one at `now`, with these initial sequence numbers.
    pub(crate) fn open(now: Nanos, initial: [u32; 2], random: &'r mut Random) -> Self {
        let mut connection = Self { random, now, next: initial, packets: Vec::new() };
        connection.push(true, SYN, Vec::new());
        connection.push(false, SYN | ACK, Vec::new());
        connection
    }

    /// Both sides send their frames, in turns, each after its handshake.
    pub(crate) fn talk(&mut self, sides: [Vec<Vec<u8>>; 2], layout: Layout) {
        let [mut client, mut server] =
            sides.each_ref().map(|frames| segments(frames, layout, self.random));
        for (from_client, side) in [(true, &mut client), (false, &mut server)] {
            self.push(from_client, PSH | ACK, side.remove(0));
        }
        let (mut client, mut server) = (client.into_iter(), server.into_iter());
        loop {
            let from_client = self.random.below(2) == 0;
            let side = if from_client { &mut client } else { &mut server };
            match side.next() {
                Some(segment) => self.push(from_client, PSH | ACK, segment),
                None if client.len() + server.len() == 0 => return,
                None => {}
            }
        }
    }

    /// Both sides end it. Its packets, and the time and the sequence numbers behind them.
    pub(crate) fn close(mut self) -> (Vec<Packet>, Nanos, [u32; 2]) {
        self.push(true, FIN | ACK, Vec::new());
        self.push(false, FIN | ACK, Vec::new());
        (self.packets, self.now, self.next)
    }

    fn push(&mut self, from_client: bool, flags: u16, payload: Vec<u8>) {
        let side = usize::from(!from_client);
        let (seq, ack) = (self.next[side], self.next[1 - side]);
        let taken = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[side] = seq.wrapping_add(taken);
        self.now += match self.random.below(100) {
            0 => SECOND / 5,
            few => few * 1000 + 1,
        };
        let (time, interface, is_lost) = (self.now, 1, false);
        let packet = Packet { time, from_client, interface, seq, ack, flags, payload, is_lost };
        self.packets.push(packet);
    }
}

/// Cuts frames into segments; the first, a handshake, is one in any case.
fn segments(frames: &[Vec<u8>], layout: Layout, random: &mut Random) -> Vec<Vec<u8>> {
    let mut segments = vec![frames[0].clone()];
    let writes =
        if layout == Layout::Anywhere { vec![frames[1..].concat()] } else { frames[1..].to_vec() };
    for write in writes {
        let mut rest = &write[..];
        while !rest.is_empty() {
            let len = match layout {
                Layout::Frames => MAX_LEN,
                Layout::Ethernet => 1448,
                Layout::Anywhere => match random.below(4) {
                    0 => 1 + random.below(20),
                    1 => 1 + random.below(1448),
                    _ => 1 + random.below(MAX_LEN),
                },
            };
            let (segment, behind) = rest.split_at(rest.len().min(len as usize));
            segments.push(segment.to_vec());
            rest = behind;
        }
    }
    segments
}

/// What happens to packets on the way, of each so many in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// They pass where nothing captures.
    pub(crate) missing: u64,
    /// The ring has no room.
    pub(crate) lost: u64,
    /// They are sent again, alone or with what is before or behind.
    pub(crate) repeated: u64,
    /// They come after the next.
    pub(crate) late: u64,
    /// A keep-alive with a byte of garbage comes before.
    pub(crate) probed: u64,
    /// A second interface shows the packets, too.
    pub(crate) is_bridged: bool,
}

impl Weather {
    /// Lets it happen. The SYNs come through.
    pub(crate) fn over(self, packets: &[Packet], random: &mut Random) -> Vec<Packet> {
        let mut seen: Vec<Packet> = Vec::new();
        let mut held = None;
        for (n, packet) in packets.iter().enumerate() {
            let mut happens = |share| n > 1 && random.below(1000) < share;
            if happens(self.missing) {
                continue;
            }
            let is_late = happens(self.late) && held.is_none();
            let is_lost = happens(self.lost);
            let (is_probed, is_repeated) = (happens(self.probed), happens(self.repeated));
            if is_probed {
                let seq = packet.seq.wrapping_sub(1);
                seen.push(Packet { seq, payload: vec![0x5a], ..packet.clone() });
            }
            if is_late {
                held = Some(packet.clone());
                continue;
            }
            seen.push(Packet { is_lost, ..packet.clone() });
            if is_repeated {
                seen.push(again(&packets[..=n], random));
            }
            seen.extend(held.take());
        }
        seen.extend(held);
        self.shown(seen)
    }

    /// Puts the times in order, and shows each packet as often as there are interfaces.
    fn shown(self, mut seen: Vec<Packet>) -> Vec<Packet> {
        for n in 1..seen.len() {
            seen[n].time = seen[n].time.max(seen[n - 1].time + 20);
        }
        if !self.is_bridged {
            return seen;
        }
        let again =
            |packet: &Packet| Packet { interface: 2, time: packet.time + 10, ..packet.clone() };
        seen.iter().flat_map(|packet| [packet.clone(), again(packet)]).collect()
    }
}

/// Some of what the last packet's sender has sent, cut in another way.
fn again(packets: &[Packet], random: &mut Random) -> Packet {
    let last = &packets[packets.len() - 1];
    let of_sender = |packet: &&Packet| packet.from_client == last.from_client;
    let before = packets.iter().rev().filter(of_sender).nth(random.below(3) as usize);
    let mut again = before.unwrap_or(last).clone();
    if again.flags & SYN == 0 && random.below(2) == 0 {
        let cut = random.below(again.payload.len() as u64 + 1) as usize;
        again.payload.drain(..cut);
        again.seq = again.seq.wrapping_add(cut as u32);
    }
    again
}
