//! Family 1: messages whose lengths lie around the borders of the three length forms.

use super::{Case, Chops};
use crate::frame::{binary, text};

/// Payload length and how it is chopped.
const SIZES: [(usize, Chops); 8] = [
    (0, Chops::Together),
    (125, Chops::Together),
    (126, Chops::Together),
    (127, Chops::Together),
    (128, Chops::Together),
    (65_535, Chops::Together),
    (65_536, Chops::Together),
    (65_536, Chops::Of(997)),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, (len, chops)) in (1..).zip(SIZES) {
        let messages = [text(vec![b'*'; len]), binary(vec![0xfe; len])];
        for (group, message) in (1..).zip(messages) {
            let case = Case::new(format!("1.{group}.{n}"));
            let message = &[message];
            cases.push(case.sends(chops, message).answered(message).closed());
        }
    }
    cases
}
