//! A capture's events and its truth file come in; a panic at their first difference comes out.

use crate::{
    observed::{Conversations, Event, assert_same, conversations},
    run::Run,
    truth::{Truth, is_message, only},
};

/// Close frames that are in the capture but in no endpoint's log: the server's reply to a closed
/// tab, the client's reply to 1007 (see `captures/README.md`).
const UNLOGGED_CLOSES: [(&str, Side); 2] =
    [("127.0.0.1:57986", Side::Server), ("127.0.0.1:59276", Side::Client)];

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

/// Everything that a truth file can prove about the capture of the same name.
pub(crate) fn check(name: &str) {
    let run = Run::whole(&format!("{name}.pcap"));
    let truth = Truth::load(name);
    let shown = conversations(&run.events);
    assert_same(&truth.messages(), &only(&shown, is_message));
    assert_same(
        &truth.pings_and_pongs(),
        &only(&shown, |item| matches!(&*item.opcode, "ping" | "pong")),
    );
    assert_same(&truth.closes(), &logged_closes(&shown));
    check_upgrades(&truth, &run);
    check_http(&truth, &run);
    check_ends(&truth, &run);
    assert_eq!(run.of_kind("gap").count(), 0, "nothing is missing in {name}");
}

/// The close frames shown, without those that no endpoint could log.
fn logged_closes(shown: &Conversations) -> Conversations {
    let mut closes = only(shown, |item| item.opcode == "close");
    for (client, side) in UNLOGGED_CLOSES {
        match (closes.get_mut(client), side) {
            (Some(conversation), Side::Client) => conversation.c2s.truncate(0),
            (Some(conversation), Side::Server) => conversation.s2c.truncate(0),
            (None, _) => {}
        }
    }
    only(&closes, |_| true)
}

/// One `ws.open` for each connection that became a WebSocket, with its path and subprotocol.
fn check_upgrades(truth: &Truth, run: &Run) {
    let mut expected = Vec::new();
    for (client, connection) in &truth.connections {
        if let Some((path, subprotocol)) = &connection.opened {
            expected.push((&**client, masked(path), &**subprotocol));
        }
    }
    let mut shown = Vec::new();
    for (client, events) in run.by_client("ws.open") {
        for event in events {
            assert_eq!(event.text("joined"), Some("handshake"), "{event}");
            assert!(event.is("accept_valid"), "{event}");
            let subprotocol = event.text("subprotocol").unwrap_or_default();
            shown.push((client, event.text("path").unwrap_or_default().to_owned(), subprotocol));
        }
    }
    assert_eq!(expected, shown, "upgrades expected (left) and shown (right)");
}

/// The path as it is shown: a session id in the query is a secret.
fn masked(path: &str) -> String {
    match path.split_once("sid=") {
        Some((before, _)) => format!("{before}sid=***"),
        None => path.to_owned(),
    }
}

/// Requests and the status each got, in order. Connections that no endpoint logged (the polling
/// of socket.io) are not looked at.
fn check_http(truth: &Truth, run: &Run) {
    let requests = run.by_client("http.request");
    let responses = run.by_client("http.response");
    for (client, connection) in &truth.connections {
        let mut expected = connection.http.clone();
        if let Some((path, _)) = &connection.opened {
            expected.push(("GET".to_owned(), masked(path), 101));
        }
        let asked = requests.get(&**client).into_iter().flatten();
        let answered = responses.get(&**client).into_iter().flatten();
        // 100 Continue and the like announce the answer, they are not it (RFC 9110 section 15.2).
        let statuses = answered.filter_map(|event| event.number("status"));
        let statuses = statuses.filter(|&status| status == 101 || status >= 200);
        let text = |event: &Event, field| event.text(field).unwrap_or_default().to_owned();
        let shown = asked.map(|e| (text(e, "method"), text(e, "path")));
        let shown: Vec<_> = shown.zip(statuses).map(|((m, p), s)| (m, p, s)).collect();
        assert_eq!(expected, shown, "{client}: requests expected (left) and shown (right)");
    }
}

/// One `tcp.close` for each connection, with the close code that went over the wire.
fn check_ends(truth: &Truth, run: &Run) {
    let ends = run.by_client("tcp.close");
    for (client, connection) in &truth.connections {
        let events = ends.get(&**client).map(Vec::as_slice).unwrap_or_default();
        let [event] = events else { panic!("{client}: {} tcp.close events", events.len()) };
        let received = [&connection.client_received, &connection.server_received];
        let codes: Vec<_> = received.into_iter().flatten().map(|(code, _)| *code).collect();
        let sent: Vec<_> = codes.iter().copied().filter(|&code| code != 1006).collect();
        match event.number("ws_close") {
            None => assert!(connection.opened.is_none(), "no ws_close: {event}"),
            Some(1006) => assert!(sent.is_empty(), "sent {sent:?}: {event}"),
            Some(code) => assert!(sent.contains(&code), "sent {sent:?}: {event}"),
        }
    }
}

/// Checks the number of frames of each message of which the sender told how it was cut. Some
/// senders end with an empty frame that they do not count.
pub(crate) fn check_frames(name: &str, uncounted: u64) {
    let run = Run::whole(&format!("{name}.pcap"));
    let truth = Truth::load(name);
    assert!(!truth.fragmented.is_empty(), "{name} has fragmented messages");
    let messages = run.by_client("ws.message");
    for expected in &truth.fragmented {
        let sent =
            messages[&*expected.client].iter().filter(|e| e.text("from") == Some(expected.from));
        let message = sent.clone().nth(expected.n).expect("as many messages as in the truth");
        assert_eq!(message.number("frames"), Some(expected.frames + uncounted), "{message}");
    }
}
