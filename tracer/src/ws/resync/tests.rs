use super::*;
use crate::{
    test_random::Random,
    ws::test_frames::{frame, masked, plain},
};

fn search(sender: Sender, segments: &[&[u8]]) -> Option<Lock> {
    let mut search = Search::new(sender, false);
    segments.iter().find_map(|segment| search.segment(segment))
}

/// Bytes passed over, and the bytes from the header on.
fn found(lock: Option<Lock>) -> (u64, Vec<u8>) {
    let lock = lock.expect("a header is found");
    (lock.skipped, lock.stretch.captured_from(0).to_vec())
}

#[test]
fn a_text_that_fills_a_segment_is_enough() {
    let server = plain(0x81, br#"{"type":"login","uid":783700053,"name":"mynick"}"#);
    let lock = search(Sender::Server, &[&server]);
    assert_eq!(found(lock), (0, server));
    let client = masked(0x81, b"hola a todos");
    assert_eq!(search(Sender::Client, &[&client]).unwrap().skipped, 0);
}

#[test]
fn small_binary_frames_are_enough_when_two_follow_each_other() {
    let frames = [plain(0x82, b"\x00\x01"), plain(0x82, b"\x02")];
    assert_eq!(search(Sender::Server, &[&frames[0]]), None);
    let lock = search(Sender::Server, &[&frames[0], &frames[1]]);
    assert_eq!(found(lock), (0, frames.concat()));
}

#[test]
fn the_rest_of_a_cut_frame_is_passed_over() {
    let mut random = Random::new(8);
    let rest = random.bytes(1000);
    let text = masked(0x81, "la conversación sigue".as_bytes());
    let lock = search(Sender::Client, &[&rest, &text]);
    assert_eq!(found(lock), (1000, text));
}

#[test]
fn frames_that_begin_inside_segments_are_found_in_a_chain() {
    let mut random = Random::new(9);
    let mut bytes = random.bytes(700);
    for i in 0..200 {
        bytes.extend(masked(0x81, format!("message number {i} of many").as_bytes()));
    }
    let lock = search(Sender::Client, &[&bytes]).unwrap();
    assert_eq!(lock.skipped, 700);
}

#[test]
fn frames_go_on_behind_gaps() {
    let mut search = Search::new(Sender::Server, false);
    let frame = plain(0x82, &[7; 500]);
    // Each segment is cut to 100 bytes.
    assert_eq!(search.segment(&frame[..100]), None);
    search.gap(404);
    let lock = search.segment(&frame[..100]).expect("it ends where the next segment begins");
    assert_eq!((lock.skipped, lock.stretch.span()), (0, 604));
}

#[test]
fn when_nothing_more_comes_every_place_is_tried() {
    let mut random = Random::new(11);
    let mut search = Search::new(Sender::Server, false);
    let frames: Vec<_> = (0..12).flat_map(|_| plain(0x82, &random.bytes(15))).collect();
    let segment = [random.bytes(200), frames, random.bytes(1)].concat();
    assert!(search.segment(&segment).is_none());
    let skipped = search.finish().expect("a chain of frames").skipped;
    assert!((200..=200 + 3 * 17).contains(&skipped), "{skipped}");
}

#[test]
fn a_chain_begins_where_its_first_frames_prove_enough() {
    let mut random = Random::new(12);
    let mut skipped = Vec::new();
    for _ in 0..300 {
        let rest = random.bytes(1000);
        let frames: Vec<_> = (0..60).flat_map(|_| plain(0x82, &random.bytes(6))).collect();
        skipped.push(search(Sender::Server, &[&[rest, frames].concat()]).unwrap().skipped);
    }
    // Some bytes before a frame pass for a short one that ends there.
    let wrong = skipped.iter().filter(|&&skipped| skipped < 1000 || skipped % 8 != 0).count();
    assert!(wrong <= 1, "{wrong} of 300 began with a frame that is none");
    assert!(skipped.iter().all(|&skipped| skipped <= 1000 + 16 * 8), "{skipped:?}");
}

#[test]
fn data_that_repeats_itself_is_no_chain_of_frames() {
    let repeated = |unit: &[u8]| unit.repeat(100_000 / unit.len());
    assert_eq!(search(Sender::Server, &[&repeated(b"\0")]), None);
    assert_eq!(search(Sender::Server, &[&repeated(b"\0\0\x01\0")]), None);
    // Zeroes masked with a key that looks like a header of 6 bytes.
    assert_eq!(search(Sender::Client, &[&repeated(b"\x82\x86\x01\x02")]), None);
}

#[test]
fn random_bytes_are_no_frames() {
    let mut random = Random::new(10);
    let mut wrong = 0;
    for i in 0..300 {
        let sender = if i % 2 == 0 { Sender::Client } else { Sender::Server };
        let mut search = Search::new(sender, true);
        for _ in 0..20 {
            let len = 1 + random.below(1400) as usize;
            wrong += usize::from(search.segment(&random.bytes(len)).is_some());
        }
    }
    assert!(wrong <= 1, "{wrong} wrong locks in 300 streams of 14 KB");
}

#[test]
fn of_a_frame_longer_than_what_is_kept_the_end_is_remembered() {
    let mut random = Random::new(13);
    let frames: Vec<_> = (0..4).flat_map(|_| plain(0x82, &random.bytes(1 << 20))).collect();
    let stream = [random.bytes(1000), frames].concat();
    let mut search = Search::new(Sender::Server, false);
    // No segment begins where a frame does.
    let lock = stream.chunks(60_001).find_map(|segment| search.segment(segment)).unwrap();
    assert_eq!((lock.skipped - 1000) % ((1 << 20) + 10), 0);
}

#[test]
fn memory_is_bounded() {
    let mut search = Search::new(Sender::Server, true);
    for _ in 0..5000 {
        assert_eq!(search.segment(&[0xff; 1400]), None);
    }
    assert!(search.memory() <= 2 * MAX_BYTES);
    assert_eq!(search.searched(), 5000 * 1400);
}

#[test]
fn many_small_segments_are_no_burden() {
    let mut search = Search::new(Sender::Client, true);
    // Legal headers, each with a payload that never comes.
    let header = &frame(0x82, Some([1, 2, 3, 4]), &[0; 60_000])[..8];
    for _ in 0..20_000 {
        search.segment(header);
    }
    assert!(search.memory() <= 2 * MAX_BYTES);
}
