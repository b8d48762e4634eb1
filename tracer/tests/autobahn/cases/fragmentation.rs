//! Family 5: messages in fragments, with control frames between them, and fragments that belong to
//! no message or begin a new one too early.

use tracer::ws::rule::Rule::{
    self, ContinuationMissing, ContinuationUnexpected, ControlFragmented,
};

use super::{Case, Chops, not_whole};
use crate::{
    frame::{Frame, ping, pong, rest, text},
    observed::Item,
};

const HELLO: &str = "Hello, world!";
const STRAY: &str = "non-continuation payload";
const WAYS: [Chops; 3] = [Chops::Together, Chops::ByFrame, Chops::Of(1)];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![control("5.1", ping), control("5.2", pong)];
    for (n, chops) in (0..).zip(WAYS) {
        cases.push(two_fragments(3 + n, chops));
        cases.push(ping_between(6 + n, chops));
        cases.push(stray(9 + n, chops));
        cases.push(unfinished_stray(12 + n, chops));
    }
    cases.push(stray_after_message());
    let stray = rest("fragment1");
    let rules = [ContinuationUnexpected, ContinuationMissing];
    cases.push(twice("5.16", &rules, stray.clone().unfinished(), &[strayed("fragment1")]));
    cases.push(twice("5.17", &rules[..1], stray, &[strayed("fragment1")]));
    cases.push(text_instead_of_continuation());
    cases.push(five_fragments("5.19", Chops::Together));
    cases.push(five_fragments("5.20", Chops::ByFrame));
    cases
}

/// What is shown of a fragment without a message, once it ends or a new message takes its place:
/// that it was there.
fn strayed(payload: &str) -> Item {
    not_whole("continuation", payload.len() as u64)
}

/// A control frame in two fragments: the first is shown for what it is.
fn control(id: &str, make: fn(&'static str) -> Frame) -> Case {
    let first = make("fragment1");
    Case::new(id)
        .plays(Chops::Together, &[first.clone().unfinished(), rest("fragment2")])
        .saying([first.item(), strayed("fragment2")])
        .failed(1002, &[ControlFragmented, ContinuationUnexpected])
}

fn two_fragments(n: u32, chops: Chops) -> Case {
    let whole = text("fragment1fragment2");
    Case::new(format!("5.{n}"))
        .plays(chops, &[text("fragment1").unfinished(), rest("fragment2")])
        .saying([whole.item()])
        .answered(&[whole])
        .closed()
}

fn ping_between(n: u32, chops: Chops) -> Case {
    let whole = text("fragment1fragment2");
    let between = ping("ping payload");
    Case::new(format!("5.{n}"))
        .plays(chops, &[text("fragment1").unfinished(), between.clone(), rest("fragment2")])
        .saying([between.item(), whole.item()])
        .answered(&[pong("ping payload"), whole])
        .closed()
}

fn stray(n: u32, chops: Chops) -> Case {
    Case::new(format!("5.{n}"))
        .plays(chops, &[rest(STRAY), text(HELLO)])
        .saying([strayed(STRAY), text(HELLO).item()])
        .failed(1002, &[ContinuationUnexpected])
}

fn unfinished_stray(n: u32, chops: Chops) -> Case {
    Case::new(format!("5.{n}"))
        .plays(chops, &[rest(STRAY).unfinished(), text(HELLO)])
        .saying([strayed(STRAY), text(HELLO).item()])
        .failed(1002, &[ContinuationUnexpected, ContinuationMissing])
}

fn stray_after_message() -> Case {
    let whole = text("fragment1fragment2");
    let frames = [
        text("fragment1").unfinished(),
        rest("fragment2"),
        rest("fragment3").unfinished(),
        text("fragment4"),
    ];
    Case::new("5.15")
        .plays(Chops::Together, &frames)
        .saying([whole.item(), strayed("fragment3"), text("fragment4").item()])
        .answered(&[whole])
        .failed(1002, &[ContinuationUnexpected, ContinuationMissing])
}

/// A stray fragment, then a message in two, and all that again.
fn twice(id: &str, rules: &[Rule], stray: Frame, shown: &[Item]) -> Case {
    let frames = [stray, text("fragment2").unfinished(), rest("fragment3")];
    let items = [shown, &[text("fragment2fragment3").item()]].concat();
    Case::new(id)
        .plays(Chops::Together, &[frames.clone(), frames].concat())
        .saying([items.clone(), items].concat())
        .failed(1002, &[rules, rules].concat())
}

/// The first message never ends.
fn text_instead_of_continuation() -> Case {
    Case::new("5.18")
        .plays(Chops::Together, &[text("fragment1").unfinished(), text("fragment2")])
        .saying([not_whole("text", 9), text("fragment2").item()])
        .failed(1002, &[ContinuationMissing])
}

fn five_fragments(id: &str, chops: Chops) -> Case {
    let whole = text("fragment1fragment2fragment3fragment4fragment5");
    let more = |payload| rest(payload).unfinished();
    let [first, second] = ["pongme 1!", "pongme 2!"];
    Case::new(id)
        .plays(chops, &[text("fragment1").unfinished(), more("fragment2"), ping(first)])
        .answered(&[pong(first)])
        .plays(chops, &[more("fragment3"), more("fragment4"), ping(second), rest("fragment5")])
        .saying([ping(first).item(), ping(second).item(), whole.item()])
        .answered(&[pong(second), whole])
        .closed()
}
