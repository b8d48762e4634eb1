use tracer_common::packet::flags::SYN;

use super::wire::{Client, REQUEST, RESPONSE, Server, Wire, options};
use crate::{
    session::Options,
    ws::test_frames::{masked, plain},
};

#[test]
fn where_both_ports_are_traced_what_is_said_tells_who_is_the_server() {
    let told = |from, flags, payload: &[u8]| {
        let mut options = Options { segments: true, ..options() };
        options.ports.insert(60653);
        let mut wire = Wire::with(options);
        wire.send(from, flags, payload);
        wire.events()[0]["server"].as_str().unwrap().ends_with(":7272")
    };
    assert!(told(Client, 0x10, REQUEST) && told(Server, 0x10, RESPONSE));
    assert!(told(Client, 0x10, &masked(0x81, b"a")) && told(Server, 0x10, &plain(0x81, b"a")));
    assert!(told(Server, 0x12, b""), "who answers a SYN is the server");
    assert!(
        told(Client, 0x10, b"") && told(Server, 0x10, b""),
        "where nothing is said, the lower port"
    );
}

#[test]
fn a_connection_joined_midstream_decodes_from_its_first_frame() {
    let mut wire = Wire::new();
    wire.data(Server, &plain(0x81, br#"{"type":"login","uid":783700053,"name":"mynick"}"#));
    wire.data(Client, &masked(0x81, b"hola a todos"));
    let expected = [
        "ws.open midstream",
        "ws.message server {\"type\":\"login\",\"uid\":783700053,\"name\":\"mynick\"}",
        "ws.message client hola a todos",
    ];
    assert_eq!(wire.told(), expected);
}

#[test]
fn what_has_no_frames_in_it_is_given_up() {
    let mut wire = Wire::new();
    for _ in 0..(9 << 20) / 60_000 {
        wire.data(Server, &[0xff; 60_000]);
    }
    assert_eq!(wire.told(), ["not_websocket unknown"]);
}

#[test]
fn joined_inside_a_message_its_rest_is_a_gap() {
    let mut wire = Wire::new();
    wire.data(Server, &[b'x'; 100]);
    wire.data(Server, &plain(0x81, b"the next one is whole and is found at its segment"));
    let expected = [
        "ws.open midstream",
        "gap server 100 midstream",
        "ws.message server the next one is whole and is found at its segment",
    ];
    assert_eq!(wire.told(), expected);
}

#[test]
fn joined_between_request_and_response() {
    let mut wire = Wire::new();
    wire.data(Server, &[RESPONSE, &plain(0x82, b"\x01")].concat());
    wire.data(Client, &masked(0x82, b"\x02"));
    let expected = [
        "http.response server 101",
        "ws.open handshake",
        "ws.message server AQ==",
        "ws.message client Ag==",
    ];
    assert_eq!(wire.told(), expected);
}

#[test]
fn a_lost_response_does_not_lose_the_connection() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, REQUEST);
    wire.lose(Server, RESPONSE);
    wire.data(Client, &masked(0x81, b"hola"));
    wire.data(Server, &plain(0x81, b"this is a text that was sent after the response"));
    // The client has acknowledged the response, so it is lost for good.
    wire.data(Client, &masked(0x81, b"y"));
    let told = wire.told();
    let expected = [
        "ws.open midstream",
        "ws.message client hola",
        "ws.message server this is a text that was sent after the response",
        "ws.message client y",
    ];
    assert_eq!(told[3..], expected);
}

#[test]
fn a_lost_beginning_behind_the_syn_does_not_lose_the_connection() {
    let mut wire = Wire::new();
    wire.send(Client, SYN, &[]);
    // The SYN-ACK, and with it where the server's stream begins, was not captured.
    wire.skip(Server, 1);
    wire.lose(Client, REQUEST);
    wire.lose(Server, RESPONSE);
    wire.data(Server, &plain(0x81, b"a text that is long enough to be believed at once"));
    wire.data(Client, &masked(0x81, b"and what is answered"));
    wire.data(Server, &plain(0x81, b"ok"));
    let expected = [
        "ws.open midstream",
        "ws.message server a text that is long enough to be believed at once",
        "gap client 169 lost",
        "ws.message client and what is answered",
        "ws.message server ok",
    ];
    assert_eq!(wire.told(), expected);
}

#[test]
fn a_lost_segment_inside_a_message_keeps_the_framing() {
    let mut wire = Wire::upgraded();
    let message = plain(0x81, &[b'a'; 1000]);
    wire.data(Server, &message[..300]);
    wire.lose(Server, &message[300..500]);
    wire.data(Server, &message[500..]);
    wire.data(Server, &plain(0x81, b"next"));
    assert_eq!(wire.told(), [""; 0], "it may still come");
    wire.data(Client, &masked(0x8a, b""));
    let told = wire.told();
    assert_eq!(told[0], "gap server 200 lost");
    assert!(told[1].ends_with("true 200") && told[1].starts_with("ws.message server aaa"));
    assert_eq!(told[2], "ws.message server next");
}

#[test]
fn a_lost_header_is_searched_for_and_the_next_frame_found() {
    let mut wire = Wire::upgraded();
    wire.data(Client, &masked(0x81, b"one"));
    wire.lose(Client, &masked(0x81, b"two"));
    wire.data(Client, &masked(0x81, b"three is long enough"));
    wire.data(Client, &masked(0x81, b"four"));
    wire.data(Server, &plain(0x81, b"ok"));
    let expected = [
        "ws.message client one",
        "gap client 9 lost",
        "ws.message client three is long enough",
        "ws.message client four",
        "ws.message server ok",
    ];
    assert_eq!(wire.told(), expected);
}

#[test]
fn without_an_acknowledgment_a_gap_is_real_once_the_wait_is_over() {
    let mut wire = Wire::upgraded();
    let message = plain(0x81, b"abc");
    wire.lose(Server, &message[..3]);
    let late = wire.seq(Server).wrapping_sub(3);
    wire.data(Server, &message[3..]);
    wire.wait(options().limits.reordering - 2_000_000);
    assert_eq!(wire.told(), [""; 0]);
    wire.seen(Server, late, 0x10, &message[..3], 3);
    assert_eq!(wire.told(), ["ws.message server abc"], "it came in time");
    wire.lose(Server, &message[..3]);
    wire.data(Server, &message[3..]);
    wire.wait(options().limits.reordering);
    assert_eq!(wire.told(), ["gap server 3 lost"]);
}

#[test]
fn what_a_capture_that_missed_nothing_has_not_seen_will_be_sent_again() {
    let mut wire = Wire::upgraded();
    let message = plain(0x81, b"abc");
    let usual = options().limits.reordering;
    for missed in [0, 7, 7] {
        wire.missed(missed);
        wire.lose(Server, &message[..3]);
        let late = wire.seq(Server).wrapping_sub(3);
        wire.data(Server, &message[3..]);
        for _ in 0..19 {
            wire.wait(usual);
            wire.missed(missed);
        }
        assert_eq!(wire.told(), [""; 0]);
        wire.seen(Server, late, 0x10, &message[..3], 3);
        assert_eq!(wire.told(), ["ws.message server abc"], "it came in time");
    }
    wire.lose(Server, &message[..3]);
    wire.data(Server, &message[3..]);
    wire.wait(usual * 20);
    assert_eq!(wire.told(), ["gap server 3 lost"], "nobody waits for ever");
}

#[test]
fn what_a_capture_that_missed_something_has_not_seen_is_lost() {
    let mut wire = Wire::upgraded();
    let message = plain(0x81, b"abc");
    wire.missed(0);
    wire.lose(Server, &message[..3]);
    wire.data(Server, &message[3..]);
    wire.missed(1);
    wire.wait(options().limits.reordering);
    assert_eq!(wire.told(), ["gap server 3 lost"]);
}

#[test]
fn a_snap_length_is_a_gap_of_known_place() {
    let mut wire = Wire::upgraded();
    wire.snapped(Server, &plain(0x81, &[b'a'; 500]), 52);
    wire.data(Server, &plain(0x81, b"next"));
    let told = wire.told();
    assert_eq!(told[0], "gap server 452 snaplen");
    assert!(told[1].starts_with("ws.message server aaa") && told[1].ends_with("true 452"));
    assert_eq!(told[2], "ws.message server next");
}

#[test]
fn a_snapped_connection_joined_midstream_tells_of_its_messages() {
    let mut wire = Wire::new();
    for _ in 0..4 {
        wire.snapped(Server, &plain(0x82, &[7; 500]), 52);
    }
    let told = wire.told();
    let messages: Vec<_> = told.iter().filter(|event| event.contains("ws.message")).collect();
    assert_eq!(messages.len(), 4, "{told:?}");
    assert!(messages.iter().all(|message| message.ends_with("true 452")), "{told:?}");
}

#[test]
fn a_second_interface_that_shows_the_same_flow_is_ignored() {
    let mut wire = Wire::upgraded();
    let seq = wire.seq(Client);
    let message = masked(0x81, b"once");
    wire.data(Client, &message);
    wire.interface = 2;
    wire.seen(Client, seq, 0x18, &message, message.len());
    assert_eq!(wire.told(), ["ws.message client once"]);
    assert_eq!(wire.tracker.stats().gaps, 0);
    // It takes over once the first one is silent.
    wire.now += 2_000_000_000;
    wire.data(Client, &masked(0x81, b"moved"));
    assert_eq!(wire.told(), ["ws.message client moved"]);
}

#[test]
fn a_direction_that_goes_on_on_another_interface_has_moved_there() {
    let mut wire = Wire::upgraded();
    wire.data(Client, &masked(0x81, b"here"));
    wire.interface = 2;
    let (seq, moved) = (wire.seq(Client), masked(0x81, b"moved"));
    wire.data(Client, &moved);
    wire.interface = 1;
    wire.seen(Client, seq, 0x18, &moved, moved.len());
    wire.data(Client, &masked(0x81, b"back"));
    let told = wire.told();
    assert_eq!(told, ["here", "moved", "back"].map(|text| format!("ws.message client {text}")));
    wire.interface = 2;
    wire.fin(Client);
    wire.fin(Server);
    assert_eq!(wire.told(), ["tcp.close client fin"]);
    assert_eq!(wire.tracker.stats().gaps, 0);
}

#[test]
fn copies_behind_a_hole_are_not_taken_for_a_move() {
    let mut options = options();
    options.segments = true;
    let mut wire = Wire::with(options);
    wire.connect();
    wire.lose(Client, b"GET");
    wire.data(Client, b" / HTTP/1.1");
    let shown = wire.told().len();
    wire.interface = 2;
    wire.skip(Client, 11_u32.wrapping_neg());
    wire.data(Client, b" / HTTP/1.1");
    assert_eq!((shown, wire.told().len()), (5, 0));
}

#[test]
fn what_is_not_decoded_is_counted_on_one_interface() {
    let mut wire = Wire::new();
    wire.connect();
    let hello = [&[0x16, 3, 1, 0, 100, 1, 0, 0, 96, 3, 3][..], &[7; 94]].concat();
    for _ in 0..3 {
        let seq = wire.seq(Client);
        wire.data(Client, &hello);
        wire.interface = 2;
        wire.seen(Client, seq, 0x18, &hello, hello.len());
        wire.interface = 1;
    }
    wire.rst(Server);
    let events = wire.events();
    assert!(events.iter().any(|event| event["event"] == "not_websocket"), "{events:?}");
    assert_eq!(events.last().unwrap()["client_bytes"], 3 * 105);
}

#[test]
fn retransmissions_are_decoded_once() {
    let mut wire = Wire::upgraded();
    let seq = wire.seq(Client);
    let message = masked(0x81, b"once");
    wire.data(Client, &message);
    wire.seen(Client, seq, 0x18, &message, message.len());
    wire.seen(Client, seq.wrapping_sub(1), 0x10, b"\0", 1);
    assert_eq!(wire.told(), ["ws.message client once"]);
}

#[test]
fn a_copy_that_differs_is_told_and_the_first_counts() {
    let mut wire = Wire::upgraded();
    let seq = wire.seq(Client);
    let message = masked(0x81, b"first");
    wire.lose(Client, &message[..1]);
    wire.data(Client, &message[1..]);
    let mut other = message.clone();
    other[10] ^= 1;
    wire.seen(Client, seq.wrapping_add(1), 0x18, &other[1..], other.len() - 1);
    wire.seen(Client, seq, 0x18, &message[..1], 1);
    assert_eq!(wire.told(), ["tcp.conflict client 10", "ws.message client first"]);
    // It is noticed after the bytes were delivered as well.
    wire.seen(Client, seq.wrapping_add(1), 0x18, &other[1..], other.len() - 1);
    wire.seen(Client, seq.wrapping_add(1), 0x18, &message[1..], message.len() - 1);
    assert_eq!(wire.told(), ["tcp.conflict client 10"]);
}

#[test]
fn after_a_wrong_lock_the_rest_of_the_segment_is_searched() {
    let mut wire = Wire::new();
    let frames = |from: u8, to: u8| -> Vec<u8> {
        (from..to).flat_map(|i| masked(0x81, format!("message number {i}").as_bytes())).collect()
    };
    wire.data(Client, &[frames(0, 3), vec![0xff; 6], frames(3, 50)].concat());
    let told = wire.told();
    let messages = told.iter().filter(|event| event.starts_with("ws.message")).count();
    assert_eq!(messages, 50, "{told:?}");
    assert!(told.contains(&"gap client 6 midstream".to_owned()), "{told:?}");
}

#[test]
fn a_length_found_by_searching_swallows_no_more_than_its_bound() {
    let mut wire = Wire::new();
    wire.data(Server, b"\x82\x7f\x00\x01\x00\x00\x00\x00\x00\x00");
    wire.data(Server, &plain(0x81, b"a text that is long enough to be believed at once"));
    let told = wire.told();
    assert_eq!(
        told.last().unwrap(),
        "ws.message server a text that is long enough to be believed at once"
    );
}

#[test]
fn bytes_like_tls_do_not_end_an_open_connection() {
    let mut wire = Wire::new();
    wire.data(Client, &masked(0x81, b"a client that was joined late"));
    wire.data(Server, b"\x17\x03\x03\x00\x10");
    wire.data(Client, &masked(0x81, b"goes on"));
    assert_eq!(wire.told().last().unwrap(), "ws.message client goes on");
}

#[test]
fn a_gap_in_a_close_frame_invents_no_code() {
    let mut wire = Wire::upgraded();
    let close = plain(0x88, b"\x03\xe8goodbye");
    wire.data(Server, &close[..2]);
    wire.lose(Server, &close[2..5]);
    wire.data(Server, &close[5..]);
    wire.data(Client, &masked(0x8a, b""));
    wire.rst(Client);
    let events = wire.events();
    assert_eq!(
        (&events[1]["event"], &events[1]["code_name"]),
        (&"ws.close".into(), &"not captured".into())
    );
    assert!(events[1].get("code").is_none() && events[3].get("ws_close").is_none());
}

#[test]
fn the_wait_for_a_hole_begins_when_it_is_the_first() {
    let mut wire = Wire::upgraded();
    let message = plain(0x81, &[b'a'; 120]);
    let (mut missing, start) = (Vec::new(), wire.seq(Server));
    let wait = options().limits.reordering / 3 * 2;
    for at in (0..90).step_by(20) {
        missing.push(at);
        wire.lose(Server, &message[at..at + 10]);
        wire.data(Server, &message[at + 10..at + 20]);
        // The hole before this one is filled late, but in time.
        if missing.len() > 1 {
            let at = missing.remove(0);
            wire.seen(Server, start.wrapping_add(at as u32), 0x10, &message[at..at + 10], 10);
        }
        wire.wait(wait);
    }
    assert_eq!(wire.told(), [""; 0]);
}
