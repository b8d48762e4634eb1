//! Families 3 and 4: reserved bits and reserved opcodes, alone and after a message that is in order.

use tracer::ws::rule::Rule;

use super::{Case, Chops};
use crate::frame::{Frame, binary, close, close_raw, opcode, ping, text};

const HELLO: &str = "Hello, world!";

/// A reserved bit does not keep anybody from reading the frame.
pub(crate) fn bits() -> Vec<Case> {
    let alone = |id, frame: Frame| {
        Case::new(id).sends(Chops::Together, &[frame]).failed(1002, &[Rule::ReservedBits])
    };
    let after_hello = |id, rsv, chops| {
        let frames = [text(HELLO), text(HELLO).rsv(rsv), ping("")];
        Case::new(id)
            .sends(chops, &frames)
            .answered(&[text(HELLO)])
            .failed(1002, &[Rule::ReservedBits])
    };
    vec![
        alone("3.1", text(HELLO).rsv(1)),
        after_hello("3.2", 2, Chops::Together),
        after_hello("3.3", 3, Chops::ByFrame),
        after_hello("3.4", 4, Chops::Of(1)),
        alone("3.5", binary(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff").rsv(5)),
        alone("3.6", binary(HELLO).rsv(6)),
        Case::new("3.7")
            .sends(Chops::Together, &[close_raw("").rsv(7)])
            .breaking(&[Rule::ReservedBits])
            .answered(&[close(1002)]),
    ]
}

/// Number, opcode, payload, and how the frames are chopped.
const ALONE: [(&str, u8, &str); 4] = [
    ("4.1.1", 3, ""),
    ("4.1.2", 4, "reserved opcode payload"),
    ("4.2.1", 11, ""),
    ("4.2.2", 12, "reserved opcode payload"),
];
const AFTER_HELLO: [(&str, u8, &str, Chops); 6] = [
    ("4.1.3", 5, "", Chops::Together),
    ("4.1.4", 6, HELLO, Chops::Together),
    ("4.1.5", 7, HELLO, Chops::Of(1)),
    ("4.2.3", 13, "", Chops::Together),
    ("4.2.4", 14, HELLO, Chops::Together),
    ("4.2.5", 15, HELLO, Chops::Of(1)),
];

/// Nothing is shown of a frame that nobody knows the meaning of.
pub(crate) fn opcodes() -> Vec<Case> {
    let alone = ALONE.map(|(id, reserved, payload)| {
        Case::new(id)
            .plays(Chops::Together, &[opcode(reserved, payload)])
            .failed(1002, &[Rule::ReservedOpcode])
    });
    let after_hello = AFTER_HELLO.map(|(id, reserved, payload, chops)| {
        Case::new(id)
            .plays(chops, &[text(HELLO), opcode(reserved, payload), ping("")])
            .saying([text(HELLO).item(), ping("").item()])
            .answered(&[text(HELLO)])
            .failed(1002, &[Rule::ReservedOpcode])
    });
    alone.into_iter().chain(after_hello).collect()
}
