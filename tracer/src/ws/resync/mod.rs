//! Finds a frame header in the middle of a stream: after a gap, or on joining late.
//!
//! A header has little that tells it from any other bytes, so evidence is added up, in bits: how
//! much likelier the bytes are as headers than by chance. A chain of headers, each where the one
//! before says, lengths of plausible size, masked text that comes out as UTF-8, frames that end
//! where a segment ends. Segment starts need less evidence: most senders write whole frames. Gaps
//! while searching are no end: their size is known, and frames go on behind them. Of frames longer
//! than what is kept, the place is remembered at which the next one must begin.

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
/// From how many bytes on every place is tried, and again whenever they have doubled, or after
/// [`MAX_SCAN_STEP`]: in bulk traffic the search must not fall behind.
const FIRST_SCAN: u64 = 512;
const MAX_SCAN_STEP: u64 = 4 << 20;
/// Bytes of a segment that are looked at for how rare each is.
const BACKGROUND_SAMPLE: usize = 2048;
/// Evidence of a frame that is worth remembering until the next one is due.
const PROMISING: f32 = 18.0;
/// Shorter ones end among the bytes that are kept.
const MIN_PROMISED_LEN: u64 = MAX_BYTES as u64 / 4;
/// Such frames that are remembered.
const MAX_PROMISES: usize = 16;
/// A frame found by searching is not longer: a wrong lock ends within bounds.
const MAX_UNPROVEN_LEN: u64 = 64 << 20;

/// Looks for a header among the bytes that come.
pub struct Search {
    sender: Sender,
    may_compress: bool,
    stretch: Stretch,
    /// `None` while too little has come to tell what is rare.
    background: Option<Box<Background>>,
    /// Segment starts that may still turn out to be headers.
    candidates: Vec<usize>,
    promises: Vec<Promise>,
    /// After how many bytes every place is tried.
    next_scan: u64,
    /// Bytes dropped from the front.
    dropped: u64,
    /// The same, gaps included.
    start: u64,
}

/// A frame that is likely, but not beyond doubt, and longer than what has come.
#[derive(Debug, PartialEq)]
struct Promise {
    /// Where the next one begins, gaps included.
    end: u64,
    evidence: f32,
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
        Self {
            sender,
            may_compress,
            stretch: Stretch::default(),
            background: None,
            candidates: Vec::new(),
            promises: Vec::new(),
            next_scan: FIRST_SCAN,
            dropped: 0,
            start: 0,
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.background.as_ref().map_or(0, |_| size_of::<Background>())
            + self.stretch.memory()
            + self.candidates.capacity() * size_of::<usize>()
            + self.promises.capacity() * size_of::<Promise>()
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
        if let Some(background) = &mut self.background {
            background.add(&bytes[..min(bytes.len(), BACKGROUND_SAMPLE)]);
        }
        self.candidates.push(self.stretch.len());
        self.stretch.push(bytes);
        if self.background.is_none() && self.searched() >= FIRST_SCAN {
            self.learn_background();
        }
        let scan = self.searched() >= self.next_scan;
        let found = self
            .try_promises()
            .or_else(|| self.try_candidates())
            .or_else(|| scan.then(|| self.try_everywhere())?)?;
        Some(self.lock(found))
    }

    /// Searches in a stretch that is left of an earlier search. Nothing was taken before.
    pub fn again(&mut self, stretch: Stretch) -> Option<Lock> {
        self.candidates = stretch.borders().to_vec();
        self.stretch = stretch;
        self.learn_background();
        let found = self.try_candidates().or_else(|| self.try_everywhere())?;
        Some(self.lock(found))
    }

    /// Nothing more comes: tries every place once more.
    pub fn finish(&mut self) -> Option<Lock> {
        let found = self.try_everywhere()?;
        Some(self.lock(found))
    }

    /// Learns from all that is there how rare each byte is.
    fn learn_background(&mut self) {
        let background = self.background.get_or_insert_default();
        for (_, piece) in self.stretch.pieces() {
            if let Piece::Data(bytes) = piece {
                background.add(bytes);
            }
        }
    }

    /// With which bytes a header may begin.
    fn first_bytes(&self) -> [bool; 256] {
        let mask_bit = if self.sender == Sender::Client { 0x80 } else { 0 };
        std::array::from_fn(|first| {
            let header = Header::parse(&[first as u8, mask_bit, 0, 0, 0, 0]);
            header.is_some_and(|header| is_legal(&header, self.sender, self.may_compress))
        })
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
            let span = self.stretch.span();
            self.stretch.drop_front(bytes);
            self.dropped += bytes as u64;
            self.start += span - self.stretch.span();
            self.candidates.retain(|&place| place >= bytes);
            self.candidates.iter_mut().for_each(|place| *place -= bytes);
        }
    }

    fn try_candidates(&mut self) -> Option<usize> {
        let mut candidates = std::mem::take(&mut self.candidates);
        let mut found = None;
        candidates.retain(|&at| {
            let verdict = self.try_place(at, true, &mut found);
            matches!(verdict, Verdict::Pending | Verdict::Promising(_))
        });
        self.candidates = candidates;
        found
    }

    fn try_everywhere(&mut self) -> Option<usize> {
        self.next_scan = self.searched() + min(self.searched(), MAX_SCAN_STEP);
        let mut found = None;
        let mut promises = Vec::new();
        for at in self.stretch.places(&self.first_bytes()) {
            if found.is_some_and(|found| at >= found) {
                break;
            }
            if let Verdict::Promising(promise) = self.try_place(at, false, &mut found) {
                promises.push(promise);
            }
        }
        promises.into_iter().for_each(|promise| self.remember(promise));
        found
    }

    fn remember(&mut self, promise: Promise) {
        if self.promises.len() == MAX_PROMISES {
            self.promises.remove(0);
        }
        self.promises.push(promise);
    }

    /// Looks where promising frames end that has come by now.
    fn try_promises(&mut self) -> Option<usize> {
        let here = self.start + self.stretch.span();
        let due: Vec<_> = self.promises.extract_if(.., |promise| promise.end < here).collect();
        due.into_iter().find_map(|promise| self.try_promise(promise))
    }

    fn try_promise(&mut self, promise: Promise) -> Option<usize> {
        let distance = promise.end.checked_sub(self.start)?;
        let Ahead::At(at) = self.stretch.ahead(0, distance) else { return None };
        let (bits, end) = match self.weigh(at, false, &mut Chain::default()) {
            Ok(weighed) => weighed,
            Err(Verdict::Pending) => {
                self.remember(promise);
                return None;
            }
            Err(_) => return None,
        };
        let evidence = promise.evidence + bits;
        if evidence >= ENOUGH_ANYWHERE {
            return Some(at);
        }
        if let Ahead::Beyond = end {
            self.remember(self.promise(at, evidence)?);
        }
        None
    }

    /// What to remember of the frame that begins at `at`, if it is long.
    fn promise(&self, at: usize, evidence: f32) -> Option<Promise> {
        let header = Header::parse(self.stretch.captured_from(at))?;
        let begin = self.start + self.stretch.position(at) + u64::from(header.header_len);
        let is_long = header.len >= MIN_PROMISED_LEN;
        is_long.then_some(Promise { end: begin.checked_add(header.len)?, evidence })
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
            match end {
                Ahead::At(end) => at = end,
                Ahead::Beyond if verdict == Verdict::Pending && evidence >= PROMISING => {
                    return self.promise(at, evidence).map_or(verdict, Verdict::Promising);
                }
                _ => break,
            }
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
        let background = self.background.as_deref().unwrap_or_else(|| Background::unknown());
        let bits = chain.evidence(&header, captured, starts_segment, background);
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
#[derive(Debug, PartialEq)]
enum Verdict {
    /// A header, or near one: here is the first that is beyond doubt.
    Found(usize),
    /// Not enough bytes to tell.
    Pending,
    /// The same, but likely a header.
    Promising(Promise),
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
