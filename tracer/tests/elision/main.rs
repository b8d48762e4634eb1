//! What the kernel leaves out makes no difference: forged conversations go to two decoders, to one
//! through the classifier's following of frames, to the other whole, and the events are compared.
//! `TRACER_ELISION=N` makes N conversations of each kind instead of a few.

mod classifier;
mod compare;
#[path = "../forge/encode.rs"]
mod encode;
#[path = "../../src/test_random.rs"]
mod random;
mod talk;
mod wire;

use compare::{Compared, compare, withstand};
use random::Random;
use talk::{Manners, frames};
use tracer::segment::SECOND;
use wire::{Connection, Layout, Packet, Weather};

const LAYOUTS: [Layout; 3] = [Layout::Frames, Layout::Ethernet, Layout::Anywhere];
const LIMITS: [usize; 5] = [0, 1, 100, 4096, 32 << 10];

/// How many conversations of each kind there are.
fn conversations() -> u64 {
    std::env::var("TRACER_ELISION").map_or(5, |n| n.parse().expect("TRACER_ELISION is a number"))
}

/// A connection, sometimes two between the same ports, the second close behind the first in time and
/// in sequence numbers.
fn packets(
    manners: Manners,
    layout: Layout,
    limit: usize,
    weather: Weather,
    random: &mut Random,
) -> Vec<Packet> {
    let (mut now, mut initial) = (SECOND, [random.next() as u32, u32::MAX - 9000]);
    let mut all = Vec::new();
    for _ in 0..1 + random.below(2) {
        let sides = [true, false].map(|is_client| frames(is_client, manners, limit, random));
        let mut connection = Connection::open(now, initial, random);
        connection.talk(sides, layout);
        let (packets, ended, next) = connection.close();
        all.extend(weather.over(&packets, random));
        let behind = random.below(1000) as u32;
        (now, initial) = (ended + SECOND / 2, next.map(|next| next.wrapping_add(behind)));
    }
    all
}

/// Compares what is told of conversations of this kind.
fn compare_all(manners: Manners, weather: Weather) -> Compared {
    let mut all = Compared::default();
    for layout in LAYOUTS {
        for n in 0..conversations() {
            let random = &mut Random::new(1 + n * 3 + layout as u64);
            let limit = LIMITS[(n % LIMITS.len() as u64) as usize];
            let packets = packets(manners, layout, limit, weather, random);
            let latency = random.below(20) as u32;
            let name = format!("{manners:?}, {layout:?}, {limit}, {weather:?}, number {n}");
            all += compare(&packets, limit, latency, &name);
        }
    }
    println!("{manners:?}, {weather:?}: {all:?}");
    all
}

#[test]
fn of_long_messages_only_what_is_shown_is_copied() {
    let all = compare_all(Manners::Good, Weather::default());
    assert!(all.withdrawn == 0 && all.elided > all.bytes / 8, "{all:?}");
}

#[test]
fn once_a_frame_is_confirmed_only_headers_and_what_is_shown_are_copied() {
    for (layout, latency) in [(Layout::Frames, 0), (Layout::Ethernet, 50)] {
        let random = &mut Random::new(7);
        let side = |is_client: bool| {
            let hello = frames(is_client, Manners::Good, 0, &mut Random::new(7)).remove(0);
            let key = is_client.then_some([1, 2, 3, 4]);
            let frame = |n| encode::frame(0x82, key, &vec![n; 200_000]);
            [vec![hello], (0..50).map(frame).collect()].concat()
        };
        let mut connection = Connection::open(SECOND, [1, 2], random);
        connection.talk([side(true), side(false)], layout);
        let all = compare(&connection.close().0, 100, latency, "bulk");
        assert_eq!((all.messages, all.withdrawn, all.gaps), (100, 0, 0));
        // The first messages pass before the answer comes.
        let copied = all.bytes - all.elided;
        assert!(copied < 12 * 200_000, "{layout:?}: {all:?}");
    }
}

#[test]
fn two_interfaces_that_show_the_same_are_followed_apart() {
    let all = compare_all(Manners::Good, Weather { is_bridged: true, ..Weather::default() });
    assert!(all.withdrawn == 0 && all.elided > all.bytes / 16, "{all:?}");
}

#[test]
fn compressed_messages_are_copied() {
    let all = compare_all(Manners::Compressing, Weather::default());
    assert!(all.withdrawn == 0 && all.elided > 0, "{all:?}");
}

#[test]
fn broken_rules_are_told_as_if_all_were_copied() {
    let all = compare_all(Manners::Bad, Weather::default());
    assert!(all.withdrawn == 0 && all.elided > 0, "{all:?}");
}

#[test]
fn what_is_missing_late_or_sent_again_is_told_as_if_all_were_copied() {
    let rough = Weather { missing: 10, repeated: 40, late: 10, probed: 20, ..Weather::default() };
    for manners in [Manners::Good, Manners::Compressing, Manners::Bad] {
        let all = compare_all(manners, rough);
        assert!(all.withdrawn == 0 && all.elided > 0, "{all:?}");
    }
}

#[test]
fn what_the_ring_has_no_room_for_is_told_as_if_all_were_copied() {
    let full = Weather { lost: 20, repeated: 10, ..Weather::default() };
    for manners in [Manners::Good, Manners::Bad] {
        let all = compare_all(manners, full);
        assert!(all.withdrawn == 0 && all.elided > 0, "{all:?}");
    }
}

#[test]
fn records_that_are_lost_one_by_one_never_let_the_classifier_lose_its_place() {
    let rough = Weather { missing: 5, repeated: 20, late: 5, ..Weather::default() };
    let mut lost = 0;
    for n in 0..conversations() * 4 {
        let random = &mut Random::new(1000 + n);
        let layout = LAYOUTS[(n % 3) as usize];
        let packets = packets(Manners::Bad, layout, 100, rough, random);
        lost += withstand(&packets, 100, random);
    }
    assert!(lost > 0);
}
