use super::wire::{Client, REQUEST, Server, Wire};
use crate::ws::test_frames::{masked, plain};

#[test]
fn data_after_the_first_fin_is_decoded() {
    let mut wire = Wire::upgraded();
    wire.fin(Client);
    wire.data(Server, &plain(0x81, b"still here"));
    wire.fin(Server);
    assert_eq!(wire.told(), ["ws.message server still here", "tcp.close client fin"]);
}

#[test]
fn a_message_cut_by_the_end_is_told_as_far_as_it_came() {
    let mut wire = Wire::upgraded();
    wire.data(Client, &masked(0x81, b"0123456789")[..10]);
    wire.rst(Server);
    assert_eq!(wire.told(), ["ws.message client 0123 true 6", "tcp.close server rst"]);
}

#[test]
fn an_end_waits_for_what_precedes_it() {
    let mut wire = Wire::upgraded();
    let seq = wire.seq(Client);
    let message = masked(0x81, b"late");
    wire.lose(Client, &message);
    wire.fin(Client);
    wire.fin(Server);
    assert_eq!(wire.told(), [""; 0]);
    wire.seen(Client, seq, 0x18, &message, message.len());
    assert_eq!(wire.told(), ["ws.message client late", "tcp.close client fin"]);
}

#[test]
fn an_end_does_not_wait_for_ever() {
    let mut wire = Wire::upgraded();
    wire.lose(Client, &masked(0x81, b"lost"));
    wire.fin(Client);
    wire.fin(Server);
    wire.wait(10_000_000_000);
    assert_eq!(wire.told(), ["gap client 10 lost", "tcp.close client fin"]);
}

#[test]
fn what_trickles_in_after_the_end_opens_nothing() {
    let mut wire = Wire::upgraded();
    let seq = wire.seq(Client);
    wire.fin(Client);
    wire.fin(Server);
    wire.told();
    wire.seen(Client, seq, 0x11, &[], 0);
    wire.seen(Client, seq.wrapping_sub(6), 0x18, b"abcdef", 6);
    wire.rst(Client);
    assert_eq!(wire.told(), [""; 0]);
    assert_eq!(wire.tracker.stats().connections, 1);
}

#[test]
fn a_new_connection_with_the_same_ports() {
    let mut wire = Wire::upgraded();
    wire.skip(Client, 1 << 20);
    wire.skip(Server, 1 << 20);
    wire.connect();
    wire.data(Client, REQUEST);
    assert_eq!(wire.told(), ["tcp.close replaced", "tcp.open", "http.request client /chat"]);
}

#[test]
fn a_syn_that_is_sent_again_opens_one_connection() {
    let mut wire = Wire::new();
    let seq = wire.seq(Client);
    wire.seen(Client, seq, 2, &[], 0);
    wire.connect();
    wire.seen(Client, seq, 2, &[], 0);
    assert_eq!(wire.told(), ["tcp.open"]);
    assert_eq!(wire.tracker.stats().connections, 1);
}

#[test]
fn a_refused_connection() {
    let mut wire = Wire::new();
    wire.send(Client, 2, &[]);
    wire.send(Server, 0x14, &[]);
    assert_eq!(wire.told(), ["tcp.close server refused"]);
}

#[test]
fn a_reset_from_far_outside_the_window_is_not_believed() {
    let mut wire = Wire::upgraded();
    let seq = wire.seq(Server);
    wire.seen(Server, seq.wrapping_sub(1_000_000), 4, &[], 0);
    wire.data(Client, &masked(0x81, b"alive"));
    assert_eq!(wire.told(), ["ws.message client alive"]);
}

#[test]
fn fast_open_has_data_on_the_syn() {
    let mut wire = Wire::new();
    wire.send(Client, 2, REQUEST);
    wire.send(Server, 0x12, &[]);
    assert_eq!(wire.told(), ["http.request client /chat", "tcp.open"]);
}

#[test]
fn a_forged_syn_ends_nothing() {
    // Far away, a little before the next byte, and with data.
    for (distance, data) in [(1_000_000, &b""[..]), (1u32.wrapping_neg(), b""), (5, b"data")] {
        let mut wire = Wire::upgraded();
        let seq = wire.seq(Client).wrapping_add(distance);
        wire.seen(Client, seq, 2, data, data.len());
        wire.data(Server, &plain(0x81, b"still"));
        wire.data(Client, &masked(0x81, b"here"));
        assert_eq!(wire.told(), ["ws.message server still", "ws.message client here"]);
    }
}

#[test]
fn a_connection_given_up_for_silence_is_joined_again() {
    let mut wire = Wire::upgraded();
    wire.wait(crate::session::Limits::default().idle);
    wire.data(Client, &masked(0x81, b"sorry, I was away"));
    let expected =
        ["tcp.close timeout", "ws.open midstream", "ws.message client sorry, I was away"];
    assert_eq!(wire.told(), expected);
}

#[test]
fn whoever_goes_on_after_a_reset_did_not_believe_it() {
    let mut wire = Wire::upgraded();
    wire.rst(Server);
    wire.data(Client, &masked(0x81, b"in flight, of no use"));
    wire.now += 4_000_000_000;
    wire.data(Client, &masked(0x81, b"the reset was forged"));
    let expected =
        ["tcp.close server rst", "ws.open midstream", "ws.message client the reset was forged"];
    assert_eq!(wire.told(), expected);
}
