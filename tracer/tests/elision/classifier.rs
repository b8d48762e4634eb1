//! What the classifier does with frames, done here: segments as they are on the wire come in, the
//! kernel's records of them come out. `tracer_common::follow` is the kernel's own code; the tables
//! and the loop around it are written down a second time.

use std::collections::{HashMap, VecDeque};

use tracer::segment::{Endpoint, Interest, Segment};
use tracer_common::{
    follow::{Arrival, Followed, LEAST_SEGMENT, Piece, Place, Spot, Turn, Unusual},
    packet::flags::SYN,
    record::{MAX_FOLLOWED_PIECES, MAX_RECORDS_PER_SEGMENT},
};

/// A direction on an interface.
type Key = (Endpoint, Endpoint, u32);

fn key(segment: &Segment<'_>) -> Key {
    (segment.source, segment.destination, segment.interface)
}

/// What user space wants, until the kernel knows.
struct Wish {
    /// Segments that still pass before it does.
    due_in: u32,
    key: Key,
    /// When the record was written with which the classifier was right; `None`: everything is to be
    /// copied.
    confirmed: Option<u64>,
}

/// The classifier's tables.
pub(crate) struct Classifier {
    /// What is shown of a binary message; `u32::MAX` copies everything.
    shown: u32,
    /// Segments that pass before a wish is known.
    latency: u32,
    followed: HashMap<Key, Followed>,
    confirmed: HashMap<Key, u64>,
    wishes: VecDeque<Wish>,
    /// Payload bytes that were left out.
    pub(crate) elided: u64,
    /// How often everything had to be copied again.
    pub(crate) withdrawn: u64,
}

impl Classifier {
    /// Empty tables.
    pub(crate) fn new(shown: u32, latency: u32) -> Self {
        let (followed, confirmed, wishes) = Default::default();
        Self { shown, latency, followed, confirmed, wishes, elided: 0, withdrawn: 0 }
    }

    /// Takes a whole segment. `fits` says of each of its records whether the ring has room.
    pub(crate) fn segment(
        &mut self,
        segment: &Segment<'_>,
        fits: &mut dyn FnMut() -> bool,
        out: &mut dyn FnMut(&Segment<'_>) -> Interest,
    ) {
        self.pass_wishes_on();
        let key = key(segment);
        let is_followed = self.turn(&key, segment) != Turn::Pass;
        let mut frames = self.followed.get(&key).filter(|_| is_followed).copied();
        let mut whole = Followed::new(&arrival(segment, false));
        whole.stop();
        self.copy(segment, frames.as_mut().unwrap_or(&mut whole), fits, out);
        if let Some(frames) = frames {
            self.followed.insert(key, frames);
        }
    }

    fn turn(&mut self, key: &Key, segment: &Segment<'_>) -> Turn {
        let is_syn = segment.has(SYN);
        if self.shown == u32::MAX || (segment.payload.is_empty() && !is_syn) {
            return Turn::Pass;
        }
        let may_begin = !is_syn
            && segment.payload_len >= LEAST_SEGMENT
            && segment
                .payload
                .first_chunk()
                .is_some_and(|first| Followed::is_worthwhile(first, self.shown));
        let arrival = arrival(segment, may_begin);
        let Self { followed, confirmed, .. } = self;
        let otherwise = if may_begin { Turn::Anew } else { Turn::Pass };
        let turn = followed
            .get_mut(key)
            .map_or(otherwise, |frames| frames.arrive(&arrival, || confirmed.get(key).copied()));
        if turn == Turn::Anew {
            followed.insert(*key, Followed::new(&arrival));
        }
        turn
    }

    /// Writes the segment's records.
    fn copy(
        &mut self,
        segment: &Segment<'_>,
        frames: &mut Followed,
        fits: &mut dyn FnMut() -> bool,
        out: &mut dyn FnMut(&Segment<'_>) -> Interest,
    ) {
        let mut place = Place::default();
        place.begin(segment.options.len() as u32);
        for n in 0..MAX_RECORDS_PER_SEGMENT {
            if n == MAX_FOLLOWED_PIECES {
                frames.stop();
            }
            let spot @ Spot { start, at, .. } = place.get();
            let (rest, room) = (segment.payload_len - at, spot.room());
            let seq = segment.seq.wrapping_add(at);
            let piece = self.next_piece(frames, &segment.payload[at as usize..], seq, room);
            let Piece { copy, skip } = piece;
            assert!(copy + skip > 0 || rest == 0, "it gets on");
            if !piece.ends_record(rest, room) {
                place.extend(copy);
                continue;
            }
            let captured = at - start + copy;
            let more = copy + skip < rest;
            let is_lost = !fits();
            if !is_lost {
                let record = Segment {
                    options: if start == 0 { segment.options } else { &[] },
                    offset: start,
                    payload: &segment.payload[start as usize..][..captured as usize],
                    more,
                    elided: skip,
                    frame_at: frames.asks(),
                    ..*segment
                };
                assert!(record.elided == 0 || record.frame_at.is_none(), "they share a field");
                self.elided += u64::from(skip);
                self.heed(out(&record), &record);
            }
            frames.written(segment.time, is_lost);
            if !more {
                return;
            }
            place.advance(copy + skip);
        }
        frames.stop();
    }

    fn next_piece(&self, frames: &mut Followed, rest: &[u8], seq: u32, room: u32) -> Piece {
        let len = rest.len() as u32;
        let wanted = frames.header_room().min(len).min(room);
        let used = if wanted > 0 {
            let (header, have) = frames.header_place();
            header[have as usize..][..wanted as usize].copy_from_slice(&rest[..wanted as usize]);
            frames.header(wanted, seq, self.shown).unwrap_or_else(|Unusual| {
                frames.stop();
                0
            })
        } else {
            0
        };
        let Piece { copy, skip } = frames.payload(len - used, room - used);
        Piece { copy: used + copy, skip }
    }

    fn heed(&mut self, interest: Interest, record: &Segment<'_>) {
        let confirmed = match interest {
            Interest::Headers => Some(record.time),
            Interest::Everything => None,
            Interest::Payload | Interest::Nothing | Interest::Behind(_) => return,
        };
        self.withdrawn += u64::from(confirmed.is_none());
        self.wishes.push_back(Wish { due_in: self.latency, key: key(record), confirmed });
    }

    fn pass_wishes_on(&mut self) {
        for wish in &mut self.wishes {
            wish.due_in = wish.due_in.saturating_sub(1);
        }
        while let Some(Wish { key, confirmed, .. }) = self.wishes.pop_front_if(|w| w.due_in == 0) {
            match confirmed {
                Some(time) => drop(self.confirmed.insert(key, time)),
                None => drop(self.followed.remove(&key)),
            }
        }
    }
}

fn arrival(segment: &Segment<'_>, may_begin: bool) -> Arrival {
    let Segment { seq, payload_len: len, time, .. } = *segment;
    Arrival { seq, len, time, is_syn: segment.has(SYN), may_begin }
}
