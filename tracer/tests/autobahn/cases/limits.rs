//! Families 9 and 10: large messages, many fragments, many chops, many messages, and a message
//! that a library fragments by itself. Autobahn measures with these; here it is enough that all of
//! it is there, so the largest sizes are a sixteenth (9.1, 9.2) or a quarter (9.3, 9.4) of its own
//! and there are 50 messages instead of 1000 (9.7, 9.8).

use std::slice;

use super::{Case, Chops};
use crate::frame::{Frame, binary, fragments, text};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Lengths of messages (9.1 and 9.2).
const LENGTHS: [usize; 6] = [4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, 512 * KIB, MIB];
/// Lengths of the fragments of a message of 1 MiB (9.3 and 9.4).
const FRAGMENTS: [usize; 9] = [16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB];
/// Lengths of the chops of a message of 1 MiB (9.5 and 9.6).
const CHOPS: [usize; 6] = [64, 128, 256, 512, KIB, 2 * KIB];
/// Lengths of 50 messages (9.7 and 9.8).
const REPEATED: [usize; 6] = [0, 16, 64, 256, KIB, 4 * KIB];

/// The two kinds of messages, and what their payloads repeat.
type Kind = (fn(Vec<u8>) -> Frame, &'static [u8]);
const TEXT: Kind = (text, b"BAsd7&jh23");
const BINARY: Kind = (binary, b"\x00\xfe\x23\xfa\xf0");

fn message((make, pattern): Kind, len: usize) -> Frame {
    make(pattern.iter().copied().cycle().take(len).collect())
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (odd, kind) in [TEXT, BINARY].into_iter().enumerate() {
        let id = |group: usize, n: usize| format!("9.{}.{}", group + odd, n + 1);
        for (n, len) in LENGTHS.into_iter().enumerate() {
            cases.push(echoed(id(1, n), &message(kind, len), Chops::Together));
        }
        for (n, size) in FRAGMENTS.into_iter().enumerate() {
            cases.push(fragmented(id(3, n), message(kind, MIB), size));
        }
        for (n, size) in CHOPS.into_iter().enumerate() {
            cases.push(echoed(id(5, n), &message(kind, MIB), Chops::Of(size)));
        }
        for (n, len) in REPEATED.into_iter().enumerate() {
            cases.push(repeated(id(7, n), &message(kind, len)));
        }
    }
    cases
}

/// Family 10 is one case.
pub(crate) fn auto_fragmentation() -> Vec<Case> {
    vec![fragmented("10.1.1".to_owned(), text(vec![b'*'; 65_536]), 1300)]
}

fn echoed(id: String, message: &Frame, chops: Chops) -> Case {
    let message = slice::from_ref(message);
    Case::new(id).sends(chops, message).answered(message).closed()
}

fn fragmented(id: String, message: Frame, size: usize) -> Case {
    Case::new(id)
        .plays(Chops::Together, &fragments(&message, size))
        .saying([message.item()])
        .answered(&[message])
        .closed()
}

fn repeated(id: String, message: &Frame) -> Case {
    let message = slice::from_ref(message);
    let once = |case: Case, _| case.sends(Chops::Together, message).answered(message);
    (0..50).fold(Case::new(id), once).closed()
}
