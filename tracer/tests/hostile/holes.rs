//! Segments that are missing, everywhere at once, and segments that come in every order but theirs.

use std::collections::BTreeSet;

use crate::{
    capture::{Extension, Flow, Side},
    frames::{FIN, TEXT, frame, text},
    observed::{Conversation, Event, Item, assert_same, conversations},
    run::run,
    talk::Talk,
};

/// Half of them are known to be lost by an acknowledgment, the others by the time that has passed.
#[test]
fn ten_thousand_connections_with_a_hole_each() {
    const FLOWS: u32 = 10_000;
    let lost = text(Side::Client, "this is lost");
    let mut flows: Vec<_> = (0..FLOWS).map(Flow::new).collect();
    let run = run(&[], |to| {
        for flow in &mut flows {
            flow.open(Extension::None, to)?;
            flow.client(&text(Side::Client, "before"), to)?;
        }
        for flow in &mut flows {
            flow.lose(Side::Client, lost.len());
            flow.client(&text(Side::Client, "the first thing behind the hole"), to)?;
            flow.client(&text(Side::Client, "the second thing behind it"), to)?;
        }
        for flow in flows.iter_mut().step_by(2) {
            flow.server(&text(Side::Server, "what you said has arrived"), to)?;
        }
        to.wait(10);
        for flow in &mut flows {
            flow.client(&text(Side::Client, "after"), to)?;
            flow.server(&text(Side::Server, "bye"), to)?;
            flow.finish(to)?;
        }
        Ok(())
    });
    let items = |texts: &[&str]| texts.iter().map(|t| Item::new("text", t.as_bytes())).collect();
    let behind =
        ["before", "the first thing behind the hole", "the second thing behind it", "after"];
    let said = flows.iter().enumerate().map(|(n, flow)| {
        let heard = if n % 2 == 0 { &["what you said has arrived", "bye"][..] } else { &["bye"] };
        (flow.name(), Conversation { c2s: items(&behind), s2c: items(heard) })
    });
    assert_same(&said.collect(), &conversations(&run.events));
    let gap = |event: &Event| {
        let [from, cause] = ["from", "cause"].map(|field| event.text(field));
        from == Some("client")
            && cause == Some("lost")
            && event.number("bytes") == Some(lost.len() as u64)
    };
    let gaps: BTreeSet<_> =
        run.of_kind("gap").filter(|event| gap(event)).map(|event| event.text("client")).collect();
    assert_eq!(gaps.len(), FLOWS as usize, "one each");
    assert_eq!(run.count("gaps"), u64::from(FLOWS));
    run.peaks_below(64);
}

/// 16 KiB behind each hole are 160 MiB, if nobody gives any up.
#[test]
fn much_waits_behind_ten_thousand_holes() {
    const FLOWS: u32 = 10_000;
    let message = text(Side::Client, &"x".repeat(4000));
    let mut flows: Vec<_> = (0..FLOWS).map(Flow::new).collect();
    let mut talk = Talk::new();
    let run = run(&["--memory-limit", "32MiB"], |to| {
        talk.open(to)?;
        for flow in &mut flows {
            flow.open(Extension::None, to)?;
            flow.lose(Side::Client, 10);
        }
        for _ in 0..4 {
            for flow in &mut flows {
                flow.client(&message, to)?;
            }
            talk.speak(to)?;
        }
        Ok(())
    });
    talk.is_shown_by(&run);
    // What waited is told when it is given up, and what follows is joined again.
    let whole = |event: &&Event| event.number("len") == Some(4000) && !event.is("truncated");
    assert_eq!(run.of_kind("ws.message").filter(whole).count(), 4 * FLOWS as usize);
    let evicted = run.of_kind("tcp.close").filter(|end| end.text("how") == Some("evicted")).count();
    assert!(evicted > 0, "160 MiB do not fit into 32");
    run.peaks_below(96);
}

/// The messages of 10 bytes each that a million bytes on the wire hold, with their numbers.
fn numbered() -> (Vec<u8>, Vec<String>) {
    let texts: Vec<_> = (0..62_500).map(|n| format!("{n:010}")).collect();
    let frames = texts.iter().flat_map(|text| frame(Side::Client, FIN | TEXT, text.as_bytes()));
    (frames.collect(), texts)
}

#[test]
fn a_million_segments_of_one_byte_each_two_in_the_wrong_order() {
    let (bytes, texts) = numbered();
    assert_eq!(bytes.len(), 1_000_000);
    let mut flow = Flow::new(1);
    let run = run(&[], |to| {
        flow.open(Extension::None, to)?;
        for pair in bytes.chunks(2) {
            flow.at(Side::Client, 1, &pair[1..], to)?;
            flow.at(Side::Client, 0, &pair[..1], to)?;
            flow.lose(Side::Client, 2);
        }
        Ok(())
    });
    let shown = run.of_kind("ws.message").map(|event| event.text("text").expect("a text"));
    assert!(shown.eq(&texts), "every message, in order");
    assert_eq!(run.of_kind("gap").count(), 0);
    run.peaks_below(24);
}

/// The first byte never comes, and each that waits for it takes far more memory than a byte.
#[test]
fn a_million_segments_of_one_byte_behind_a_hole() {
    let (bytes, texts) = numbered();
    let mut flow = Flow::new(1);
    let lost = text(Side::Client, "lost");
    let run = run(&[], |to| {
        flow.open(Extension::None, to)?;
        flow.lose(Side::Client, lost.len());
        bytes.chunks(1).try_for_each(|byte| flow.client(byte, to))
    });
    let gaps: Vec<_> = run.of_kind("gap").map(|gap| gap.number("bytes")).collect();
    assert_eq!(gaps, [Some(lost.len() as u64)]);
    let shown = run.of_kind("ws.message").map(|event| event.text("text").expect("a text"));
    assert!(shown.eq(&texts), "every message, in order");
    run.peaks_below(24);
}

/// Each byte that comes is followed by one that does not: nothing can be made of that, and it must
/// not take more than a little of anything.
#[test]
fn a_comb_of_a_quarter_of_a_million_bytes() {
    let (bytes, _) = numbered();
    let mut flow = Flow::new(1);
    let mut talk = Talk::new();
    let run = run(&[], |to| {
        talk.open(to)?;
        flow.open(Extension::None, to)?;
        for (n, pair) in bytes[..500_000].chunks(2).enumerate() {
            flow.lose(Side::Client, 1);
            flow.client(&pair[1..], to)?;
            if n % 50_000 == 0 {
                talk.speak(to)?;
            }
        }
        Ok(())
    });
    talk.is_shown_by(&run);
    let name = flow.name();
    let invented = run.of_kind("ws.message").find(|event| event.text("client") == Some(&name));
    assert!(invented.is_none(), "{}", invented.unwrap());
    run.peaks_below(24);
}
