use super::*;

const LIMIT: u32 = 20;

fn frame(first: u8, masked: bool, len: usize) -> Vec<u8> {
    let mask = u8::from(masked) << 7;
    let mut frame = match len {
        ..=125 => vec![first, mask | len as u8],
        126..=0xffff => [&[first, mask | 126][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[first, mask | 127][..], &(len as u64).to_be_bytes()].concat(),
    };
    frame.extend([9; 4].iter().take(if masked { 4 } else { 0 }));
    frame.extend((0..len).map(|i| i as u8));
    frame
}

fn arrival(seq: u32, len: u32, time: u64) -> Arrival {
    Arrival { seq, len, time, is_syn: false, may_begin: false }
}

/// A direction that is followed from its first byte on.
fn begun() -> Followed {
    Followed::new(&arrival(0, 0, 1))
}

fn confirmed() -> Followed {
    let mut followed = begun();
    assert_eq!(followed.arrive(&arrival(0, 0, 2), || Some(1)), Turn::Follow);
    followed
}

/// Follows segments as the classifier does. Returns a flag for each byte: copied or not.
fn walk(followed: &mut Followed, segment: &[u8], room: u32) -> Result<Vec<bool>, Unusual> {
    let (mut at, mut copied) = (0, Vec::new());
    while at < segment.len() {
        let rest = (segment.len() - at) as u32;
        let loaded = followed.header_room().min(rest);
        let (header, have) = followed.header_place();
        let from = &segment[at..at + loaded as usize];
        header[have as usize..][..from.len()].copy_from_slice(from);
        let used = if loaded > 0 { followed.header(loaded, at as u32, LIMIT)? } else { 0 };
        let Piece { copy, skip } = followed.payload(rest - used, room - used);
        assert!(used + copy + skip > 0 && used + copy <= room, "it gets on");
        copied.extend([vec![true; (used + copy) as usize], vec![false; skip as usize]].concat());
        at += (used + copy + skip) as usize;
    }
    Ok(copied)
}

/// Frames, and a flag for each of their bytes: whether it has to be copied.
fn stream() -> (Vec<u8>, Vec<bool>) {
    let kinds = [
        (0x82, 70_000, false),
        (0x82, 5, false),
        (0x89, 100, true),
        (0x02, 300, false),
        (0x8a, 0, true),
        (0x00, 400, false),
        (0x80, 0, false),
        (0x01, 300, true),
        (0x80, 66_000, true),
        (0x82, 126, false),
    ];
    let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
    for (n, (first, len, is_whole)) in kinds.into_iter().enumerate() {
        let frame = frame(first, n % 3 == 0, len);
        let header = frame.len() - len;
        let shown = header + if is_whole { len } else { len.min(LIMIT as usize) };
        wanted.extend((0..frame.len()).map(|i| i < shown));
        bytes.extend(frame);
    }
    (bytes, wanted)
}

#[test]
fn headers_and_what_is_shown_are_copied_however_segments_are_cut() {
    let (bytes, wanted) = stream();
    for cut in [1, 2, 3, 7, 13, 100, 1448, 65_536, 1 << 20] {
        let mut followed = confirmed();
        let mut copied = Vec::new();
        for segment in bytes.chunks(cut) {
            copied.extend(walk(&mut followed, segment, 1000).unwrap());
        }
        assert!(copied == wanted, "segments of {cut}");
    }
}

#[test]
fn before_a_frame_is_confirmed_everything_is_copied() {
    let (bytes, _) = stream();
    let copied = walk(&mut begun(), &bytes, 1000).unwrap();
    assert_eq!(copied, vec![true; bytes.len()]);
}

#[test]
fn what_cannot_be_followed_is_noticed() {
    for first in [0xc2, 0x83, 0x92, 0x8b, 0xa1] {
        let segment = frame(first, false, 10);
        assert_eq!(walk(&mut begun(), &segment, 1000), Err(Unusual), "{first:x}");
    }
    let endless = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(walk(&mut begun(), &endless, 1000), Err(Unusual));
}

#[test]
fn only_long_binary_messages_are_worthwhile() {
    let begins = |first, len| {
        Followed::is_worthwhile(frame(first, false, len).first_chunk().unwrap(), LIMIT)
    };
    assert!(begins(0x82, 5000) && begins(0x02, 100_000));
    assert!(!begins(0x82, 4000) && !begins(0x81, 5000) && !begins(0xc2, 5000));
    assert!(!begins(0x80, 100_000));
    let endless = [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0];
    assert!(!Followed::is_worthwhile(&endless, LIMIT));
}

#[test]
fn a_segment_is_followed_only_where_the_one_before_has_ended() {
    let turn = |seq, len| {
        let mut followed = Followed::new(&arrival(u32::MAX - 99, 200, 1));
        let turn = followed.arrive(&arrival(seq, len, 2), || None);
        (turn, followed.is_stopped == 1)
    };
    assert_eq!(turn(100, 50), (Turn::Follow, false));
    assert_eq!(turn(u32::MAX - 99, 200), (Turn::Pass, false), "an old one again changes nothing");
    assert_eq!(turn(99, 1), (Turn::Pass, false), "nor does a keep-alive");
    assert_eq!(turn(150, 50), (Turn::Pass, true), "one is missing");
    assert_eq!(turn(99, 2), (Turn::Pass, true), "some is new, some is old");
}

#[test]
fn what_is_not_followed_any_more_is_begun_anew_with_a_long_frame() {
    let mut followed = confirmed();
    followed.stop();
    let next = arrival(0, 5000, 3);
    assert_eq!(followed.arrive(&next, || Some(1)), Turn::Pass);
    let long = Arrival { may_begin: true, ..next };
    assert_eq!(followed.arrive(&long, || Some(1)), Turn::Anew);
}

#[test]
fn a_new_connection_between_the_same_ports_is_another_stream() {
    let mut followed = confirmed();
    let syn = Arrival { is_syn: true, ..arrival(0, 0, 3) };
    assert_eq!(followed.arrive(&syn, || Some(1)), Turn::Pass);
    assert_eq!(followed.arrive(&arrival(0, 100, 4), || Some(1)), Turn::Pass);
}

#[test]
fn only_an_answer_about_what_is_followed_now_confirms() {
    let mut followed = Followed::new(&arrival(0, 10, 50));
    for (time, is_confirmed) in [(None, 0), (Some(49), 0), (Some(50), 1), (None, 1)] {
        assert_eq!(followed.arrive(&arrival(10, 0, 60), || time), Turn::Follow);
        assert_eq!(followed.is_confirmed, is_confirmed, "{time:?}");
    }
}

#[test]
fn user_space_is_asked_about_the_latest_frame_until_it_confirms() {
    let mut followed = begun();
    assert_eq!(followed.asks(), Some(0));
    let bytes = [frame(0x82, false, 300), frame(0x82, true, 200)].concat();
    walk(&mut followed, &bytes[..304], 1000).unwrap();
    assert_eq!(followed.asks(), Some(0));
    // What `walk` gives out as sequence numbers begins at 0 with each segment.
    walk(&mut followed, &bytes[304..305], 1000).unwrap();
    assert_eq!(followed.asks(), Some(0), "half a header says nothing");
    walk(&mut followed, &bytes[305..400], 1000).unwrap();
    assert_eq!(followed.asks(), Some(u32::MAX), "it began a byte before");
    followed.arrive(&arrival(0, 10, 2), || Some(2));
    assert_eq!(followed.asks(), None);
    followed.stop();
    assert_eq!(followed.asks(), None);
}

#[test]
fn what_nobody_confirms_gives_way_after_a_while() {
    let turn = |followed: &mut Followed, time| {
        followed.next = 0;
        let long = Arrival { may_begin: true, ..arrival(0, 1000, time) };
        followed.arrive(&long, || None)
    };
    let mut followed = begun();
    walk(&mut followed, &frame(0x82, false, 3000)[..1000], 2000).unwrap();
    assert_eq!(turn(&mut followed, PATIENCE), Turn::Follow);
    assert_eq!(turn(&mut followed.clone(), 2 + PATIENCE), Turn::Anew);
    walk(&mut followed, &[0; 2004], 4000).unwrap();
    assert_eq!(turn(&mut followed, 2 + PATIENCE), Turn::Follow, "it may be right between frames");
}

#[test]
fn after_a_header_is_lost_everything_is_copied_until_it_is_confirmed_again() {
    let mut followed = confirmed();
    let bytes = frame(0x82, false, 500);
    walk(&mut followed, &bytes[..10], 1000).unwrap();
    followed.written(7, true);
    assert_eq!(walk(&mut followed, &bytes[10..], 1000), Ok(vec![true; 494]));
    assert_eq!(walk(&mut followed, &bytes, 1000), Ok(vec![true; 504]));
    followed.arrive(&arrival(0, 0, 8), || Some(7));
    assert_eq!(followed.is_confirmed, 0, "of the segment itself a part may have got through");
    followed.arrive(&arrival(0, 0, 9), || Some(8));
    assert_eq!(followed.is_confirmed, 1);
}

#[test]
fn lost_payload_makes_no_difference() {
    let mut followed = confirmed();
    let bytes = frame(0x82, false, 500);
    walk(&mut followed, &bytes[..10], 1000).unwrap();
    followed.written(6, false);
    walk(&mut followed, &bytes[10..200], 1000).unwrap();
    followed.written(7, true);
    assert_eq!(walk(&mut followed, &bytes[200..], 1000), Ok(vec![false; 304]));
}

#[test]
fn a_record_that_is_lost_counts_even_without_payload() {
    let mut place = Place::default();
    place.begin(40);
    assert_eq!(place.outcome(), Ok(()));
    place.lose(0);
    assert_eq!(place.outcome(), Err(0));
    place.lose(7);
    assert_eq!(place.outcome(), Err(7));
}

#[test]
fn records_end_where_something_is_left_out_or_they_are_full() {
    let mut place = Place::default();
    place.begin(40);
    assert_eq!((place.get().at, place.get().room()), (0, 32_728));
    place.extend(700);
    assert_eq!(place.get(), Spot { start: 0, at: 700, options_len: 40 });
    assert_eq!(place.get().room(), 32_028);
    place.advance(1000);
    assert_eq!(place.get(), Spot { start: 1700, at: 1700, options_len: 0 });
    let ends = |copy, skip| Piece { copy, skip }.ends_record(100, 80);
    assert!(ends(10, 1) && ends(80, 0) && ends(100, 0) && !ends(10, 0));
}

#[test]
fn the_rest_of_a_body_is_left_out_up_to_its_end_and_not_further() {
    for late in [0, 1, 700, 9999] {
        let mut followed = Followed::until(10_000);
        let first = arrival(late, 300, 1);
        assert_eq!(followed.arrive(&first, || None), Turn::Follow);
        let mut next = late;
        while next + 300 < 10_000 {
            assert_eq!(walk(&mut followed, &[7; 300], 1000), Ok(vec![false; 300]));
            next += 300;
            assert_eq!(followed.arrive(&arrival(next, 300, 1), || None), Turn::Follow);
        }
        let left = 10_000 - next;
        let last: Vec<_> = (0..300).map(|i| i >= left).collect();
        // What follows looks like frames, and is none.
        let mut segment = vec![7; left as usize];
        segment.extend([&[0x82, 126, 0, 250][..], &[9; 300]].concat());
        segment.truncate(300);
        let mut stopped = false;
        let copied = walk(&mut followed, &segment, 1000).unwrap_or_else(|Unusual| {
            stopped = true;
            last.clone()
        });
        assert_eq!((copied, stopped), (last, left < 300), "from {late} on");
    }
}

#[test]
fn a_body_that_ended_before_it_was_named_is_not_followed() {
    for seq in [10_000, 10_001, 10_000_u32.wrapping_sub(MAX_REST + 1)] {
        let mut followed = Followed::until(10_000);
        let turn = followed.arrive(&arrival(seq, 300, 1), || None);
        let copied = walk(&mut followed, &[7; 300], 1000);
        assert!(turn == Turn::Pass || copied == Err(Unusual), "{seq}: {turn:?}");
    }
}
