//! How much is recovered of captures that are cut: packets before, between or the ends of packets
//! are missing, again and again, by chance; what the tracer tells of the rest is held against the
//! truth. `TRACER_CUTS=N` makes N cuts of each kind instead of a few; with `--nocapture` the table
//! of `docs/decoding.md` is printed.

mod cut;
mod decode;
#[path = "../autobahn/cases/deflater.rs"]
mod deflater;
#[path = "../forge/encode.rs"]
mod encode;
mod packet;
#[path = "../../src/test_random.rs"]
mod random;
mod score;
mod table;
mod traffic;

use cut::Cut;
use packet::Packet;
use random::Random;
use score::Capture;
use table::Table;
use tracer::ws::receiver::Sender;
use traffic::{Content, Layout, Size, talk};

const REAL: [&str; 8] = [
    "ws-plain",
    "ws-closecodes",
    "ws-coalesced",
    "ws-ipv6",
    "ws-deflate-takeover",
    "ws-deflate-no-takeover",
    "pyws-chromium",
    "socketio",
];
/// Cuts after which made conversations are made anew.
const ROUND: u64 = 30;

/// How many cuts of each kind a row gets.
fn cuts(default: u64) -> u64 {
    std::env::var("TRACER_CUTS").map_or(default, |n| n.parse().expect("TRACER_CUTS is a number"))
}

/// Cuts one of the captures, and scores what is told of the rest.
fn cut_one(captures: &[Capture], row: &str, n: u64, table: &mut Table) {
    for (kind, cut) in Cut::ALL.into_iter().enumerate() {
        let mut random = Random::new(1 + n * 4 + kind as u64);
        let capture = &captures[random.below(captures.len() as u64) as usize];
        let left = cut.of(&capture.packets, &mut random);
        for (direction, score) in capture.score(&left) {
            table.add(row, cut, direction, score);
        }
    }
}

/// A conversation of each usual size, proven to be told of in full as long as it is whole.
fn made(content: Content, layout: Layout, sizes: &[Size], seed: u64) -> Vec<Capture> {
    let capture = |(n, size): (usize, &Size)| {
        let talk = talk(content, layout, *size, &mut Random::new(seed * 8 + n as u64));
        let capture = Capture::new(talk.packets);
        for from in [Sender::Client, Sender::Server] {
            let truth = capture.truth((talk.client, from)).told.items.iter();
            let shown: Vec<_> = truth.map(|item| (item.opcode, &*item.payload)).collect();
            let sent = talk.sent[from as usize].iter();
            let sent: Vec<_> = sent.map(|(opcode, payload)| (Some(*opcode), &**payload)).collect();
            assert!(shown == sent, "{content:?} {layout:?} {from:?}: uncut, all is told");
        }
        capture
    };
    sizes.iter().enumerate().map(capture).collect()
}

#[test]
fn captures_of_real_peers() {
    let captures: Vec<_> =
        REAL.iter().map(|name| Capture::new(packet::read(&format!("{name}.pcap")))).collect();
    let mut table = Table::default();
    for n in 0..cuts(40) {
        cut_one(&captures, "real peers", n, &mut table);
    }
    println!("{table}");
    table.check_truth();
    for (cut, floor) in Cut::ALL.into_iter().zip([99.0, 99.0, 98.0, 98.0]) {
        table.check_share("", cut, floor);
    }
}

#[test]
fn made_conversations() {
    let mut table = Table::default();
    for content in Content::ALL {
        for layout in Layout::ALL {
            let row = format!("{content}, {layout}");
            let mut captures = Vec::new();
            for n in 0..cuts(10) {
                if n % ROUND == 0 {
                    captures = made(content, layout, &Size::USUAL, 1 + n / ROUND);
                }
                cut_one(&captures, &row, n, &mut table);
            }
        }
    }
    println!("{table}");
    table.check_truth();
    let floors = [
        (Layout::Alone, [99.5, 99.5, 99.5, 99.0]),
        (Layout::Coalesced, [98.5, 98.5, 80.0, 93.0]),
        (Layout::Anywhere, [98.0, 98.0, 70.0, 92.0]),
    ];
    for (layout, floors) in floors {
        for (cut, floor) in Cut::ALL.into_iter().zip(floors) {
            table.check_share(&layout.to_string(), cut, floor);
        }
    }
}

#[test]
fn the_inside_of_a_huge_message_is_taken_for_nothing_else() {
    let mut table = Table::default();
    for content in Content::ALL {
        for seed in 0..cuts(10) {
            let [capture] = &made(content, Layout::Alone, &[Size::Huge], seed)[..] else {
                unreachable!("one size");
            };
            let has_data = |packet: &&Packet| !packet.payload.is_empty();
            // Behind the upgrade, each side's first segment has the header.
            let mut left: Vec<_> = capture.packets.iter().filter(has_data).skip(2).collect();
            for from in [Sender::Client, Sender::Server] {
                let header = left.iter().position(|packet| packet.direction().1 == from);
                left.remove(header.expect("a message each way"));
            }
            let left: Vec<_> = left.into_iter().cloned().collect();
            for (direction, score) in capture.score(&left) {
                table.add("huge", Cut::Late, direction, score);
            }
        }
    }
    table.check_truth();
}
