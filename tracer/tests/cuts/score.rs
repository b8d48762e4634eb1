//! What was told of a cut capture is held against what is true: shares recovered and mistakes come
//! out. The truth is what the whole capture decodes to, which `tests/golden` proves for the real
//! ones, and the sender knows of the made ones.

use std::{collections::HashMap, ops::AddAssign};

use crate::{
    decode::{Decoded, Frame, Item, Told, decode},
    packet::{Direction, Packet},
};

/// A whole capture and what is true of it.
pub(crate) struct Capture {
    pub(crate) packets: Vec<Packet>,
    initial: HashMap<Direction, u32>,
    truth: HashMap<Direction, Truth>,
}

/// One direction of a whole capture.
pub(crate) struct Truth {
    pub(crate) told: Told,
    /// By a frame's place: its message, and which of its frames it is.
    places: HashMap<u64, (usize, usize)>,
}

/// Counts of one direction or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Score {
    /// Messages and control frames of which every byte is left.
    pub(crate) complete: u64,
    /// Of those: told of, content and all.
    pub(crate) exact: u64,
    /// Of those: told of truly, but not whole: their compression refers to what is gone, or only
    /// their last fragments were recognized.
    pub(crate) partly: u64,
    /// Of those: missed although one after the same hole was told of before.
    pub(crate) missed_later: u64,
    /// Complete messages told of that were never sent.
    pub(crate) false_whole: u64,
    /// Damaged messages of which something untrue was told.
    pub(crate) false_damaged: u64,
    /// Frames told of that were never sent.
    pub(crate) false_frames: u64,
    /// Broken rules that nobody broke, and connections that were called something else.
    pub(crate) false_violations: u64,
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        self.complete += other.complete;
        self.exact += other.exact;
        self.partly += other.partly;
        self.missed_later += other.missed_later;
        self.false_whole += other.false_whole;
        self.false_damaged += other.false_damaged;
        self.false_frames += other.false_frames;
        self.false_violations += other.false_violations;
    }
}

impl Capture {
    pub(crate) fn new(packets: Vec<Packet>) -> Self {
        let mut initial = HashMap::new();
        for packet in packets.iter().filter(|packet| packet.is_syn() || packet.captured > 0) {
            initial.entry(packet.direction()).or_insert(packet.payload_seq());
        }
        let decoded = decode(packets.iter(), &initial);
        let truth = decoded.into_iter().map(|(direction, told)| (direction, Truth::new(told)));
        Self { initial, truth: truth.collect(), packets }
    }

    /// What is true of one direction.
    pub(crate) fn truth(&self, direction: Direction) -> &Truth {
        &self.truth[&direction]
    }

    /// Decodes what a cut has left. Scores by direction.
    pub(crate) fn score(&self, left: &[Packet]) -> Vec<(Direction, Score)> {
        let decoded = decode(left.iter(), &self.initial);
        let mut captured = self.captured(left);
        let nothing = Told::default();
        let score = |(&direction, truth): (&Direction, &Truth)| {
            let told = decoded.get(&direction).unwrap_or(&nothing);
            let captured = captured.remove(&direction).unwrap_or_default();
            (direction, truth.score(told, &captured))
        };
        let scores = self.truth.iter().filter(|(_, truth)| !truth.told.frames.is_empty());
        let scores = scores.map(score).collect();
        self.check_directions(&decoded);
        scores
    }

    fn check_directions(&self, decoded: &Decoded) {
        let unknown = decoded.keys().find(|direction| !self.initial.contains_key(direction));
        assert_eq!(unknown, None, "a direction that is not in the capture");
    }

    /// The stretches of each stream that were captured, ascending.
    fn captured(&self, left: &[Packet]) -> HashMap<Direction, Vec<(u64, u64)>> {
        let mut captured = HashMap::<_, Vec<_>>::new();
        for packet in left.iter().filter(|packet| packet.captured > 0) {
            let direction = packet.direction();
            let start = u64::from(packet.payload_seq().wrapping_sub(self.initial[&direction]));
            let end = start + packet.captured as u64;
            captured.entry(direction).or_default().push((start, end));
        }
        captured.values_mut().for_each(|stretches| *stretches = joined(stretches));
        captured
    }
}

/// Stretches that touch or overlap become one.
fn joined(stretches: &mut [(u64, u64)]) -> Vec<(u64, u64)> {
    stretches.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for &(start, end) in &*stretches {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

impl Truth {
    fn new(told: Told) -> Self {
        let items = told.items.iter().enumerate();
        let places = items.flat_map(|(n, item)| {
            item.frames.iter().enumerate().map(move |(i, frame)| (frame.start, (n, i)))
        });
        let places = places.collect();
        Self { told, places }
    }

    fn score(&self, told: &Told, captured: &[(u64, u64)]) -> Score {
        let mut score = self.mistakes(told);
        let mut found = HashMap::new();
        for item in &told.items {
            match self.verdict(item) {
                Verdict::True(n) => {
                    found.insert(n, item.whole);
                }
                Verdict::False if item.whole => score.false_whole += 1,
                Verdict::False => score.false_damaged += 1,
            }
        }
        let mut last_hole = None;
        let mut is_locked = false;
        for (n, item) in self.told.items.iter().enumerate() {
            let Some(hole) = stretch_of(item, captured) else { continue };
            is_locked &= last_hole == Some(hole);
            last_hole = Some(hole);
            score.complete += 1;
            match found.get(&n) {
                Some(true) => score.exact += 1,
                Some(false) => score.partly += 1,
                None => score.missed_later += u64::from(is_locked),
            }
            is_locked |= found.contains_key(&n);
        }
        score
    }

    /// What was told of that no message tells of.
    fn mistakes(&self, told: &Told) -> Score {
        let false_frames = told.frames.iter().filter(|frame| self.place(frame).is_none()).count();
        let count = |told: &Told, rule| told.violations.iter().filter(|&&r| r == rule).count();
        let mut rules = told.violations.clone();
        rules.sort_unstable_by_key(|rule| rule.name());
        rules.dedup();
        let excess =
            rules.iter().map(|&rule| count(told, rule).saturating_sub(count(&self.told, rule)));
        let misnamed =
            usize::from(told.not_websocket.is_some() && self.told.not_websocket.is_none());
        Score {
            false_frames: false_frames as u64,
            false_violations: (excess.sum::<usize>() + misnamed) as u64,
            ..Score::default()
        }
    }

    fn place(&self, frame: &Frame) -> Option<(usize, usize)> {
        let &(n, i) = self.places.get(&frame.start)?;
        (self.told.items[n].frames[i] == *frame).then_some((n, i))
    }

    /// Holds what was told of one message against the truth.
    fn verdict(&self, item: &Item) -> Verdict {
        let Some((n, first)) = item.frames.first().and_then(|frame| self.place(frame)) else {
            return Verdict::False;
        };
        let sent = &self.told.items[n];
        let frames = &sent.frames[first..];
        let has_all = frames.len() == item.frames.len();
        let is_true = frames.starts_with(&item.frames)
            && item.opcode == sent.opcode.filter(|_| first == 0)
            && item.wire_len == item.frames.iter().map(|frame| frame.len).sum::<u64>()
            && (first > 0 || sent.payload.starts_with(&item.payload))
            && (!item.whole || (has_all && first == 0 && item.payload == sent.payload))
            && item.len.is_none_or(|len| first > 0 || !has_all || Some(len) == sent.len);
        if is_true { Verdict::True(n) } else { Verdict::False }
    }
}

/// What a message comes to.
enum Verdict {
    /// It is, as far as it goes, the one with this number.
    True(usize),
    /// It was never sent.
    False,
}

/// The captured stretch in which the item's first frame lies, if every byte of the item was captured.
fn stretch_of(item: &Item, captured: &[(u64, u64)]) -> Option<u64> {
    let stretch = |frame: &Frame| {
        let after = captured.partition_point(|&(start, _)| start <= frame.start);
        let &(start, end) = captured.get(after.checked_sub(1)?)?;
        (frame.end <= end).then_some(start)
    };
    let stretches: Option<Vec<u64>> = item.frames.iter().map(stretch).collect();
    stretches?.first().copied()
}
