//! Family 7: close frames, with codes and reasons legal or not, and what comes after them.

use std::slice;

use tracer::ws::rule::Rule;

use super::{Case, Chops};
use crate::frame::{Frame, close, close_raw, close_saying, ping, rest, text};

/// Codes that may be on the wire (RFC 6455 section 7.4).
const VALID: [u16; 13] =
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
/// Codes that are reserved, or kept for what is not on the wire.
const INVALID: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
/// Codes that no range of section 7.4.2 covers.
const BEYOND: [u16; 2] = [5000, 65_535];

/// Greek text, a surrogate in the place of a character, and ASCII.
const NOT_UTF8: &[u8] =
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = behaviour();
    cases.extend(payload_lengths());
    cases.push(refused("7.5.1", &close_saying(1000, NOT_UTF8), 1007, Rule::InvalidUtf8));
    let numbered = |group: &str, n: usize| format!("7.{group}.{}", n + 1);
    for (n, code) in VALID.into_iter().enumerate() {
        cases.push(accepted(&numbered("7", n), &close(code), code));
    }
    for (n, code) in INVALID.into_iter().enumerate() {
        cases.push(refused(&numbered("9", n), &close(code), 1002, Rule::CloseCode));
    }
    for (n, code) in BEYOND.into_iter().enumerate() {
        cases.push(refused(&numbered("13", n), &close(code), 1002, Rule::CloseCode));
    }
    cases
}

fn accepted(id: &str, frame: &Frame, answer: u16) -> Case {
    Case::new(id).sends(Chops::Together, slice::from_ref(frame)).answered(&[close(answer)])
}

fn refused(id: &str, frame: &Frame, answer: u16, rule: Rule) -> Case {
    accepted(id, frame, answer).breaking(&[rule])
}

fn behaviour() -> Vec<Case> {
    const HELLO: &str = "Hello World!";
    let after = |id, frame: Frame| {
        Case::new(id)
            .sends(Chops::Together, &[close(1000), frame])
            .answered(&[close(1000)])
            .breaking(&[Rule::AfterClose])
    };
    let large = text(b"BAsd7&jh23".iter().copied().cycle().take(256 << 10).collect::<Vec<_>>());
    vec![
        Case::new("7.1.1").sends(Chops::Together, &[text(HELLO)]).answered(&[text(HELLO)]).closed(),
        after("7.1.2", close_raw("")),
        after("7.1.3", ping("")),
        after("7.1.4", text(HELLO)),
        Case::new("7.1.5")
            .plays(
                Chops::Together,
                &[text("fragment1").unfinished(), close(1000), rest("fragment2")],
            )
            .saying([close(1000).item(), text("fragment1fragment2").item()])
            .answered(&[close(1000)])
            .breaking(&[Rule::AfterClose]),
        Case::new("7.1.6")
            .sends(Chops::Together, &[large.clone(), text(HELLO), close(1000), ping("")])
            .answered(&[large, text(HELLO), close(1000)])
            .breaking(&[Rule::AfterClose]),
    ]
}

fn payload_lengths() -> Vec<Case> {
    vec![
        accepted("7.3.1", &close_raw(""), 1000),
        refused("7.3.2", &close_raw("a"), 1002, Rule::CloseLength),
        accepted("7.3.3", &close(1000), 1000),
        accepted("7.3.4", &close_saying(1000, "Hello World!"), 1000),
        accepted("7.3.5", &close_saying(1000, [b'*'; 123]), 1000),
        Case::new("7.3.6")
            .plays(Chops::Together, &[close_saying(1000, [b'*'; 124])])
            // All that a control frame may have is shown of it.
            .saying([close_saying(1000, [b'*'; 123]).item()])
            .answered(&[close(1002)])
            .breaking(&[Rule::ControlTooLong]),
    ]
}
