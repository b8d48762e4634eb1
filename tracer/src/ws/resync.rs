//! Finds a frame header in the middle of a stream: after a gap, or on joining late.
//!
//! A header has little that tells it from any other bytes, so evidence is added up, in bits: how
//! unlikely it is that bytes which are no headers pass for them. A chain of headers, each where the
//! one before says, a length form with its zeroes, masked text that comes out as UTF-8, frames that
//! end where a segment ends. Segment starts need less evidence: most senders write whole frames.

use std::cmp::min;

use super::{
    frame::{Header, MAX_CONTROL_LEN, Opcode},
    mask,
    receiver::Sender,
    utf8::Validator,
};

/// Evidence wanted at the start of a segment.
const ENOUGH_AT_SEGMENT: f32 = 20.0;
/// Evidence wanted anywhere else: a quarter of a million places are tried.
const ENOUGH_ANYWHERE: f32 = 20.0 + 18.0;
/// Bytes kept while searching; older ones go first.
const MAX_BYTES: usize = 256 * 1024;
/// Segment borders kept: frames that end on one are more likely frames.
const MAX_BORDERS: usize = 256;
/// Segment starts that are tried again and again.
const MAX_CANDIDATES: usize = 64;
/// From how many bytes on every place is tried, and again whenever they have doubled.
const FIRST_SCAN: usize = 512;
/// A frame found by searching is not longer: a wrong lock ends within bounds.
const MAX_UNPROVEN_LEN: u64 = 64 << 20;
/// Payload bytes looked at as evidence.
const PAYLOAD_SAMPLE: usize = 256;

/// Looks for a header among the bytes that come.
pub struct Search {
    sender: Sender,
    may_compress: bool,
    bytes: Vec<u8>,
    /// Where segments began, ascending; the end of one is the start of the next.
    borders: Vec<usize>,
    /// Those of them that may still turn out to be headers.
    candidates: Vec<usize>,
    next_scan: usize,
    /// Bytes dropped from the front.
    dropped: u64,
}

/// A header was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Lock {
    /// Bytes passed over before it, since the search began.
    pub skipped: u64,
    /// The bytes from the header on.
    pub bytes: Vec<u8>,
}

impl Search {
    /// Searches in what one side sends.
    pub fn new(sender: Sender, may_compress: bool) -> Self {
        Self {
            sender,
            may_compress,
            bytes: Vec::new(),
            borders: Vec::new(),
            candidates: Vec::new(),
            next_scan: FIRST_SCAN,
            dropped: 0,
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes searched so far, in vain.
    pub fn searched(&self) -> u64 {
        self.dropped + self.bytes.len() as u64
    }

    /// A gap: what came before cannot be chained to what comes after.
    pub fn gap(&mut self) {
        self.dropped += self.bytes.len() as u64;
        self.bytes.clear();
        self.borders.clear();
        self.candidates.clear();
        self.next_scan = FIRST_SCAN;
    }

    /// Takes the bytes of one segment.
    pub fn segment(&mut self, bytes: &[u8]) -> Option<Lock> {
        self.make_room(bytes.len());
        self.borders.push(self.bytes.len());
        self.candidates.push(self.bytes.len());
        self.bytes.extend_from_slice(bytes);
        let found = self.try_candidates().or_else(|| self.try_everywhere())?;
        let bytes = self.bytes.split_off(found);
        Some(Lock { skipped: self.dropped + found as u64, bytes })
    }

    fn make_room(&mut self, needed: usize) {
        if self.borders.len() >= MAX_BORDERS {
            self.borders.drain(..MAX_BORDERS / 2);
        }
        if self.candidates.len() >= MAX_CANDIDATES {
            self.candidates.drain(..MAX_CANDIDATES / 2);
        }
        if self.bytes.len() + needed > MAX_BYTES {
            let surplus = min(self.bytes.len(), needed.max(MAX_BYTES / 2));
            self.bytes.drain(..surplus);
            self.dropped += surplus as u64;
            for places in [&mut self.borders, &mut self.candidates] {
                places.retain(|&place| place >= surplus);
                places.iter_mut().for_each(|place| *place -= surplus);
            }
            self.next_scan = FIRST_SCAN.max(self.bytes.len());
        }
    }

    fn try_candidates(&mut self) -> Option<usize> {
        let mut candidates = std::mem::take(&mut self.candidates);
        let mut found = None;
        candidates.retain(|&at| {
            let verdict = if found.is_none() { self.judge(at, true) } else { Verdict::Rejected };
            if verdict == Verdict::Found {
                found = Some(at);
            }
            verdict == Verdict::Pending
        });
        self.candidates = candidates;
        found
    }

    fn try_everywhere(&mut self) -> Option<usize> {
        if self.bytes.len() < self.next_scan {
            return None;
        }
        self.next_scan = self.bytes.len() * 2;
        (0..self.bytes.len()).find(|&at| self.judge(at, false) == Verdict::Found)
    }

    /// Whether a chain of frames begins at `start`.
    fn judge(&self, start: usize, is_segment_start: bool) -> Verdict {
        let enough = if is_segment_start { ENOUGH_AT_SEGMENT } else { ENOUGH_ANYWHERE };
        let mut evidence = 0.0;
        let mut at = start;
        let mut in_message = None;
        while let Some(header) = self.bytes.get(at..).and_then(Header::parse) {
            if !is_legal(&header, self.sender, self.may_compress)
                || !is_in_order(&header, &mut in_message)
            {
                return Verdict::Rejected;
            }
            let payload = &self.bytes[at + usize::from(header.header_len)..];
            let Some(bits) = evidence_of(&header, payload, is_segment_start && at == start) else {
                return Verdict::Rejected;
            };
            evidence += bits;
            let end = frame_end(at, &header);
            if end.is_some_and(|end| self.is_border(end)) {
                evidence += 8.0;
            }
            if evidence >= enough {
                return Verdict::Found;
            }
            let Some(end) = end else { break };
            at = end;
        }
        Verdict::Pending
    }

    fn is_border(&self, at: usize) -> bool {
        at == self.bytes.len() || self.borders.binary_search(&at).is_ok()
    }
}

/// What can be said of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// A header.
    Found,
    /// Not enough bytes to tell.
    Pending,
    /// No header, whatever comes.
    Rejected,
}

fn frame_end(at: usize, header: &Header) -> Option<usize> {
    at.checked_add(usize::from(header.header_len))?.checked_add(usize::try_from(header.len).ok()?)
}

/// Whether a sender that keeps the rules could have written this header.
pub fn is_legal(header: &Header, sender: Sender, may_compress: bool) -> bool {
    let begins_message = matches!(header.opcode, Opcode::TEXT | Opcode::BINARY);
    let rsv_allowed = if may_compress && begins_message { Header::RSV1 } else { 0 };
    header.mask.is_some() == (sender == Sender::Client)
        && !header.opcode.is_reserved()
        && header.rsv & !rsv_allowed == 0
        && header.is_shortest_form()
        && header.len <= MAX_UNPROVEN_LEN
        && (!header.opcode.is_control() || (header.fin && header.len <= MAX_CONTROL_LEN))
}

/// Whether a data frame fits to the ones before it; `in_message` is `None` until one was seen.
fn is_in_order(header: &Header, in_message: &mut Option<bool>) -> bool {
    if header.opcode.is_control() {
        return true;
    }
    let continues = header.opcode == Opcode::CONTINUATION;
    let fits = in_message.is_none_or(|in_message| in_message == continues);
    *in_message = Some(!header.fin);
    fits
}

/// The evidence of one header and the payload behind it, in bits; `None` when the payload tells
/// against it.
fn evidence_of(header: &Header, payload: &[u8], at_segment_start: bool) -> Option<f32> {
    // 9 to 13 of 256 first bytes are legal, half of all second bytes.
    let mut bits = 4.5 + 1.0;
    if header.len > 0xffff {
        // 38 bits are zero, or `is_legal` had refused it; zeroes are common, so not all count.
        bits += 24.0;
    }
    if header.opcode == Opcode::TEXT && header.rsv == 0 {
        bits += text_evidence(header, payload, at_segment_start)?;
    }
    Some(bits)
}

fn text_evidence(header: &Header, payload: &[u8], at_segment_start: bool) -> Option<f32> {
    let len = min(payload.len(), usize::try_from(header.len).unwrap_or(usize::MAX));
    let mut sample = payload[..min(len, PAYLOAD_SAMPLE)].to_vec();
    if let Some(key) = header.mask {
        mask::unmask(&mut sample, key, 0);
    }
    let mut utf8 = Validator::default();
    utf8.feed(&sample);
    let is_whole = header.fin && sample.len() as u64 == header.len;
    if !utf8.is_plausible() || (is_whole && !utf8.is_valid()) || sample.contains(&0) {
        return None;
    }
    let bytes = min(sample.len(), 24) as f32;
    // About half of all random bytes break UTF-8. Bytes that are not masked may be the inside of a
    // text, and prove little.
    Some(match (header.mask, at_segment_start) {
        (Some(_), _) => bytes,
        (None, true) => bytes / 3.0,
        (None, false) => 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        test_random::Random,
        ws::test_frames::{frame, masked, plain},
    };

    fn search(sender: Sender, segments: &[&[u8]]) -> Option<Lock> {
        let mut search = Search::new(sender, false);
        segments.iter().find_map(|segment| search.segment(segment))
    }

    #[test]
    fn a_text_that_fills_a_segment_is_enough() {
        let server = plain(0x81, br#"{"type":"login","uid":783700053,"name":"mynick"}"#);
        let lock = search(Sender::Server, &[&server]);
        assert_eq!(lock, Some(Lock { skipped: 0, bytes: server }));
        let client = masked(0x81, b"hola a todos");
        assert_eq!(search(Sender::Client, &[&client]).unwrap().skipped, 0);
    }

    #[test]
    fn small_binary_frames_are_enough_when_two_follow_each_other() {
        let frames = [plain(0x82, b"\x00\x01"), plain(0x82, b"\x02")];
        assert_eq!(search(Sender::Server, &[&frames[0]]), None);
        let lock = search(Sender::Server, &[&frames[0], &frames[1]]).unwrap();
        assert_eq!((lock.skipped, lock.bytes), (0, frames.concat()));
    }

    #[test]
    fn the_rest_of_a_cut_frame_is_passed_over() {
        let mut random = Random::new(8);
        let rest = random.bytes(1000);
        let text = masked(0x81, "la conversación sigue".as_bytes());
        let lock = search(Sender::Client, &[&rest, &text]).unwrap();
        assert_eq!((lock.skipped, lock.bytes), (1000, text));
    }

    #[test]
    fn frames_that_begin_inside_segments_are_found_in_a_chain() {
        let mut random = Random::new(9);
        let mut bytes = random.bytes(700);
        for i in 0..200 {
            bytes.extend(masked(0x81, format!("message number {i} of many").as_bytes()));
        }
        let lock = search(Sender::Client, &[&bytes]).unwrap();
        assert_eq!(lock.skipped, 700);
    }

    #[test]
    fn random_bytes_are_no_frames() {
        let mut random = Random::new(10);
        let mut wrong = 0;
        for i in 0..300 {
            let sender = if i % 2 == 0 { Sender::Client } else { Sender::Server };
            let mut search = Search::new(sender, true);
            for _ in 0..20 {
                let len = 1 + random.below(1400) as usize;
                wrong += usize::from(search.segment(&random.bytes(len)).is_some());
            }
        }
        assert!(wrong <= 1, "{wrong} wrong locks in 300 streams of 14 KB");
    }

    #[test]
    fn memory_is_bounded() {
        let mut search = Search::new(Sender::Server, true);
        for _ in 0..5000 {
            assert_eq!(search.segment(&[0xff; 1400]), None);
        }
        assert!(search.memory() <= 2 * MAX_BYTES);
        assert_eq!(search.searched(), 5000 * 1400);
    }

    #[test]
    fn many_small_segments_are_no_burden() {
        let mut search = Search::new(Sender::Client, true);
        // Legal headers, each with a payload that never comes.
        let header = &frame(0x82, Some([1, 2, 3, 4]), &[0; 60_000])[..8];
        for _ in 0..20_000 {
            search.segment(header);
        }
        assert!(search.memory() <= 2 * MAX_BYTES);
    }
}
