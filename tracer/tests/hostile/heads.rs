//! HTTP that never gets anywhere: heads that do not end, answers that do not come.

use crate::{
    capture::{Extension, Flow, Side},
    frames::text,
    run::run,
    talk::Talk,
};

const LINE: &[u8] = b"X-Filler: 0123456789012345678901234567890123456789\r\n";

/// Ten megabytes each way, on one connection.
#[test]
fn a_head_that_never_ends() {
    let (mut request, mut response) = (Flow::new(1), Flow::new(2));
    let mut talk = Talk::new();
    let chunk = LINE.repeat(1000);
    let run = run(&[], |to| {
        talk.open(to)?;
        request.connect(to)?;
        request.client(b"GET / HTTP/1.1\r\n", to)?;
        response.connect(to)?;
        response.client(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", to)?;
        response.server(b"HTTP/1.1 200 OK\r\n", to)?;
        for _ in 0..200 {
            request.client(&chunk, to)?;
            response.server(&chunk, to)?;
            talk.speak(to)?;
        }
        request.finish(to)?;
        response.finish(to)
    });
    let named: Vec<_> = run.of_kind("not_websocket").collect();
    assert_eq!(named.len(), 2, "each is named once");
    for flow in [request, response] {
        let name = flow.name();
        assert!(named.iter().any(|event| event.text("client") == Some(&name)), "{name}");
        let end = run.of_kind("tcp.close").find(|event| event.text("client") == Some(&name));
        assert_eq!(end.expect("it ended").text("how"), Some("fin"));
    }
    talk.is_shown_by(&run);
    run.peaks_below(32);
}

/// 4 KiB of head on each of 20,000 connections are 80 MiB, if nobody gives any up.
#[test]
fn heads_that_trickle_in_on_twenty_thousand_connections() {
    const FLOWS: u32 = 20_000;
    let mut flows: Vec<_> = (0..FLOWS).map(Flow::new).collect();
    let mut talk = Talk::new();
    let run = run(&["--memory-limit", "16MiB"], |to| {
        talk.open(to)?;
        for flow in &mut flows {
            flow.connect(to)?;
            flow.client(b"GET / HTTP/1.1\r\n", to)?;
        }
        for _ in 0..16 {
            for flow in &mut flows {
                flow.client(&LINE.repeat(5)[..256], to)?;
            }
            talk.speak(to)?;
        }
        Ok(())
    });
    talk.is_shown_by(&run);
    assert_eq!(run.of_kind("tcp.open").count(), FLOWS as usize + 1);
    let evicted = run.of_kind("tcp.close").filter(|end| end.text("how") == Some("evicted")).count();
    assert!(evicted > 0, "80 MiB do not fit into 16");
    run.peaks_below(64);
}

/// What a client says before its upgrade is answered has to wait: 200 MiB of it.
#[test]
fn frames_ahead_of_answers_that_never_come() {
    const FLOWS: u32 = 1000;
    let ahead = text(Side::Client, &"x".repeat(50_000)).repeat(4);
    let mut flows: Vec<_> = (0..FLOWS).map(Flow::new).collect();
    let mut talk = Talk::new();
    let mut honest = Flow::new(FLOWS);
    let run = run(&["--memory-limit", "16MiB"], |to| {
        talk.open(to)?;
        for flow in &mut flows {
            flow.ask(Extension::None, to)?;
            flow.client(&ahead, to)?;
            talk.speak(to)?;
        }
        honest.ask(Extension::None, to)?;
        honest.client(&text(Side::Client, "ahead"), to)?;
        honest.answer(Extension::None, to)?;
        honest.finish(to)
    });
    talk.is_shown_by(&run);
    let shown = run.of_kind("ws.message").filter(|e| e.text("client") == Some(&honest.name()));
    assert_eq!(shown.map(|e| e.text("text")).collect::<Vec<_>>(), [Some("ahead")]);
    run.peaks_below(64);
}
