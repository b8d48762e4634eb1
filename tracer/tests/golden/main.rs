//! Captures of real peers come in, the tracer reads them, and what it prints has to be what the
//! peers themselves logged: every message, ping, pong and close, each request and its status.

#[path = "../observed/mod.rs"]
mod observed;

mod checks;
mod run;
mod segments;
mod truth;

use std::{fs::File, process::Stdio};

use checks::{check, check_frames};
use observed::{Conversation, Event, Item, conversations};
use run::{Run, client, output, tracer, traffic};
use truth::{Truth, capture, is_message, only};

#[test]
fn every_length_border_fragment_and_ping_of_ws_plain() {
    check("ws-plain");
}

#[test]
fn fragments_of_ws_plain_are_counted() {
    check_frames("ws-plain", 0);
}

#[test]
fn every_close_code_abort_and_reset_of_ws_closecodes() {
    check("ws-closecodes");
}

#[test]
fn hundreds_of_frames_in_one_segment_of_ws_coalesced() {
    check("ws-coalesced");
}

#[test]
fn ipv6_peers_of_ws_ipv6() {
    check("ws-ipv6");
}

#[test]
fn compressed_messages_with_context_takeover() {
    check("ws-deflate-takeover");
}

#[test]
fn compressed_messages_without_context_takeover() {
    check("ws-deflate-no-takeover");
}

#[test]
fn a_browser_and_python_with_compression_a_404_and_a_refused_upgrade() {
    check("pyws-chromium");
}

#[test]
fn empty_last_fragments_of_python_are_counted() {
    check_frames("pyws-chromium", 1);
}

#[test]
fn socketio_polling_then_upgrade() {
    check("socketio");
}

#[test]
fn plain_http_is_shown_and_nothing_in_it_taken_for_a_websocket() {
    check("http-plain");
    let run = Run::whole("http-plain.pcap");
    let websocket: Vec<_> = run.events.iter().filter(|e| e.kind().starts_with("ws.")).collect();
    assert!(websocket.is_empty(), "{}", websocket[0]);
}

#[test]
fn tls_is_named_and_not_decoded() {
    let run = Run::whole("ws-tls.pcap");
    let decoded =
        run.events.iter().find(|e| e.kind().starts_with("ws.") || e.kind().starts_with("http."));
    assert!(decoded.is_none(), "{}", decoded.unwrap());
    let named: Vec<_> = run.of_kind("not_websocket").collect();
    let [named] = named[..] else { panic!("named {} times, not once", named.len()) };
    assert_eq!(named.text("looks_like"), Some("tls"));
    let truth = Truth::load("ws-tls");
    assert!(truth.connections.contains_key(client(named)), "{named}");
}

#[test]
fn a_reset_is_told_from_an_orderly_end() {
    let run = Run::whole("ws-closecodes.pcap");
    let truth = Truth::load("ws-closecodes");
    let ends: Vec<_> = run.of_kind("tcp.close").collect();
    assert_eq!(ends.len(), truth.connections.len());
    for end in ends {
        let (path, _) = truth.connections[client(end)].opened.as_ref().expect("all were upgraded");
        let (how, by) = (end.text("how"), end.text("by"));
        match &**path {
            "/reset" => assert_eq!((how, by), (Some("rst"), Some("client")), "{end}"),
            "/server-terminate" => assert_eq!((how, by), (Some("fin"), Some("server")), "{end}"),
            "/client-terminate" => assert_eq!((how, by), (Some("fin"), Some("client")), "{end}"),
            path => assert_eq!(how, Some("fin"), "{path}: {end}"),
        }
    }
}

#[test]
fn text_that_is_not_utf8_is_shown_and_reported() {
    let run = Run::whole("ws-closecodes.pcap");
    let violations: Vec<_> = run.of_kind("ws.violation").map(client).collect();
    assert_eq!(violations, ["127.0.0.1:59276"]);
}

#[test]
fn pcapng_and_pcap_of_the_same_packets_print_the_same() {
    let [pcap, pcapng] = ["ws-plain.pcap", "ws-plain.pcapng"]
        .map(|file| output(&mut tracer(capture(file).to_str().expect("a UTF-8 path"))));
    assert_eq!(traffic(&pcap), traffic(&pcapng));
}

#[test]
fn standard_input_and_the_file_print_the_same() {
    let path = capture("ws-plain.pcapng");
    let named = output(&mut tracer(path.to_str().expect("a UTF-8 path")));
    let mut piped = tracer("-");
    piped.stdin(Stdio::from(File::open(path).expect("the capture opens")));
    assert_eq!(traffic(&named), traffic(&output(&mut piped)));
}

fn is_whole_message(item: &Item) -> bool {
    is_message(item) && !item.sha256.is_empty()
}

/// What is in `all` but not in `some`, which has to be the rest of it in the same order.
fn left_out<'a>(all: &'a [Item], some: &[Item]) -> Vec<(&'a str, u64)> {
    let mut some = some.iter().peekable();
    let missing = all.iter().filter(|item| some.next_if(|next| next == item).is_none());
    let missing = missing.map(|item| (&*item.opcode, item.len)).collect();
    assert!(some.peek().is_none(), "not sent, or not in this order: {:?}", some.peek());
    missing
}

#[test]
fn two_lost_packets_cost_two_messages_and_no_more() {
    let run = Run::whole("ws-plain.lost.pcap");
    let truth = &Truth::load("ws-plain").messages()["127.0.0.1:46020"];
    let shown = &only(&conversations(&run.events), is_whole_message);
    let Conversation { c2s, s2c } = &shown["127.0.0.1:46020"];
    assert_eq!(left_out(&truth.c2s, c2s), [("text", 28)]);
    assert_eq!(left_out(&truth.s2c, s2c), [("text", 131_072)]);

    let gap = |event: &Event| {
        let text = |field| event.text(field).unwrap_or_default().to_owned();
        (text("from"), event.number("bytes").unwrap_or_default(), text("cause"))
    };
    let gaps: Vec<_> = run.of_kind("gap").map(gap).collect();
    let expected = |from: &str, bytes, cause: &str| (from.to_owned(), bytes, cause.to_owned());
    // 28 bytes of text have a header of 2 bytes and a masking key of 4. With the large text's
    // header of 10 bytes its framing is lost, so that the rest of it is there but says nothing.
    let rest = 10 + 131_072 - 47_616;
    assert_eq!(
        gaps,
        [
            expected("client", 28 + 6, "lost"),
            expected("server", 47_616, "lost"),
            expected("server", rest, "midstream"),
        ]
    );
}

#[test]
fn packets_cut_short_show_every_message_and_nothing_that_was_not_said() {
    let run = Run::whole("ws-plain.snap96.pcap");
    let truth = &Truth::load("ws-plain").messages()["127.0.0.1:46020"];
    let shown = &only(&conversations(&run.events), is_message)["127.0.0.1:46020"];
    let sizes = |items: &[Item]| -> Vec<_> {
        items.iter().map(|item| (item.opcode.clone(), item.len)).collect()
    };
    // Every frame header is within the first 96 bytes of a packet.
    assert_eq!(sizes(&truth.c2s), sizes(&shown.c2s));
    assert_eq!(sizes(&truth.s2c), sizes(&shown.s2c));
    for (said, shown) in [(&truth.c2s, &shown.c2s), (&truth.s2c, &shown.s2c)] {
        let whole: Vec<_> = shown.iter().filter(|item| is_whole_message(item)).cloned().collect();
        assert!(left_out(said, &whole).iter().all(|(_, len)| *len > 24), "{whole:?}");
    }
    assert!(run.of_kind("gap").all(|gap| gap.text("cause") == Some("snaplen")));
}
