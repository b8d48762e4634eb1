//! Compressed messages that are far larger than what is on the wire, that never end, or that
//! need more memory than there may be.

use crate::{
    capture::{Extension, Flow, Side},
    frames::{Deflater, FIN, RSV1, TEXT, frame, header},
    observed::Event,
    run::{Run, run},
    talk::Talk,
};

const COMPRESSED: u8 = FIN | RSV1 | TEXT;
/// What `--payload-limit` and `--max-inflating` are by default.
const SHOWN: usize = 4096;
const MAX_INFLATING: usize = 256;

/// The messages of one client.
fn messages<'a>(run: &'a Run, flow: &Flow) -> Vec<&'a Event> {
    let name = flow.name();
    run.of_kind("ws.message").filter(|event| event.text("client") == Some(&name)).collect()
}

#[test]
fn a_megabyte_that_inflates_to_a_gigabyte() {
    let mut deflater = Deflater::new();
    let bomb = deflater.bomb(1024);
    assert!(bomb.len() > 1 << 20, "{} bytes", bomb.len());
    // It refers to the end of the bomb.
    let after = format!("{} and so on", "A".repeat(500));
    let compressed_after = deflater.message(after.as_bytes());
    assert!(compressed_after.len() < 50);
    let mut flow = Flow::new(1);
    let run = run(&[], |to| {
        flow.open(Extension::Deflate, to)?;
        flow.client(&frame(Side::Client, COMPRESSED, &bomb), to)?;
        flow.client(&frame(Side::Client, COMPRESSED, &compressed_after), to)?;
        flow.finish(to)
    });
    let [first, second] = messages(&run, &flow)[..] else { panic!("two messages") };
    assert_eq!((first.number("len"), first.is("truncated")), (Some(1 << 30), true), "{first}");
    assert_eq!(first.number("wire_len"), Some(bomb.len() as u64));
    assert_eq!(first.text("text"), Some(&*"A".repeat(SHOWN)));
    assert_eq!((second.text("text"), second.is("truncated")), (Some(&*after), false));
    run.peaks_below(32);
}

/// Without a bound of the machines each would have one, of 64 KiB; without one of what is shown,
/// each would have what its message has become.
#[test]
fn bombs_on_a_thousand_connections_that_all_stop_in_the_middle() {
    const FLOWS: usize = 1000;
    let bomb = Deflater::new().bomb(4);
    // A server's payload is as it is, and more of it is announced than ever comes.
    let unfinished = [header(Side::Server, COMPRESSED, 1 << 20), bomb].concat();
    let mut talk = Talk::new();
    let mut late = Flow::new(2_000_000);
    let run = run(&[], |to| {
        talk.open(to)?;
        let mut flows: Vec<_> = (0..FLOWS as u32).map(Flow::new).collect();
        for flow in &mut flows {
            flow.open(Extension::Deflate, to)?;
            flow.server(&unfinished, to)?;
            talk.speak(to)?;
        }
        flows.iter_mut().try_for_each(|flow| flow.reset(to))?;
        // The machines have come back.
        late.open(Extension::Deflate, to)?;
        late.client(&frame(Side::Client, COMPRESSED, &Deflater::new().message(b"late")), to)
    });
    let is_bomb = |event: &&Event| event.is("compressed") && event.is("truncated");
    let bombs: Vec<_> = run.of_kind("ws.message").filter(is_bomb).collect();
    let limited = bombs.iter().filter(|event| event.text("undecoded") == Some("limit")).count();
    // Each has had a machine as long as there was something to inflate.
    assert_eq!((bombs.len(), limited), (FLOWS, 0));
    talk.is_shown_by(&run);
    let [message] = messages(&run, &late)[..] else { panic!("one message") };
    assert_eq!(message.text("text"), Some("late"));
    run.peaks_below(110);
}

/// Beyond the bound the oldest are told with the reason, and their connections go on. One more
/// machine goes from an unfinished message to the first that is tried after that.
#[test]
fn more_unfinished_compressed_messages_than_there_are_machines() {
    const FLOWS: usize = MAX_INFLATING + 50;
    let mut flows: Vec<_> = (0..FLOWS as u32).map(|n| (Flow::new(n), Deflater::new())).collect();
    let run = run(&[], |to| {
        let mut ends = Vec::new();
        for (flow, deflater) in &mut flows {
            flow.open(Extension::Deflate, to)?;
            let message = deflater.message(flow.name().repeat(3).as_bytes());
            let (begin, end) = message.split_at(message.len() / 2);
            flow.client(&frame(Side::Client, RSV1 | TEXT, begin), to)?;
            ends.push(frame(Side::Client, FIN, end));
        }
        for ((flow, deflater), end) in flows.iter_mut().zip(ends) {
            flow.client(&end, to)?;
            // Refers to the one before.
            let again = deflater.message(flow.name().repeat(3).as_bytes());
            flow.client(&frame(Side::Client, COMPRESSED, &again), to)?;
            // Refers to nothing.
            let new = Deflater::new().message(b"anew");
            flow.client(&frame(Side::Client, COMPRESSED, &new), to)?;
        }
        Ok(())
    });
    for (n, (flow, _)) in flows.iter().enumerate() {
        let shown: Vec<_> = messages(&run, flow)
            .iter()
            .map(|event| event.text("text").or(event.text("undecoded")).unwrap_or_default())
            .collect();
        let text = &*flow.name().repeat(3);
        let is_lost = n <= FLOWS - MAX_INFLATING;
        let expected = if is_lost { ["limit", "context-lost"] } else { [text, text] };
        assert_eq!(shown, [&expected[..], &["anew"]].concat(), "{n}");
    }
    run.peaks_below(64);
}

/// Each holds a window of 32 KiB: 640 MiB, if nothing held them back.
#[test]
fn deflate_windows_of_ten_thousand_connections_each_way() {
    const FLOWS: u32 = 10_000;
    const LIMIT: &str = "64MiB";
    let plain = "A".repeat(40_000);
    let (first, second) = {
        let mut deflater = Deflater::new();
        (deflater.message(plain.as_bytes()), deflater.message(&plain.as_bytes()[..1000]))
    };
    let new = Deflater::new().message(b"anew");
    let mut flows: Vec<_> = (0..FLOWS).map(Flow::new).collect();
    let run = run(&["--memory-limit", LIMIT], |to| {
        for flow in &mut flows {
            flow.open(Extension::Deflate, to)?;
            flow.client(&frame(Side::Client, COMPRESSED, &first), to)?;
            flow.server(&frame(Side::Server, COMPRESSED, &first), to)?;
        }
        for flow in &mut flows {
            flow.client(&frame(Side::Client, COMPRESSED, &second), to)?;
            flow.client(&frame(Side::Client, COMPRESSED, &new), to)?;
        }
        Ok(())
    });
    let of = |event: &Event| match (event.number("len"), event.text("undecoded")) {
        (Some(40_000), None) => 0,
        (Some(1000), None) => 1,
        (None, Some("context-lost")) => 2,
        (Some(4), None) if event.text("text") == Some("anew") => 3,
        _ => panic!("never said: {event}"),
    };
    let mut counts = [0; 4];
    run.of_kind("ws.message").for_each(|event| counts[of(event)] += 1);
    let [first, second, lost, new] = counts;
    assert_eq!((first, second + lost, new), (2 * FLOWS, FLOWS, FLOWS));
    assert!(second > 0 && lost > 0, "{second} in full, {lost} without their context");
    run.peaks_below(120);
}
