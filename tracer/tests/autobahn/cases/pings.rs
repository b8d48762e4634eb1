//! Family 2: pings, their pongs, and pongs that nobody asked for.

use tracer::ws::rule::Rule;

use super::{Case, Chops, not_whole};
use crate::frame::{Frame, ping, pong};

/// Not UTF-8, and with a NUL.
const BYTES: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
const LONGEST: [u8; 125] = [0xfe; 125];
const TOO_LONG: [u8; 126] = [0xfe; 126];

pub(crate) fn cases() -> Vec<Case> {
    let one = |id, payload: &[u8], chops| {
        Case::new(id).sends(chops, &[ping(payload)]).answered(&[pong(payload)]).closed()
    };
    let unasked = |id, payload| Case::new(id).sends(Chops::Together, &[pong(payload)]).closed();
    vec![
        one("2.1", b"", Chops::Together),
        one("2.2", b"Hello, world!", Chops::Together),
        one("2.3", BYTES, Chops::Together),
        one("2.4", &LONGEST, Chops::Together),
        Case::new("2.5")
            .plays(Chops::Together, &[ping(TOO_LONG)])
            .saying([not_whole("ping", 126)])
            .failed(1002, &[Rule::ControlTooLong]),
        one("2.6", &LONGEST, Chops::Of(1)),
        unasked("2.7", ""),
        unasked("2.8", "unsolicited pong payload"),
        Case::new("2.9")
            .sends(Chops::Together, &[pong("unsolicited pong payload"), ping("ping payload")])
            .answered(&[pong("ping payload")])
            .closed(),
        ten("2.10", Chops::Together),
        ten("2.11", Chops::Of(1)),
    ]
}

fn ten(id: &str, chops: Chops) -> Case {
    let each = |make: fn(String) -> Frame| -> Vec<_> {
        (0..10).map(|n| make(format!("payload-{n}"))).collect()
    };
    Case::new(id).sends(chops, &each(ping)).answered(&each(pong)).closed()
}
