//! What tells one connection from another.

use std::hash::{Hash, Hasher};

use crate::segment::{Endpoint, Segment};

/// A connection's two endpoints, in an order that does not depend on who sends.
#[derive(Clone, Copy, Debug)]
pub struct FlowKey {
    pub(super) ends: [Endpoint; 2],
}

/// An end of a flow: an index into `FlowKey::ends`.
pub(super) type End = usize;

impl Eq for FlowKey {}

/// Compared as numbers: derived, it would be a call for each address.
impl PartialEq for FlowKey {
    fn eq(&self, other: &Self) -> bool {
        let [a, b] = self.ends.map(number);
        let [other_a, other_b] = other.ends.map(number);
        a == other_a && b == other_b
    }
}

/// An endpoint's address and port, which order endpoints.
fn number(Endpoint { address, port }: Endpoint) -> (u128, u16) {
    (u128::from_ne_bytes(address), port)
}

/// In three numbers: derived, it would be thirty-eight bytes one by one, for every segment.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [one, other] = self.ends;
        state.write_u128(u128::from_ne_bytes(one.address));
        state.write_u128(u128::from_ne_bytes(other.address));
        state.write_u32(u32::from(one.port) << 16 | u32::from(other.port));
    }
}

impl FlowKey {
    /// The flow of a segment, and which end sent it.
    pub(super) fn of(segment: &Segment<'_>) -> (Self, End) {
        let (source, destination) = (segment.source, segment.destination);
        if number(source) <= number(destination) {
            (Self { ends: [source, destination] }, 0)
        } else {
            (Self { ends: [destination, source] }, 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_one_flow() {
        let a = Endpoint { address: [1; 16], port: 9 };
        let b = Endpoint { address: [1; 16], port: 7272 };
        let segment = |source, destination| Segment {
            time: 0,
            interface: 0,
            source,
            destination,
            seq: 0,
            ack: 0,
            window: 0,
            flags: 0,
            options: &[],
            payload_len: 0,
            offset: 0,
            payload: &[],
            more: false,
            left_out: 0,
            elided: 0,
            frame_at: None,
        };
        let (there, from) = FlowKey::of(&segment(a, b));
        let (back, to) = FlowKey::of(&segment(b, a));
        assert_eq!(there, back);
        assert_eq!((there.ends[from], there.ends[to]), (a, b));
    }
}
