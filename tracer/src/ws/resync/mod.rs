//! Finds a frame header in the middle of a stream: after a gap, or on joining late.
//!
//! A header has little that tells it from any other bytes, so evidence is added up, in bits: how
//! much likelier the bytes are as headers than by chance. A chain of headers, each where the one
//! before says, lengths of plausible size, masked text that comes out as UTF-8, frames that end
//! where a segment ends. Segment starts need less evidence: most senders write whole frames. Gaps
//! while searching are no end: their size is known, and frames go on behind them.

mod evidence;
mod stretch;

use std::cmp::min;

use self::evidence::{Background, Chain};
use self::stretch::Ahead;
pub use self::stretch::{Piece, Stretch};
use super::{
    frame::{Header, MAX_CONTROL_LEN, Opcode},
    receiver::Sender,
};

/// Evidence wanted at the start of a segment.
const ENOUGH_AT_SEGMENT: f32 = 20.0;
/// Evidence wanted anywhere else: a quarter of a million places are tried.
const ENOUGH_ANYWHERE: f32 = 20.0 + 18.0;
/// With so much against it, the start of a segment is given up. Anywhere else a place is given up
/// as soon as more tells against it than for it: the frames behind it do better without.
const HOPELESS: f32 = -8.0;
/// What the first frames of a chain must prove by themselves: a wrong one that happens to end where
/// a right one begins has the whole chain behind it.
const ENOUGH_TO_BEGIN: f32 = 10.0;
/// What it proves that a frame ends where a segment does.
const BORDER: f32 = 6.0;
/// Frames of a chain that are looked at.
const MAX_CHAIN: usize = 16;
/// Bytes kept while searching; older ones go first.
const MAX_BYTES: usize = 256 * 1024;
/// Segment starts that are tried again and again.
const MAX_CANDIDATES: usize = 16;
/// From how many bytes on every place is tried, and again whenever they have doubled.
const FIRST_SCAN: usize = 512;
/// A frame found by searching is not longer: a wrong lock ends within bounds.
const MAX_UNPROVEN_LEN: u64 = 64 << 20;

/// Looks for a header among the bytes that come.
pub struct Search {
    sender: Sender,
    may_compress: bool,
    /// With which bytes a header may begin.
    first_bytes: [bool; 256],
    stretch: Stretch,
    background: Background,
    /// Segment starts that may still turn out to be headers.
    candidates: Vec<usize>,
    next_scan: usize,
    /// Bytes dropped from the front.
    dropped: u64,
}

/// A header was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Lock {
    /// Bytes passed over before it, since the search began; gaps do not count.
    pub skipped: u64,
    /// The stream from the header on.
    pub stretch: Stretch,
}

impl Search {
    /// Searches in what one side sends.
    pub fn new(sender: Sender, may_compress: bool) -> Self {
        let mask_bit = if sender == Sender::Client { 0x80 } else { 0 };
        let may_begin = |first| {
            let header = Header::parse(&[first, mask_bit, 0, 0, 0, 0]);
            header.is_some_and(|header| is_legal(&header, sender, may_compress))
        };
        Self {
            sender,
            may_compress,
            first_bytes: std::array::from_fn(|first| may_begin(first as u8)),
            stretch: Stretch::default(),
            background: Background::new(),
            candidates: Vec::new(),
            next_scan: FIRST_SCAN,
            dropped: 0,
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.stretch.memory() + self.candidates.capacity() * size_of::<usize>()
    }

    /// Bytes searched so far, in vain.
    pub fn searched(&self) -> u64 {
        self.dropped + self.stretch.len() as u64
    }

    /// Takes the news that the next bytes are missing.
    pub fn gap(&mut self, bytes: u64) {
        let surplus = self.stretch.miss(bytes);
        self.drop_front(surplus);
    }

    /// Takes the bytes of one segment.
    pub fn segment(&mut self, bytes: &[u8]) -> Option<Lock> {
        self.make_room(bytes.len());
        self.background.add(bytes);
        self.candidates.push(self.stretch.len());
        self.stretch.push(bytes);
        let scan = self.stretch.len() >= self.next_scan;
        let found = self.try_candidates().or_else(|| scan.then(|| self.try_everywhere())?)?;
        Some(self.lock(found))
    }

    /// Searches in a stretch that is left of an earlier search. Nothing was taken before.
    pub fn again(&mut self, stretch: Stretch) -> Option<Lock> {
        for (_, piece) in stretch.pieces() {
            if let Piece::Data(bytes) = piece {
                self.background.add(bytes);
            }
        }
        self.candidates = stretch.borders().to_vec();
        self.stretch = stretch;
        let found = self.try_candidates().or_else(|| self.try_everywhere())?;
        Some(self.lock(found))
    }

    /// Nothing more comes: tries every place once more.
    pub fn finish(&mut self) -> Option<Lock> {
        let found = self.try_everywhere()?;
        Some(self.lock(found))
    }

    fn lock(&mut self, at: usize) -> Lock {
        let stretch = self.stretch.split_off(at);
        Lock { skipped: self.dropped + at as u64, stretch }
    }

    fn make_room(&mut self, needed: usize) {
        if self.candidates.len() >= MAX_CANDIDATES {
            self.candidates.drain(..MAX_CANDIDATES / 2);
        }
        if self.stretch.len() + needed > MAX_BYTES {
            self.drop_front(min(self.stretch.len(), needed.max(MAX_BYTES / 2)));
        }
    }

    fn drop_front(&mut self, bytes: usize) {
        if bytes > 0 {
            self.stretch.drop_front(bytes);
            self.dropped += bytes as u64;
            self.candidates.retain(|&place| place >= bytes);
            self.candidates.iter_mut().for_each(|place| *place -= bytes);
            self.next_scan = FIRST_SCAN.max(self.stretch.len());
        }
    }

    fn try_candidates(&mut self) -> Option<usize> {
        let mut candidates = std::mem::take(&mut self.candidates);
        let mut found = None;
        candidates.retain(|&at| self.try_place(at, true, &mut found) == Verdict::Pending);
        self.candidates = candidates;
        found
    }

    fn try_everywhere(&mut self) -> Option<usize> {
        self.next_scan = self.stretch.len() * 2;
        let mut found = None;
        for at in self.stretch.places(&self.first_bytes) {
            if found.is_some_and(|found| at >= found) {
                break;
            }
            self.try_place(at, false, &mut found);
        }
        found
    }

    /// Tries a place before what was found so far: a wrong first frame may have led into the middle
    /// of a chain whose beginning is a better find.
    fn try_place(&self, at: usize, is_segment_start: bool, found: &mut Option<usize>) -> Verdict {
        if found.is_some_and(|found| at >= found) {
            return Verdict::Rejected;
        }
        let verdict = self.judge(at, is_segment_start);
        if let Verdict::Found(begin) = verdict {
            *found = Some(found.map_or(begin, |found| min(found, begin)));
        }
        verdict
    }

    /// Whether a chain of frames begins at `start`.
    fn judge(&self, start: usize, is_segment_start: bool) -> Verdict {
        let (enough, hopeless) =
            if is_segment_start { (ENOUGH_AT_SEGMENT, HOPELESS) } else { (ENOUGH_ANYWHERE, 0.0) };
        let mut chain = Chain::default();
        let (mut at, mut evidence, mut begin) = (start, 0.0, None);
        let mut verdict = Verdict::Pending;
        for frames in 1..=MAX_CHAIN {
            let (bits, end) = match self.weigh(at, is_segment_start && at == start, &mut chain) {
                Ok(weighed) => weighed,
                Err(Verdict::Pending) => break,
                Err(verdict) => return verdict,
            };
            // There was enough already, and the frame behind it is one, too.
            if verdict != Verdict::Pending {
                break;
            }
            evidence += bits;
            let landing = match end {
                Ahead::At(end) => ((end - start) as f32 / frames as f32).log2(),
                _ => 0.0,
            };
            if evidence + landing >= self.enough_to_begin(start, is_segment_start) {
                begin.get_or_insert(at);
            }
            match (begin, end) {
                (Some(begin), _) if evidence >= enough => verdict = Verdict::Found(begin),
                _ if evidence < hopeless => return Verdict::Rejected,
                _ => {}
            }
            let Ahead::At(end) = end else { break };
            at = end;
        }
        verdict
    }

    /// The evidence of the next frame of a chain, and what is behind it. An error says what can be
    /// said of the chain without it.
    fn weigh(
        &self,
        at: usize,
        starts_segment: bool,
        chain: &mut Chain,
    ) -> Result<(f32, Ahead), Verdict> {
        let captured = self.stretch.captured_from(at);
        let header = Header::parse(captured).ok_or(Verdict::Pending)?;
        if !is_legal(&header, self.sender, self.may_compress) {
            return Err(Verdict::Rejected);
        }
        let bits = chain.evidence(&header, captured, starts_segment, &self.background);
        let bits = bits.ok_or(Verdict::Rejected)?;
        let end = self.stretch.ahead(at + usize::from(header.header_len), header.len);
        let ends_segment = matches!(end, Ahead::At(end) if self.stretch.is_border(end));
        Ok((if ends_segment { bits + BORDER } else { bits }, end))
    }

    /// The more places were tried, the likelier one of them seems right by chance.
    fn enough_to_begin(&self, start: usize, is_segment_start: bool) -> f32 {
        let places = if is_segment_start {
            self.stretch.borders().partition_point(|&border| border < start)
        } else {
            start
        };
        ENOUGH_TO_BEGIN + ((places + 1) as f32).log2()
    }
}

/// What can be said of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// A header, or near one: here is the first that is beyond doubt.
    Found(usize),
    /// Not enough bytes to tell.
    Pending,
    /// No header, whatever comes.
    Rejected,
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

#[cfg(test)]
mod tests;
