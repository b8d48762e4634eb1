//! Frames that break rules: lengths that nothing can have, and floods of small lies.

use crate::{
    capture::{Extension, Flow, Side},
    frames::{BINARY, CONTINUATION, FIN, TEXT, frame, header, text},
    run::run,
    talk::Talk,
};

/// An opcode that means nothing (RFC 6455 section 5.2).
const RESERVED: u8 = 3;

/// Nothing is reserved for a length, and everything else goes on.
#[test]
fn a_frame_of_2_to_the_63_bytes_and_one_of_almost_as_many() {
    let mut talk = Talk::new();
    let lengths = [1 << 63, u64::MAX, i64::MAX as u64];
    let mut flows: Vec<_> = (0..).zip(lengths).map(|(n, len)| (Flow::new(n), len)).collect();
    let run = run(&[], |to| {
        talk.open(to)?;
        for (flow, len) in &mut flows {
            flow.open(Extension::None, to)?;
            flow.client(&header(Side::Client, FIN | BINARY, *len), to)?;
            for _ in 0..100 {
                flow.client(&[0; 50_000], to)?;
                flow.server(&text(Side::Server, "go on"), to)?;
                talk.speak(to)?;
            }
        }
        Ok(())
    });
    talk.is_shown_by(&run);
    for (flow, len) in flows {
        let name = flow.name();
        let its = |kind| run.of_kind(kind).filter(|event| event.text("client") == Some(&name));
        let rules: Vec<_> = its("ws.violation").filter_map(|event| event.text("rule")).collect();
        let expected = if len > i64::MAX as u64 { &["length-too-large"][..] } else { &[] };
        assert_eq!(rules, expected, "{len}");
        assert_eq!(its("ws.message").filter(|e| e.text("text") == Some("go on")).count(), 100);
        let unfinished: Vec<_> =
            its("ws.message").filter(|event| event.text("from") == Some("client")).collect();
        let [unfinished] = unfinished[..] else { panic!("{} messages", unfinished.len()) };
        assert!(unfinished.is("truncated") && unfinished.number("wire_len") == Some(len));
    }
    run.peaks_below(24);
}

/// A hundred of each connection's are told; all are counted.
#[test]
fn a_million_small_frames_that_all_break_a_rule() {
    const FLOWS: u32 = 1000;
    const EACH: usize = 1000;
    let lies = frame(Side::Client, FIN | RESERVED, b"").repeat(EACH);
    let mut flows: Vec<_> = (0..FLOWS).map(Flow::new).collect();
    let run = run(&[], |to| {
        for flow in &mut flows {
            flow.open(Extension::None, to)?;
            flow.client(&lies, to)?;
            flow.client(&text(Side::Client, "and now the truth"), to)?;
        }
        Ok(())
    });
    assert_eq!(run.count("violations"), u64::from(FLOWS) * EACH as u64);
    assert_eq!(run.of_kind("ws.violation").count(), FLOWS as usize * 100);
    assert!(run.of_kind("ws.violation").all(|e| e.text("rule") == Some("reserved-opcode")));
    let truths = run.of_kind("ws.message").filter(|e| e.text("text") == Some("and now the truth"));
    assert_eq!(truths.count(), FLOWS as usize);
    run.peaks_below(48);
}

/// Each fragment is legal, and so is that there are a million of them.
#[test]
fn a_message_of_a_million_empty_fragments() {
    let mut flow = Flow::new(1);
    let run = run(&[], |to| {
        flow.open(Extension::None, to)?;
        flow.server(&frame(Side::Server, TEXT, b"begin"), to)?;
        for _ in 0..100 {
            flow.server(&frame(Side::Server, CONTINUATION, b"").repeat(10_000), to)?;
        }
        flow.server(&frame(Side::Server, FIN | CONTINUATION, b", end"), to)
    });
    let messages: Vec<_> = run.of_kind("ws.message").collect();
    let [message] = messages[..] else { panic!("{} messages", messages.len()) };
    assert_eq!(message.text("text"), Some("begin, end"));
    assert_eq!(message.number("frames"), Some(1_000_002));
    run.peaks_below(24);
}
