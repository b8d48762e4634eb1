//! Floods of connections that nobody means.

use crate::{
    capture::{ACK, Extension, FIN, Flow, RST, SYN, Side},
    frames::text,
    run::run,
    talk::Talk,
};

/// Unbounded, each would take some 200 bytes.
#[test]
fn a_million_syns_around_a_conversation() {
    const FLOOD: u32 = 1_000_000;
    let mut talk = Talk::new();
    let mut segments = 0;
    let run = run(&[], |to| {
        talk.open(to)?;
        for n in 0..FLOOD {
            Flow::new(n).syn(to)?;
            if n % 50_000 == 0 {
                talk.speak(to)?;
            }
        }
        talk.speak(to)?;
        segments = to.packets;
        Ok(())
    });
    talk.is_shown_by(&run);
    assert_eq!((run.count("segments"), run.count("connections")), (segments, 1));
    let evicted = run.of_kind("tcp.close").count();
    assert_eq!(evicted, 0, "a SYN that nobody answers is no connection that ends");
    run.peaks_below(24);
}

/// A server answers every SYN of a flood. A conversation that goes on stays; one that is silent for
/// so long is given up, with an event, and joined again. Unbounded, the connections would take ten
/// times what they take.
#[test]
fn half_open_connections_of_which_every_syn_is_answered() {
    const FLOOD: u32 = 200_000;
    let mut talk = Talk::new();
    let mut silent = Flow::new(FLOOD);
    let run = run(&["--max-connections", "20000"], |to| {
        talk.open(to)?;
        silent.open(Extension::None, to)?;
        for n in 0..FLOOD {
            let mut flow = Flow::new(n);
            flow.syn(to)?;
            flow.syn_ack(to)?;
            if n % 10_000 == 0 {
                talk.speak(to)?;
            }
        }
        silent.client(&text(Side::Client, "this is said after a long silence"), to)?;
        silent.client(&text(Side::Client, "and so is this"), to)
    });
    talk.is_shown_by(&run);
    let name = silent.name();
    let its: Vec<_> = run.events.iter().filter(|e| e.text("client") == Some(&name)).collect();
    let kinds: Vec<_> = its.iter().map(|event| event.kind()).collect();
    let expected = [
        "tcp.open",
        "http.request",
        "http.response",
        "ws.open",
        "tcp.close",
        "ws.open",
        "ws.message",
        "ws.message",
    ];
    assert_eq!(kinds, expected);
    assert_eq!((its[4].text("how"), its[5].text("joined")), (Some("evicted"), Some("midstream")));
    assert_eq!(its[6].text("text"), Some("this is said after a long silence"));
    assert_eq!(run.count("connections"), u64::from(FLOOD) + 3);
    run.peaks_below(64);
}

/// Bytes without a beginning, on connections without a SYN: there is nothing to be made of them, and
/// nothing may be made up.
#[test]
fn noise_on_two_hundred_thousand_connections() {
    const FLOOD: u32 = 200_000;
    let mut talk = Talk::new();
    let mut random = Random(1);
    let run = run(&[], |to| {
        talk.open(to)?;
        for n in 0..FLOOD {
            let noise: [u8; 64] = std::array::from_fn(|_| random.byte());
            let side = if n % 2 == 0 { Side::Client } else { Side::Server };
            Flow::new(n).at(side, 0, &noise, to)?;
            if n % 10_000 == 0 {
                talk.speak(to)?;
            }
        }
        Ok(())
    });
    talk.is_shown_by(&run);
    let invented = run.of_kind("ws.message").filter(|event| {
        let text = event.text("text").unwrap_or_default();
        !(text.starts_with("question") || text.starts_with("answer"))
    });
    assert_eq!(invented.count(), 0);
    run.peaks_below(120);
}

/// What somebody else sends in the name of both ends: resets and ends in the wrong place, a SYN, and
/// data from far outside the window.
#[test]
fn forged_segments_around_a_conversation() {
    const FAR: usize = 1 << 28;
    let mut talk = Talk::new();
    let run = run(&[], |to| {
        talk.open(to)?;
        for round in 0..2000 {
            talk.speak(to)?;
            for side in [Side::Client, Side::Server] {
                for flags in [RST, RST | ACK, FIN | ACK, SYN] {
                    talk.flow.forge(side, flags, FAR * (1 + round % 7), b"", to)?;
                }
                talk.flow.forge(side, ACK, FAR, &text(side, "forged"), to)?;
            }
        }
        talk.speak(to)
    });
    talk.is_shown_by(&run);
    assert_eq!(run.of_kind("tcp.close").count(), 0);
    run.peaks_below(24);
}

/// Numbers that are the same in every run (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }
}
