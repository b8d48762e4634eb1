//! A bad wire between two namespaces: packets go in at one end and come out at the other, or do not,
//! or twice, or later than those behind them, as chance has it.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    os::fd::{AsFd as _, OwnedFd},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::{
    device::{Device, Kind},
    netns::{HERE, Namespace, THERE},
    random::Random,
};

/// How many of a hundred packets meet which fate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Never arrive.
    pub(crate) lost: u64,
    /// Arrive twice.
    pub(crate) doubled: u64,
    /// Are overtaken by others.
    pub(crate) late: u64,
    /// So long the wire loses each copy of the first long segment to [`THERE`], and of no other.
    pub(crate) stuck: Duration,
}

/// A segment with so many bytes is long.
const LONG: usize = 1000;

/// How much later the overtaken ones are, and second copies, in microseconds: from less than what
/// TCP waits before it sends again (200 ms on Linux) to more.
const LATENESS: u64 = 250_000;

/// What a wire has done to the packets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) carried: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
}

/// The wire, which works in a thread of its own.
pub(crate) struct Wire {
    stop: OwnedFd,
    worker: JoinHandle<Done>,
}

impl Wire {
    /// Lays one from `here`, which gets the addresses [`HERE`], to a new namespace with [`THERE`].
    pub(crate) fn lay(here: &Namespace, faults: Faults) -> (Self, Namespace) {
        let there = here.another();
        let ends = [(here, HERE), (&there, THERE)].map(|(namespace, addresses)| {
            let device = Device::new(namespace, Kind::Tun).nonblocking();
            namespace.address(Device::NAME, addresses);
            device
        });
        let stop = eventfd(0, EventfdFlags::CLOEXEC).expect("an eventfd");
        let stopped = stop.try_clone().expect("a second descriptor");
        let seed = seed();
        eprintln!("the wire's seed is {seed}: TRACER_SEED={seed} repeats it");
        let mut carrier = Carrier {
            ends,
            faults,
            random: Random::new(seed),
            under_way: BinaryHeap::new(),
            stuck: None,
            done: Done::default(),
        };
        let worker = thread::spawn(move || {
            while carrier.turn(&stopped) {}
            carrier.done
        });
        (Self { stop, worker }, there)
    }

    /// Takes it away; what it has done.
    pub(crate) fn cut(self) -> Done {
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).expect("an eventfd takes a number");
        self.worker.join().expect("the wire has worked")
    }
}

/// From the environment, or another one in each run.
fn seed() -> u64 {
    let given = std::env::var("TRACER_SEED").ok();
    let now = || SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_nanos() as u64;
    given.map_or_else(now, |seed| seed.parse().expect("TRACER_SEED is a number"))
}

/// A packet under way: when it is due, its number, the end it goes to. The earliest one is next.
type UnderWay = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Carrier {
    ends: [Device; 2],
    faults: Faults,
    random: Random,
    under_way: BinaryHeap<UnderWay>,
    /// The sequence number that is stuck, and until when.
    stuck: Option<(u32, Instant)>,
    done: Done,
}

impl Carrier {
    /// Waits for something to do and does it, unless that is to stop.
    fn turn(&mut self, stop: &OwnedFd) -> bool {
        let due = self.under_way.peek().map(|Reverse((due, ..))| {
            let left = due.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        let [one, other] = &self.ends;
        let fds = [stop.as_fd(), one.as_fd(), other.as_fd()];
        let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        poll(&mut fds, due.as_ref()).expect("descriptors can be waited for");
        if fds[0].revents().contains(PollFlags::IN) {
            return false;
        }
        for from in [0, 1] {
            while let Some(packet) = self.ends[from].take() {
                self.carry(1 - from, packet);
            }
        }
        self.deliver();
        true
    }

    /// Decides about a packet's fate.
    fn carry(&mut self, to: usize, packet: Vec<u8>) {
        let Faults { lost, doubled, late, stuck: _ } = self.faults;
        let Done { carried, .. } = self.done;
        self.done.carried += 1;
        if to == 1 && self.is_stuck(&packet) {
            self.done.lost += 1;
            return;
        }
        let [lost, doubled, late] = [lost, doubled, late].map(|many| self.random.below(100) < many);
        let mut lateness = || Duration::from_micros(self.random.below(LATENESS));
        let (second, first) = (lateness(), if late { lateness() } else { Duration::ZERO });
        let now = Instant::now();
        if doubled {
            self.done.doubled += 1;
            self.under_way.push(Reverse((now + second, carried, to, packet.clone())));
        }
        if lost {
            self.done.lost += 1;
            return;
        }
        self.done.late += u64::from(late);
        self.under_way.push(Reverse((now + first, carried, to, packet)));
    }

    /// Whether this is a copy of the segment that is not to get through yet, by its place in a packet
    /// with plain IPv4 and TCP headers.
    fn is_stuck(&mut self, packet: &[u8]) -> bool {
        let is_long = packet[0] == 0x45 && packet.len() > LONG;
        if !is_long || self.faults.stuck.is_zero() {
            return false;
        }
        let seq = u32::from_be_bytes([packet[24], packet[25], packet[26], packet[27]]);
        let now = Instant::now();
        let &mut (stuck, until) = self.stuck.get_or_insert((seq, now + self.faults.stuck));
        seq == stuck && now < until
    }

    /// Lets those arrive that are due.
    fn deliver(&mut self) {
        while let Some(Reverse((due, ..))) = self.under_way.peek()
            && *due <= Instant::now()
            && let Some(Reverse((_, _, to, packet))) = self.under_way.pop()
        {
            self.ends[to].inject(&packet);
        }
    }
}
