//! One direction of a connection: segments go in as they come, bytes come out once and in order.
//!
//! Invariants, checked by the model test below:
//! - what was delivered (data and gaps together) covers `0..next` without holes or overlap;
//! - every waiting chunk begins after `next`, and chunks do not touch each other's bytes;
//! - the first copy of a byte wins.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{recent::Recent, seq};

/// Further away than any window in use, a segment is not this stream's: a forged one, or the reader
/// has missed so much that it lost its place.
pub const MAX_DISTANCE: u32 = 16 << 20;
/// So many such segments in a row, and the stream is taken up where they are.
const STRAY_SEGMENTS: u8 = 8;
/// What a waiting chunk costs beyond its bytes.
const CHUNK_OVERHEAD: usize = 128;

/// What comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes of the stream.
    Data(&'a [u8]),
    /// This many bytes are missing.
    Gap(u64, Cause),
}

/// Why bytes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// They were on the wire, or must have been, and were not captured.
    Lost,
    /// The capture was told to keep only the beginning of each segment.
    Snaplen,
    /// The capture was told what is not shown, and left it out.
    Elided,
}

/// What a segment brought that is worth telling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Payload bytes that had been seen before.
    pub repeated: usize,
    /// Some of those differ from the copy that was kept.
    pub conflict: bool,
}

/// A segment that came before its turn.
#[derive(Debug)]
struct Chunk {
    data: Bytes,
    /// Bytes after `data` that were not captured.
    absent: u32,
    why: Cause,
}

impl Chunk {
    fn end(&self, start: u64) -> u64 {
        start + self.data.len() as u64 + u64::from(self.absent)
    }
}

/// A stretch of the stream: captured bytes, then bytes of which only the number is known.
#[derive(Clone, Copy)]
struct Span<'a> {
    data: &'a [u8],
    absent: u32,
    why: Cause,
}

impl Span<'_> {
    fn len(&self) -> u64 {
        self.data.len() as u64 + u64::from(self.absent)
    }

    /// The first `bytes` bytes, or all, and the rest.
    fn split(self, bytes: u64) -> (Self, Self) {
        let captured = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.data.len());
        let (front, back) = self.data.split_at(captured);
        let absent = u32::try_from(bytes - captured as u64).unwrap_or(u32::MAX).min(self.absent);
        let Self { why, .. } = self;
        (Self { data: front, absent, why }, Self { data: back, absent: self.absent - absent, why })
    }
}

/// The chunks that wait, by their offset.
#[derive(Debug, Default)]
struct Waiting {
    chunks: BTreeMap<u64, Chunk>,
    /// Of payload, in all of them.
    bytes: usize,
}

/// Reassembles one direction.
#[derive(Debug, Default)]
pub struct Assembler {
    /// Sequence number of the byte at `next`; `None` until the first segment.
    next_seq: Option<u32>,
    /// Bytes delivered or given up so far.
    next: u64,
    /// Most connections never have a hole. `None`: this one had none.
    waiting: Option<Box<Waiting>>,
    recent: Recent,
    strays: u8,
}

impl Assembler {
    /// Says where the stream begins: `seq` is the sequence number of its first byte. Ignored once
    /// that is known.
    pub fn anchor(&mut self, seq: u32) {
        self.next_seq.get_or_insert(seq);
    }

    /// Bytes delivered or given up so far: the offset in the stream of the next byte to come.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Sequence number of the next byte to come.
    pub fn next_seq(&self) -> Option<u32> {
        self.next_seq
    }

    /// Payload bytes that wait for earlier ones.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// Bytes of memory that waiting takes.
    pub fn memory(&self) -> usize {
        let memory = |waiting: &Waiting| waiting.bytes + waiting.chunks.len() * CHUNK_OVERHEAD;
        self.waiting.as_deref().map_or(0, memory)
    }

    /// Whether later segments wait for a missing one.
    pub fn has_hole(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| !waiting.chunks.is_empty())
    }

    /// Where the first waiting chunk begins.
    fn first_waiting(&self) -> Option<u64> {
        self.waiting.as_ref()?.chunks.first_key_value().map(|(&start, _)| start)
    }

    /// Offset in the stream of the byte with this sequence number; negative before the beginning.
    fn offset_of(&self, seq: u32) -> i64 {
        let next_seq = self.next_seq.unwrap_or(seq);
        self.next.cast_signed() + i64::from(seq::distance(next_seq, seq))
    }

    /// Takes a segment's payload, the `snapped` bytes after it that were snapped off, and gives out
    /// whatever is in order now.
    pub fn segment(
        &mut self,
        seq: u32,
        payload: &[u8],
        snapped: u32,
        out: &mut dyn FnMut(Piece<'_>),
    ) -> Outcome {
        self.span(seq, Span { data: payload, absent: snapped, why: Cause::Snaplen }, out)
    }

    /// The same of a segment of which `elided` bytes were left out.
    pub fn elided(
        &mut self,
        seq: u32,
        payload: &[u8],
        elided: u32,
        out: &mut dyn FnMut(Piece<'_>),
    ) -> Outcome {
        self.span(seq, Span { data: payload, absent: elided, why: Cause::Elided }, out)
    }

    fn span(&mut self, seq: u32, span: Span<'_>, out: &mut dyn FnMut(Piece<'_>)) -> Outcome {
        self.anchor(seq);
        if span.len() == 0 {
            return Outcome::default();
        }
        // Mostly it is the next one, and nothing waits.
        if self.next_seq == Some(seq) && !self.has_hole() {
            self.strays = 0;
            self.deliver(span, out);
            return Outcome::default();
        }
        if self.is_stray(seq) {
            if self.strays < STRAY_SEGMENTS {
                return Outcome::default();
            }
            self.take_up_at(seq, out);
        }
        let ahead = self.offset_of(seq) - self.next.cast_signed();
        let (old, new) = span.split(ahead.min(0).unsigned_abs());
        let start = self.next + ahead.max(0).unsigned_abs();
        let mut outcome = Outcome { repeated: old.data.len(), conflict: false };
        // A keep-alive may repeat the last byte with any content (RFC 9293 section 3.8.4).
        let is_keep_alive = ahead == -1 && old.data.len() == 1 && new.len() == 0;
        if let Some(offset) = self.next.checked_add_signed(ahead)
            && !old.data.is_empty()
            && !is_keep_alive
        {
            outcome.conflict = self.recent.contradicts(offset, old.data);
        }
        if start == self.next && !self.has_hole() {
            self.deliver(new, out);
        } else {
            self.insert(start, new, &mut outcome);
            self.deliver_waiting(out);
        }
        outcome
    }

    /// Whether a segment is too far away; counts them.
    fn is_stray(&mut self, seq: u32) -> bool {
        let distance = self.offset_of(seq) - self.next.cast_signed();
        let is_stray = distance.unsigned_abs() > u64::from(MAX_DISTANCE);
        self.strays = if is_stray { self.strays.saturating_add(1) } else { 0 };
        is_stray
    }

    /// Goes on at `seq`, however far that is: what lies between is gone.
    fn take_up_at(&mut self, seq: u32, out: &mut dyn FnMut(Piece<'_>)) {
        self.strays = 0;
        self.give_up(out);
        let missing = self.next_seq.map_or(0, |next| seq.wrapping_sub(next));
        self.skip(u64::from(missing), Cause::Lost, out);
    }

    fn deliver(&mut self, span: Span<'_>, out: &mut dyn FnMut(Piece<'_>)) {
        let Span { data, absent, why } = span;
        if !data.is_empty() {
            self.recent.remember(self.next, data);
            self.advance(data.len() as u64);
            out(Piece::Data(data));
        }
        self.skip(u64::from(absent), why, out);
    }

    fn skip(&mut self, bytes: u64, cause: Cause, out: &mut dyn FnMut(Piece<'_>)) {
        if bytes > 0 {
            self.advance(bytes);
            out(Piece::Gap(bytes, cause));
        }
    }

    fn advance(&mut self, bytes: u64) {
        self.next += bytes;
        // Wraps as sequence numbers do.
        self.next_seq = self.next_seq.map(|seq| seq.wrapping_add(bytes as u32));
    }

    /// Keeps what is new of a segment that cannot be delivered yet.
    fn insert(&mut self, mut start: u64, mut span: Span<'_>, outcome: &mut Outcome) {
        while span.len() > 0 {
            let Some((kept_start, kept_end)) = self.first_overlap(start, start + span.len()) else {
                self.keep(start, span);
                return;
            };
            let (before, overlapping) = span.split(kept_start.saturating_sub(start));
            self.keep(start, before);
            start = start.max(kept_start);
            let (repeated, after) = overlapping.split(kept_end - start);
            self.compare(kept_start, start, repeated.data, outcome);
            start = kept_end;
            span = after;
        }
    }

    /// Compares `repeated`, which begins at `start`, with the kept chunk that covers it.
    fn compare(&self, kept_start: u64, start: u64, repeated: &[u8], outcome: &mut Outcome) {
        let kept = self.waiting.as_ref().and_then(|waiting| waiting.chunks.get(&kept_start));
        let kept = kept.map_or(&[][..], |chunk| &chunk.data);
        let skipped = usize::try_from(start - kept_start).unwrap_or(usize::MAX);
        let kept = kept.get(skipped..).unwrap_or_default();
        let shared = kept.len().min(repeated.len());
        outcome.repeated += shared;
        outcome.conflict |= kept[..shared] != repeated[..shared];
    }

    /// The first waiting chunk that shares bytes with `start..end`.
    fn first_overlap(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let chunks = &self.waiting.as_ref()?.chunks;
        let before = chunks.range(..=start).next_back();
        let after = chunks.range(start..end).next();
        before
            .into_iter()
            .chain(after)
            .map(|(&kept_start, chunk)| (kept_start, chunk.end(kept_start)))
            .find(|&(kept_start, kept_end)| kept_start < end && kept_end > start)
    }

    fn keep(&mut self, start: u64, span: Span<'_>) {
        if span.len() > 0 {
            let waiting = self.waiting.get_or_insert_default();
            waiting.bytes += span.data.len();
            let data = Bytes::copy_from_slice(span.data);
            waiting.chunks.insert(start, Chunk { data, absent: span.absent, why: span.why });
        }
    }

    /// Gives out the waiting chunks whose turn it is.
    fn deliver_waiting(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        while let Some(waiting) = &mut self.waiting
            && let Some(entry) = waiting.chunks.first_entry()
            && *entry.key() <= self.next
        {
            let (start, chunk) = entry.remove_entry();
            waiting.bytes -= chunk.data.len();
            debug_assert!(start == self.next, "chunks never hold bytes that were delivered");
            let Chunk { data, absent, why } = &chunk;
            self.deliver(Span { data, absent: *absent, why: *why }, out);
        }
    }

    /// Gives up the first hole: a gap, then what waited behind it. Nothing happens without a hole.
    pub fn skip_hole(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        if let Some(start) = self.first_waiting() {
            self.skip(start - self.next, Cause::Lost, out);
            self.deliver_waiting(out);
        }
    }

    /// Gives up every hole, at the end of the stream.
    pub fn give_up(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        while self.has_hole() {
            self.skip_hole(out);
        }
    }

    /// Gives up every hole, and whatever is missing before `end`, where the stream ends.
    pub fn give_up_until(&mut self, end: u64, out: &mut dyn FnMut(Piece<'_>)) {
        self.give_up(out);
        self.skip(end.saturating_sub(self.next), Cause::Lost, out);
    }

    /// The other side has acknowledged everything before `ack`: a hole before it is for good, the
    /// receiver had the bytes and nobody will send them again.
    pub fn acknowledged(&mut self, ack: u32, out: &mut dyn FnMut(Piece<'_>)) {
        let acked = self.offset_of(ack).max(0).unsigned_abs();
        while acked > self.next
            && let Some(start) = self.first_waiting()
        {
            self.skip(start.min(acked) - self.next, Cause::Lost, out);
            self.deliver_waiting(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came out, as a readable list: bytes as text, gaps as `<n>`.
    #[derive(Default)]
    struct Out(String);

    impl Out {
        fn push(&mut self, piece: Piece<'_>) {
            match piece {
                Piece::Data(data) => self.0.push_str(std::str::from_utf8(data).unwrap()),
                Piece::Gap(n, Cause::Lost) => self.0.push_str(&format!("<{n}>")),
                Piece::Gap(n, Cause::Snaplen) => self.0.push_str(&format!("<snap {n}>")),
                Piece::Gap(n, Cause::Elided) => self.0.push_str(&format!("<elided {n}>")),
            }
        }
    }

    fn feed(assembler: &mut Assembler, out: &mut Out, seq: u32, payload: &str) -> Outcome {
        assembler.segment(seq, payload.as_bytes(), 0, &mut |piece| out.push(piece))
    }

    fn run(start: u32, segments: &[(u32, &str)]) -> (String, Assembler) {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(start);
        for &(offset, payload) in segments {
            feed(&mut assembler, &mut out, start.wrapping_add(offset), payload);
        }
        (out.0, assembler)
    }

    #[test]
    fn in_order_segments_come_straight_through() {
        assert_eq!(run(7, &[(0, "ab"), (2, "c"), (3, "de")]).0, "abcde");
    }

    #[test]
    fn reordered_segments_wait_for_their_turn() {
        assert_eq!(run(7, &[(3, "de"), (2, "c"), (0, "ab")]).0, "abcde");
    }

    #[test]
    fn retransmissions_and_overlaps_add_only_what_is_new() {
        assert_eq!(run(7, &[(0, "ab"), (0, "ab"), (0, "abcd"), (3, "def")]).0, "abcdef");
        assert_eq!(run(7, &[(4, "e"), (2, "cdef"), (6, "g"), (0, "abc")]).0, "abcdefg");
        assert_eq!(run(7, &[(2, "c"), (4, "e"), (1, "bcdefg"), (0, "a")]).0, "abcdefg");
    }

    #[test]
    fn sequence_numbers_wrap_around() {
        assert_eq!(run(u32::MAX - 1, &[(3, "de"), (0, "abc"), (5, "f")]).0, "abcdef");
    }

    #[test]
    fn a_keep_alive_is_neither_data_nor_gap() {
        let (out, assembler) = run(7, &[(0, "ab"), (1, "X"), (1, "")]);
        assert_eq!(out, "ab");
        assert_eq!(assembler.position(), 2);
    }

    #[test]
    fn a_keep_alive_contradicts_nothing() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        feed(&mut assembler, &mut out, 0, "a");
        assert!(!feed(&mut assembler, &mut out, 0, "\0").conflict);
    }

    #[test]
    fn the_first_copy_wins_and_a_different_one_is_reported() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        feed(&mut assembler, &mut out, 2, "cd");
        assert_eq!(
            feed(&mut assembler, &mut out, 2, "cd"),
            Outcome { repeated: 2, conflict: false }
        );
        assert_eq!(
            feed(&mut assembler, &mut out, 2, "cX"),
            Outcome { repeated: 2, conflict: true }
        );
        feed(&mut assembler, &mut out, 0, "ab");
        assert_eq!(out.0, "abcd");
    }

    #[test]
    fn a_hole_is_given_up_once_acknowledged() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(10);
        feed(&mut assembler, &mut out, 13, "de");
        assembler.acknowledged(10, &mut |piece| out.push(piece));
        assert_eq!(out.0, "", "nothing beyond the hole was acknowledged");
        assembler.acknowledged(15, &mut |piece| out.push(piece));
        assert_eq!(out.0, "<3>de");
        feed(&mut assembler, &mut out, 10, "abcde");
        assert_eq!(out.0, "<3>de", "bytes that were given up do not come back");
    }

    #[test]
    fn a_partial_acknowledgment_gives_up_only_what_it_covers() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        feed(&mut assembler, &mut out, 4, "ef");
        assembler.acknowledged(2, &mut |piece| out.push(piece));
        assert_eq!(out.0, "<2>");
        feed(&mut assembler, &mut out, 2, "cd");
        assert_eq!(out.0, "<2>cdef");
    }

    #[test]
    fn a_forged_segment_far_away_changes_nothing() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        for i in 0..20 {
            feed(&mut assembler, &mut out, 0x3000_0000, "junk");
            feed(&mut assembler, &mut out, i, "a");
        }
        assert_eq!(out.0, "a".repeat(20));
        assert!(!assembler.has_hole());
    }

    #[test]
    fn many_small_chunks_are_charged_for() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        for i in 1..=1000 {
            assembler.segment(i * 2, b"", 1, &mut |piece| out.push(piece));
        }
        assert!(assembler.memory() >= 1000 * CHUNK_OVERHEAD);
    }

    #[test]
    fn snapped_bytes_are_a_gap_of_known_size() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        assembler.segment(4, b"ef", 2, &mut |piece| out.push(piece));
        assembler.segment(0, b"a", 3, &mut |piece| out.push(piece));
        assembler.segment(0, b"a", 3, &mut |piece| out.push(piece));
        feed(&mut assembler, &mut out, 8, "i");
        assert_eq!(out.0, "a<snap 3>ef<snap 2>i");
    }

    #[test]
    fn what_was_elided_waits_for_its_turn_and_takes_no_memory() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        assembler.elided(1, b"b", 1 << 20, &mut |piece| out.push(piece));
        assert_eq!((assembler.waiting_bytes(), assembler.memory()), (1, 1 + CHUNK_OVERHEAD));
        feed(&mut assembler, &mut out, 0, "a");
        assert_eq!(out.0, "ab<elided 1048576>");
        feed(&mut assembler, &mut out, 1 << 20, "xxz");
        assert_eq!(out.0, "ab<elided 1048576>z", "a copy that comes later is of no use");
    }

    #[test]
    fn a_retransmission_fills_what_the_first_copy_had_snapped_off() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        assembler.segment(2, b"c", 2, &mut |piece| out.push(piece));
        feed(&mut assembler, &mut out, 0, "abcde");
        assert_eq!(out.0, "abc<snap 2>", "the first copy wins, cut as it was");
    }

    #[test]
    fn a_stream_that_ran_away_is_taken_up_again() {
        let (mut assembler, mut out) = (Assembler::default(), Out::default());
        assembler.anchor(0);
        feed(&mut assembler, &mut out, 0, "a");
        // 3 GiB went by unseen: the distance looks negative.
        let far = 3u32 << 30;
        for i in 0..u32::from(STRAY_SEGMENTS) {
            assert_eq!(out.0, "a");
            feed(&mut assembler, &mut out, far + i, "z");
        }
        assert_eq!(out.0, format!("a<{}>z", far + u32::from(STRAY_SEGMENTS) - 2));
    }

    /// Against an assembler that keeps every byte in one array, over random segments.
    #[test]
    fn model() {
        let mut random = crate::test_random::Random::new(1);
        for _ in 0..3000 {
            let stream: Vec<u8> =
                (0..random.below(60) + 1).map(|i| b'a' + (i % 26) as u8).collect();
            let start = random.next() as u32;
            let (mut assembler, mut out) = (Assembler::default(), Vec::new());
            assembler.anchor(start);
            let mut known = vec![false; stream.len()];
            for _ in 0..random.below(30) {
                let from = random.below(stream.len() as u64) as usize;
                let to = from + random.below((stream.len() - from + 1) as u64) as usize;
                let seq = start.wrapping_add(from as u32);
                assembler.segment(seq, &stream[from..to], 0, &mut |piece| match piece {
                    Piece::Data(data) => out.extend_from_slice(data),
                    Piece::Gap(..) => panic!("nothing was given up"),
                });
                known[from..to].fill(true);
                let in_order = known.iter().take_while(|&&known| known).count();
                assert_eq!(out, &stream[..in_order]);
                let waiting = known[in_order..].iter().filter(|&&known| known).count();
                assert_eq!(assembler.waiting_bytes(), waiting);
                assert_eq!(assembler.has_hole(), waiting > 0);
            }
            let mut position = out.len();
            assembler.give_up(&mut |piece| match piece {
                Piece::Data(data) => {
                    assert_eq!(data, &stream[position..position + data.len()]);
                    assert!(known[position..position + data.len()].iter().all(|&known| known));
                    position += data.len();
                }
                Piece::Gap(n, cause) => {
                    assert_eq!(cause, Cause::Lost);
                    let n = n as usize;
                    assert!(known[position..position + n].iter().all(|&known| !known));
                    position += n;
                }
            });
            assert!(!assembler.has_hole() && assembler.waiting_bytes() == 0);
        }
    }
}
