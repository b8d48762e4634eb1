use super::wire::{Client, REQUEST, RESPONSE, Server, Wire, options};
use crate::ws::test_frames::{masked, plain};

#[test]
fn a_conversation_from_syn_to_fin() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, REQUEST);
    wire.data(Server, RESPONSE);
    wire.data(Client, &masked(0x81, "¡Hola!".as_bytes()));
    wire.data(Server, &plain(0x81, b"hi"));
    wire.data(Client, &masked(0x88, b"\x03\xe8"));
    wire.data(Server, &plain(0x88, b"\x03\xe8"));
    wire.fin(Server);
    wire.fin(Client);
    let expected = [
        "tcp.open",
        "http.request client /chat",
        "http.response server 101",
        "ws.open /chat handshake",
        "ws.message client ¡Hola!",
        "ws.message server hi",
        "ws.close client 1000",
        "ws.close server 1000",
        "tcp.close server fin",
    ];
    assert_eq!(wire.told(), expected);
}

#[test]
fn the_fields_of_the_events() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, REQUEST);
    wire.data(Server, RESPONSE);
    let events = wire.events();
    assert_eq!(events[0]["rtt_us"], 1);
    assert_eq!(events[0]["client"], "127.0.0.1:60653");
    assert_eq!(events[1]["headers"][0], serde_json::json!(["Host", "127.0.0.1:7272"]));
    assert_eq!((&events[3]["accept_valid"], &events[3]["handshake_us"]), (&true.into(), &1.into()));
    wire.data(Server, &plain(0x89, b"?"));
    wire.now += 5_000_000;
    wire.data(Client, &masked(0x8a, b"?"));
    wire.rst(Client);
    let events = wire.events();
    assert_eq!((&events[1]["event"], &events[1]["rtt_us"]), (&"ws.pong".into(), &5001.into()));
    assert_eq!((&events[2]["by"], &events[2]["ws_close"]), (&"client".into(), &1006.into()));
}

#[test]
fn a_pong_may_answer_only_the_latest_ping_or_none() {
    let mut wire = Wire::upgraded();
    wire.data(Client, &masked(0x8a, b"unasked"));
    wire.data(Server, &plain(0x89, b"first"));
    wire.data(Server, &plain(0x89, b"second"));
    wire.now += 7_000_000;
    wire.data(Client, &masked(0x8a, b"second"));
    wire.data(Client, &masked(0x8a, b"second"));
    let events = wire.events();
    let rtts: Vec<_> = events.iter().filter(|event| event["event"] == "ws.pong").collect();
    assert_eq!(rtts[0].get("rtt_us"), None);
    assert_eq!(rtts[1]["rtt_us"], 7001);
    assert_eq!(rtts[2].get("rtt_us"), None, "a ping is answered once");
    assert!(events.iter().all(|event| event["event"] != "ws.violation"));
}

#[test]
fn frames_may_follow_the_101_in_its_segment() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, REQUEST);
    wire.data(Server, &[RESPONSE, &plain(0x81, b"at once")].concat());
    assert_eq!(wire.told().last().unwrap(), "ws.message server at once");
}

#[test]
fn client_frames_may_be_captured_before_the_101() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, &[REQUEST, &masked(0x81, b"ea")].concat());
    wire.data(Client, &masked(0x81, b"ger"));
    wire.data(Server, RESPONSE);
    wire.data(Client, &masked(0x81, b"later"));
    let told = wire.told();
    let expected = [
        "ws.open /chat handshake",
        "ws.message client ea",
        "ws.message client ger",
        "ws.message client later",
    ];
    assert_eq!(told[3..], expected);
}

#[test]
fn http_goes_on_after_a_refusal_and_may_upgrade_later() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    wire.data(Server, b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n\x81\x05Hello");
    wire.data(Server, b"54321");
    wire.data(Client, REQUEST);
    wire.data(
        Server,
        b"HTTP/1.1 426 Upgrade Required\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n",
    );
    wire.data(Client, REQUEST);
    wire.data(Server, RESPONSE);
    wire.data(Server, &plain(0x81, b"at last"));
    let expected = [
        "tcp.open",
        "http.request client /page",
        "not_websocket http",
        "http.response server 200",
        "http.request client /chat",
        "http.response server 426",
        "http.request client /chat",
        "http.response server 101",
        "ws.open /chat handshake",
        "ws.message server at last",
    ];
    assert_eq!(wire.told(), expected);
}

#[test]
fn a_wrong_accept_value_is_a_violation_and_decoding_goes_on() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, REQUEST);
    let response = String::from_utf8(RESPONSE.to_vec()).unwrap().replace("s3pPL", "XXXXX");
    wire.data(Server, response.as_bytes());
    wire.data(Server, &plain(0x81, b"still"));
    let told = wire.told();
    let expected = [
        "ws.violation server handshake-accept",
        "ws.open /chat handshake",
        "ws.message server still",
    ];
    assert_eq!(told[3..], expected);
}

#[test]
fn tls_is_named_once_and_left_alone() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, b"\x16\x03\x01\x00\x04\x01\x00\x00\x00");
    wire.data(Server, b"\x16\x03\x03\x00\x04\x02\x00\x00\x00");
    wire.data(Server, &[0x17, 3, 3, 0, 1, 0]);
    wire.lose(Client, b"123");
    wire.data(Client, b"45");
    assert_eq!(wire.told(), ["tcp.open", "not_websocket tls"]);
}

#[test]
fn another_protocol_is_named_once() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Server, b"220 mail.example.com ESMTP\r\n");
    wire.data(Client, b"EHLO me\r\n");
    assert_eq!(wire.told(), ["tcp.open", "not_websocket unknown"]);
}

#[test]
fn a_head_that_never_ends_is_not_websocket() {
    let mut wire = Wire::new();
    wire.connect();
    wire.data(Client, b"GET / HTTP/1.1\r\nX: ");
    for _ in 0..80 {
        wire.data(Client, &[b'a'; 1000]);
    }
    assert_eq!(wire.told(), ["tcp.open", "not_websocket unknown"]);
}

#[test]
fn secrets_are_masked_unless_asked_for() {
    let request = b"GET /chat?token=t0p HTTP/1.1\r\nHost: a\r\nCookie: sid=s3cret\r\n\r\n";
    let shown = |show_secrets| {
        let mut wire = Wire::with(crate::session::Options { show_secrets, ..options() });
        wire.connect();
        wire.data(Client, request);
        wire.events()[1].to_string()
    };
    assert!(!shown(false).contains("t0p") && !shown(false).contains("s3cret"));
    assert!(shown(true).contains("t0p") && shown(true).contains("s3cret"));
}

#[test]
fn segments_are_numbered_as_tcpdump_does() {
    let mut wire = Wire::with(crate::session::Options { segments: true, ..options() });
    wire.connect();
    wire.data(Client, REQUEST);
    wire.data(Server, RESPONSE);
    wire.fin(Client);
    let events = wire.events();
    let segments: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "segment")
        .map(|event| {
            let number = |field: &str| event[field].as_u64();
            (event["flags"].as_str().unwrap(), number("seq"), number("ack"), number("len"))
        })
        .collect();
    let request = REQUEST.len() as u64;
    let response = RESPONSE.len() as u64;
    let expected = [
        ("S", Some(0), None, Some(0)),
        ("S.", Some(0), Some(1), Some(0)),
        (".", Some(1), Some(1), Some(0)),
        ("P.", Some(1), Some(1), Some(request)),
        ("P.", Some(1), Some(1 + request), Some(response)),
        ("F.", Some(1 + request), Some(1 + response), Some(0)),
    ];
    assert_eq!(segments, expected);
}

#[test]
fn a_request_cut_at_any_byte_is_the_same_request() {
    for cut in 1..REQUEST.len() {
        let mut wire = Wire::with(crate::session::Options { frames: true, ..options() });
        wire.connect();
        wire.data(Client, &REQUEST[..cut]);
        wire.data(Client, &REQUEST[cut..]);
        wire.data(Server, RESPONSE);
        wire.data(Client, &masked(0x81, b"hola"));
        let events = wire.events();
        assert_eq!(events[4]["event"], "ws.frame", "cut at {cut}");
        assert_eq!(events[4]["offset"], REQUEST.len(), "cut at {cut}");
        assert_eq!(events[5]["text"], "hola");
    }
}
