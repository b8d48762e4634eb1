//! What of a capture is still all there after packets were taken out or cut: the whole capture,
//! the damaged one and the truth come in, those messages go out of which every byte was captured.

use std::{collections::BTreeMap, ops::Range};

use anyhow::{Context as _, Result, ensure};

use super::{
    pcap::{Capture, Packet},
    said::{CLOSE, Group, Said, Sender},
};

/// Places in the stream of one sender, the first byte after the SYN being 0.
type Place = Range<usize>;

/// The places of one message's frames.
type Places = Vec<Place>;

/// Those of `truth` whose frames, headers included, are all in `damaged`. Whether they can be
/// understood without what is missing, as where a deflate context is lost, is not asked.
pub(super) fn whole(truth: &Said, original: &Capture, damaged: &Capture) -> Result<Said> {
    let starts = starts(original);
    let places = places(&pieces(original, &starts))?;
    let captured = pieces(damaged, &starts);
    let mut said = Said::default();
    for ((sender, group), items) in &truth.0 {
        let key = (*sender, *group);
        let places = places.get(&key).map(Vec::as_slice).unwrap_or_default();
        ensure!(
            places.len() == items.len(),
            "the endpoints logged {} {group:?}, and the capture has {} ({sender:?})",
            items.len(),
            places.len()
        );
        let captured = captured.get(sender);
        let is_whole = |(places, _): &(&Places, _)| {
            captured.is_some_and(|stream| places.iter().all(|place| stream.has(place)))
        };
        let whole = places.iter().zip(items).filter(is_whole);
        whole.for_each(|(_, item)| said.push(*sender, item.clone()));
    }
    Ok(said)
}

/// The sequence number of each sender's first byte.
fn starts(capture: &Capture) -> BTreeMap<Sender, u32> {
    let segments = capture.packets.iter().filter_map(Packet::segment);
    let syns = segments.filter(|segment| segment.is_syn);
    syns.map(|segment| (segment.sender, segment.seq.wrapping_add(1))).collect()
}

/// What was captured of a stream, by place.
#[derive(Default)]
struct Stream(BTreeMap<usize, Vec<u8>>);

impl Stream {
    /// Whether every byte was captured.
    fn has(&self, place: &Place) -> bool {
        let mut next = place.start;
        for (start, piece) in &self.0 {
            if *start <= next && next < start + piece.len() {
                next = start + piece.len();
            }
        }
        next >= place.end
    }

    /// All of it up to the first gap.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (start, piece) in &self.0 {
            let known = bytes.len().checked_sub(*start);
            bytes.extend(known.and_then(|known| piece.get(known..)).unwrap_or_default());
        }
        bytes
    }
}

fn pieces(capture: &Capture, starts: &BTreeMap<Sender, u32>) -> BTreeMap<Sender, Stream> {
    let mut streams = BTreeMap::<_, Stream>::new();
    for segment in capture.packets.iter().filter_map(Packet::segment) {
        let Some(start) = starts.get(&segment.sender) else { continue };
        if !segment.is_syn && !segment.payload.is_empty() {
            let place = segment.seq.wrapping_sub(*start) as usize;
            let stream = streams.entry(segment.sender).or_default();
            let known = stream.0.entry(place).or_default();
            if known.len() < segment.payload.len() {
                *known = segment.payload.to_vec();
            }
        }
    }
    streams
}

/// Where the frames of each message and control frame lie.
fn places(streams: &BTreeMap<Sender, Stream>) -> Result<BTreeMap<(Sender, Group), Vec<Places>>> {
    let mut found = BTreeMap::<_, Vec<Places>>::new();
    for (sender, stream) in streams {
        let bytes = stream.bytes();
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let mut at = head.context("a connection without an HTTP head")? + 4;
        let mut message = Places::new();
        while let Some(frame) = Frame::at(&bytes, at) {
            let place = at..at + frame.len;
            at = place.end;
            if frame.opcode >= CLOSE {
                found.entry((*sender, Group::of(frame.opcode))).or_default().push(vec![place]);
                continue;
            }
            message.push(place);
            if frame.is_final {
                let whole = std::mem::take(&mut message);
                found.entry((*sender, Group::Messages)).or_default().push(whole);
            }
        }
        ensure!(at == bytes.len() && message.is_empty(), "frames that do not add up ({sender:?})");
    }
    Ok(found)
}

/// A frame's header (RFC 6455 section 5.2), as far as its place depends on it.
struct Frame {
    opcode: u8,
    is_final: bool,
    /// With the header.
    len: usize,
}

impl Frame {
    fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let [first, second] = *bytes.get(at..at + 2)? else { return None };
        let (len, mut header) = match second & 0x7f {
            126 => (big_endian(bytes.get(at + 2..at + 4)?), 4),
            127 => (big_endian(bytes.get(at + 2..at + 10)?), 10),
            len => (usize::from(len), 2),
        };
        if second & 0x80 != 0 {
            header += 4;
        }
        Some(Self { opcode: first & 15, is_final: first & 0x80 != 0, len: header + len })
    }
}

fn big_endian(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Sender = Sender { client: 9, is_client: true };

    fn stream(pieces: &[(usize, &[u8])]) -> Stream {
        Stream(pieces.iter().map(|(at, piece)| (*at, piece.to_vec())).collect())
    }

    #[test]
    fn a_place_is_there_when_its_pieces_touch() {
        let stream = stream(&[(0, b"abc"), (2, b"cd"), (4, b"e"), (6, b"gh")]);
        assert!(stream.has(&(1..5)) && stream.has(&(6..8)) && stream.has(&(3..3)));
        assert!(!stream.has(&(4..6)) && !stream.has(&(7..9)));
        assert_eq!(stream.bytes(), b"abcde");
    }

    #[test]
    fn frames_are_found_with_control_frames_between_fragments() {
        let bytes = b"GET /\r\n\r\n\x01\x01a\x89\x00\x80\x82\x00\x00\x00\x00bc\x82\x7e\x00\x03xyz";
        let places = places(&BTreeMap::from([(CLIENT, stream(&[(0, bytes)]))])).expect("frames");
        let messages = &places[&(CLIENT, Group::Messages)];
        assert_eq!(messages[0], [9..12, 14..22]);
        assert_eq!((messages[1][0].clone(), messages.len()), (22..29, 2));
        assert_eq!(places[&(CLIENT, Group::Pings)].concat(), vec![12..14; 1]);
    }

    #[test]
    fn half_a_frame_does_not_add_up() {
        let bytes = b"GET /\r\n\r\n\x01\x05a";
        assert!(places(&BTreeMap::from([(CLIENT, stream(&[(0, bytes)]))])).is_err());
    }
}
