//! A capture that follows the frames, and leaves out what is not shown.

use serde_json::Value;

use super::wire::{Client, REQUEST, RESPONSE, Server, Wire, options};
use crate::{
    segment::Interest,
    session::{Limits, Options},
    ws::test_frames::{masked, plain},
};

/// What is shown of a message.
const SHOWN: usize = 4;
/// Bytes of the header of a frame of 1000 bytes.
const HEADER: usize = 4;

fn upgraded() -> Wire {
    let limits = Limits { payload: SHOWN, ..options().limits };
    let mut wire = Wire::with(Options { limits, frames: true, ..options() });
    wire.connect();
    wire.data(Client, REQUEST);
    wire.data(Server, RESPONSE);
    wire.events();
    wire
}

/// The events of a wire, up to the end of its connection.
fn all(mut wire: Wire) -> Vec<Value> {
    wire.fin(Client);
    wire.fin(Server);
    wire.finish();
    wire.events()
}

/// Sends what the capture takes for a frame that began so many bytes before.
fn asked(wire: &mut Wire, before: u32, bytes: &[u8]) -> Interest {
    wire.frame_at = Some(wire.seq(Server).wrapping_sub(before));
    wire.data(Server, bytes);
    wire.interest
}

#[test]
fn what_was_left_out_is_told_as_if_it_had_been_there() {
    let message = plain(0x82, &[7; 1000]);
    let fragments = [plain(0x02, &[7; 1000]), plain(0x89, b"?"), plain(0x80, &[8; 1000])];
    let (mut eliding, mut copying) = (upgraded(), upgraded());
    eliding.elided(Server, &message, HEADER + SHOWN);
    copying.data(Server, &message);
    for fragment in &fragments {
        eliding.elided(Server, fragment, fragment.len().min(HEADER + SHOWN));
        copying.data(Server, fragment);
    }
    let (cut, rest) = message.split_at(500);
    eliding.elided(Server, cut, HEADER + SHOWN);
    eliding.elided(Server, rest, 0);
    copying.data(Server, cut);
    copying.data(Server, rest);
    assert_eq!(eliding.interest, Interest::Payload);
    assert_eq!(all(eliding), all(copying));
}

#[test]
fn the_capture_is_right_where_the_latest_frame_began() {
    let mut wire = upgraded();
    let message = plain(0x82, &[7; 1000]);
    wire.data(Server, &message);
    assert_eq!(asked(&mut wire, 0, &message[..2]), Interest::Payload, "half a header");
    assert_eq!(asked(&mut wire, 2, &message[2..500]), Interest::Headers);
    assert_eq!(asked(&mut wire, 0, &message[500..600]), Interest::Payload, "none began here");
    assert_eq!(asked(&mut wire, 600, &message[600..]), Interest::Headers, "it still is the latest");
    let two = [&message[..], &message[..]].concat();
    assert_eq!(asked(&mut wire, 0, &two), Interest::Payload, "there was a later one");
    assert_eq!(asked(&mut wire, 1004_u32.wrapping_neg(), &two), Interest::Headers);
}

#[test]
fn the_capture_is_not_right_where_something_waits_or_is_old() {
    let mut wire = upgraded();
    let message = plain(0x82, &[7; 1000]);
    let seq = wire.seq(Server);
    wire.lose(Server, &message);
    assert_eq!(asked(&mut wire, 0, &message), Interest::Payload, "one is missing");
    wire.frame_at = Some(seq);
    wire.seen(Server, seq, 0x10, &message, 1004);
    assert_eq!(wire.interest, Interest::Payload, "the one behind it was there already");
    assert_eq!(asked(&mut wire, 0, &message), Interest::Headers);
    wire.seen(Server, seq.wrapping_add(2008), 0x10, &message, 1004);
    assert_eq!(wire.interest, Interest::Headers, "again, and nothing has come since");
    wire.frame_at = Some(seq);
    wire.seen(Server, seq, 0x10, &message, 1004);
    assert_eq!(wire.interest, Interest::Payload, "an old one again");
}

#[test]
fn the_capture_is_not_right_before_frames_are_sure() {
    let mut wire = Wire::new();
    let message = plain(0x81, b"a text that is long enough to be found");
    let interests: Vec<_> = (0..6).map(|_| asked(&mut wire, 0, &message)).collect();
    let (before, after) = interests.split_at(3);
    assert_eq!(before, [Interest::Payload; 3]);
    assert_eq!(after, [Interest::Headers; 3]);

    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, REQUEST);
    wire.frame_at = Some(wire.seq(Client));
    wire.data(Client, &masked(0x82, &[7; 1000]));
    assert_eq!(wire.interest, Interest::Payload, "the server has not agreed yet");
}

#[test]
fn what_somebody_wants_is_a_gap_and_everything_is_copied_again() {
    let text = plain(0x81, &[b'a'; 1000]);
    let binary = plain(0x82, &[7; 1000]);
    let ping = plain(0x89, &[7; 100]);
    for (frame, captured) in [(&text, 500), (&binary, HEADER + 1), (&binary, 0), (&ping, 50)] {
        let mut wire = upgraded();
        wire.elided(Server, frame, captured);
        assert_eq!(wire.interest, Interest::Everything);
        let told = wire.told().join(", ");
        let gap = format!("gap server {} midstream", frame.len() - captured);
        assert!(told.contains(&gap), "{told}");
        wire.data(Client, &masked(0x82, b"hi"));
        assert_eq!(wire.interest, Interest::Payload, "the other side is as it was");
    }
}

#[test]
fn what_was_left_out_waits_for_what_precedes_it() {
    let message = plain(0x82, &[7; 1000]);
    let (mut eliding, mut copying) = (upgraded(), upgraded());
    for (wire, captured) in [(&mut eliding, HEADER + SHOWN), (&mut copying, 1004)] {
        let seq = wire.seq(Server);
        wire.lose(Server, &message);
        wire.elided(Server, &message, captured);
        assert!(wire.told().is_empty());
        wire.seen(Server, seq, 0x10, &message, 1004);
    }
    assert_eq!(all(eliding), all(copying));
}

#[test]
fn what_is_sent_again_after_it_was_left_out_adds_only_what_is_new() {
    let message = plain(0x82, &[7; 1000]);
    let both = [&message[..], &message[..]].concat();
    let (mut eliding, mut copying) = (upgraded(), upgraded());
    for (wire, captured) in [(&mut eliding, HEADER + SHOWN), (&mut copying, 1004)] {
        let seq = wire.seq(Server);
        wire.elided(Server, &message, captured);
        wire.skip(Server, 1004);
        wire.seen(Server, seq, 0x10, &message, 1004);
        wire.seen(Server, seq, 0x10, &both, 2008);
    }
    assert_eq!(all(eliding), all(copying));
}
