//! Family 6: text that is UTF-8, text that is not, and how soon that can be known.

use std::slice;

use tracer::ws::rule::Rule;

use super::{
    Case, Chops, not_whole,
    utf8_sequences::{KOSME, kinds},
};
use crate::frame::{Frame, fragments, rest, text};

const UMLAUTS: &str = "Hello-µ@ßöäüàá-UTF-8!!";
/// Where [`UMLAUTS`] is cut between two characters.
const CUT: usize = "Hello-µ@ßöä".len();

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = valid();
    cases.extend(invalid());
    cases.extend(fail_fast());
    for (group, kind) in (5..).zip(kinds()) {
        for (n, (is_valid, bytes)) in (1..).zip(kind) {
            let case = Case::new(format!("6.{group}.{n}"));
            let message = &[text(bytes)];
            let case = case.sends(Chops::Together, message);
            cases.push(if is_valid {
                case.answered(message).closed()
            } else {
                case.failed(1007, &[Rule::InvalidUtf8])
            });
        }
    }
    cases
}

fn valid() -> Vec<Case> {
    let echoed = |id, frames: &[Frame], whole: Frame| {
        Case::new(id)
            .plays(Chops::Together, frames)
            .saying([whole.item()])
            .answered(&[whole])
            .closed()
    };
    let three = |middle| [text("").unfinished(), rest(middle).unfinished(), rest("")];
    let umlauts = text(UMLAUTS);
    let (front, back) = UMLAUTS.split_at(CUT);
    vec![
        echoed("6.1.1", &[text("")], text("")),
        echoed("6.1.2", &three(""), text("")),
        echoed("6.1.3", &three("middle frame payload"), text("middle frame payload")),
        echoed("6.2.1", slice::from_ref(&umlauts), umlauts.clone()),
        echoed("6.2.2", &[text(front).unfinished(), rest(back)], umlauts.clone()),
        echoed("6.2.3", &fragments(&umlauts, 1), umlauts),
        echoed("6.2.4", &fragments(&text(KOSME), 1), text(KOSME)),
    ]
}

fn invalid() -> Vec<Case> {
    let message = text([KOSME, b"\xed\xa0\x80", b"edited"].concat());
    let failed = |id, frames: &[Frame]| {
        Case::new(id)
            .plays(Chops::Together, frames)
            .saying([message.item()])
            .failed(1007, &[Rule::InvalidUtf8])
    };
    vec![failed("6.3.1", slice::from_ref(&message)), failed("6.3.2", &fragments(&message, 1))]
}

/// A message in three parts, which cannot become UTF-8 any more from the second one on. Autobahn
/// gives the server time to notice after each. One that fails fast closes before the last part; one
/// that does not gets all three, which Autobahn calls non-strict and accepts too.
fn fail_fast() -> Vec<Case> {
    // U+110000, one beyond the last.
    let bytes = &[KOSME, b"\xf4\x90\x80\x80", b"edited"].concat();
    let by_character = [&bytes[..11], &bytes[11..15], &bytes[15..]];
    let by_byte = [&bytes[..12], &bytes[12..13], &bytes[13..]];
    let mut cases = Vec::new();
    for (n, parts) in (1..).zip([by_character, by_byte]) {
        let [first, second, third] = parts;
        let frames = [text(first).unfinished(), rest(second).unfinished(), rest(third)];
        let seen = (first.len() + second.len()) as u64;
        for is_strict in [true, false] {
            let case = |n| Case::new(format!("6.4.{n}{}", if is_strict { "" } else { "-late" }));
            let parts = if is_strict { 2 } else { 3 };
            cases.push(ending(
                case(n).plays(Chops::ByFrame, &frames[..parts]),
                bytes,
                seen,
                is_strict,
            ));
            let chopped = [first.len(), second.len(), third.len()];
            let case = case(n + 2).plays_part_of(&text(bytes), &chopped[..parts]);
            cases.push(ending(case, bytes, bytes.len() as u64, is_strict));
        }
    }
    cases
}

/// The server gives up: on the whole message, or on one of which `seen` is the length known.
fn ending(case: Case, bytes: &[u8], seen: u64, is_strict: bool) -> Case {
    let rules = &[Rule::InvalidUtf8];
    if !is_strict {
        return case.saying([text(bytes).item()]).failed(1007, rules);
    }
    case.abandoned(1007, rules).saying([not_whole("text", seen)])
}
