//! WebSocket frames, and the search for them where their place is not known.

use super::{MAX_SEARCHED, Stage, Streams, kind_of};
use crate::{
    event::GapCause,
    http::head,
    session::meta::Env,
    ws::{
        extension::Deflate,
        receiver::{Compression, Desync, Receiver, Sender},
        resync::{Lock, Piece, Search, Stretch},
    },
};

/// Wrong locks in one segment that are searched behind; more are hostile, and passed over.
const MAX_RELOCKS: usize = 8;

impl Streams {
    /// Frames from here on, both ways.
    pub(super) fn enter_frames(
        &mut self,
        deflate: Option<Deflate>,
        frames_at: u64,
        env: &mut Env<'_>,
    ) {
        let compression = |from| match (deflate, from) {
            (None, _) => Compression::None,
            (Some(deflate), Sender::Client) => Compression::Deflate(deflate.client),
            (Some(deflate), Sender::Server) => Compression::Deflate(deflate.server),
        };
        let receiver = |from, offset| Receiver::new(from, compression(from), offset);
        self.stages[Sender::Server as usize] = Stage::Frames(receiver(Sender::Server, frames_at));
        let offset = self.offsets[Sender::Client as usize];
        let client = &mut self.stages[Sender::Client as usize];
        match client {
            Stage::Upgrading(queue) => {
                let queue = std::mem::take(queue);
                let offset = offset - queue.len() as u64;
                *client = Stage::Frames(receiver(Sender::Client, offset));
                self.data_again(Sender::Client, &queue, env);
            }
            // Some of its first frames, or the request, were not captured.
            Stage::Search(_, receiver_slot) => {
                *receiver_slot = Some(Box::new(receiver(Sender::Client, offset)));
            }
            // Frames that were found by searching, before the response was seen.
            Stage::Frames(_) => {}
            _ => *client = Stage::Frames(receiver(Sender::Client, offset)),
        }
    }

    pub(super) fn frames(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        let Stage::Frames(receiver) = &mut self.stages[from as usize] else { return 0 };
        match self.meta.receive(from, env, |ctx| receiver.data(bytes, ctx)) {
            Ok(()) => bytes.len(),
            Err(Desync { used }) => {
                self.lose_framing(from);
                used
            }
        }
    }

    /// The next frame's place is not known any more.
    pub(super) fn lose_framing(&mut self, from: Sender) {
        let stage = std::mem::replace(&mut self.stages[from as usize], Stage::Ignored);
        let Stage::Frames(receiver) = stage else { return };
        self.stages[from as usize] = self.new_search(from, Some(Box::new(receiver)));
    }

    pub(super) fn new_search(&self, from: Sender, receiver: Option<Box<Receiver>>) -> Stage {
        let may_compress = receiver.as_ref().is_none_or(|receiver| receiver.may_compress());
        Stage::Search(Box::new(Search::new(from, may_compress)), receiver)
    }

    pub(super) fn searching(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        let Stage::Search(search, receiver) = &mut self.stages[from as usize] else { return 0 };
        if receiver.is_none() && head::begins_like_http(kind_of(from), bytes) == Some(true) {
            self.expect_head(from);
            return 0;
        }
        let lock = search.segment(bytes);
        self.follow_locks(from, lock, env);
        if let Stage::Search(search, _) = &self.stages[from as usize]
            && !self.meta.is_open
            && search.searched() > MAX_SEARCHED
        {
            return self.unknown(from, bytes, env);
        }
        bytes.len()
    }

    /// Nothing more comes: what the search has is looked at for the last time.
    pub(super) fn end_search(&mut self, from: Sender, env: &mut Env<'_>) {
        let Stage::Search(search, _) = &mut self.stages[from as usize] else { return };
        let lock = search.finish();
        self.follow_locks(from, lock, env);
    }

    /// Decodes from a header that was found. A wrong one is noticed, and what it had not used is
    /// searched once more.
    fn follow_locks(&mut self, from: Sender, mut lock: Option<Lock>, env: &mut Env<'_>) {
        for _ in 0..MAX_RELOCKS {
            let Some(found) = lock else { return };
            lock = self.lock(from, found, env).and_then(|rest| self.search_again(from, rest));
        }
        if let Some(Lock { skipped, stretch }) = lock {
            let passed_over = skipped + stretch.captured();
            self.meta.gap(from, passed_over, GapCause::Midstream, &mut env.tell);
        }
    }

    fn search_again(&mut self, from: Sender, rest: Stretch) -> Option<Lock> {
        match &mut self.stages[from as usize] {
            Stage::Search(search, _) => search.again(rest),
            _ => None,
        }
    }

    /// A frame was found. Gives back the stretch behind the place where that proved wrong.
    fn lock(&mut self, from: Sender, lock: Lock, env: &mut Env<'_>) -> Option<Stretch> {
        let Lock { mut stretch, skipped } = lock;
        let offset = self.offsets[from as usize] - stretch.span();
        let found = match &mut self.stages[from as usize] {
            Stage::Search(_, receiver) => receiver.take(),
            _ => None,
        };
        let mut receiver = match found {
            Some(found) => *found,
            None => Receiver::new(from, Compression::Unknown, offset),
        };
        receiver.resume(offset);
        if !self.meta.is_open {
            self.meta.open_midstream(&mut env.tell);
            self.other_is_frames_too(from.other(), env);
        }
        if skipped > 0 {
            self.meta.gap(from, skipped, GapCause::Midstream, &mut env.tell);
        }
        // The gaps between were told of when they came.
        let wrong = self.meta.receive(from, env, |ctx| {
            stretch.pieces().find_map(|(at, piece)| {
                let result = match piece {
                    Piece::Data(bytes) => receiver.data(bytes, ctx),
                    Piece::Gap(bytes) => receiver.gap(bytes, ctx),
                };
                result.err().map(|Desync { used }| at + used)
            })
        });
        self.stages[from as usize] = Stage::Frames(receiver);
        let wrong = wrong?;
        self.lose_framing(from);
        Some(stretch.split_off(wrong))
    }

    /// Frames one way mean that an upgrade, whose response was not captured, has succeeded.
    fn other_is_frames_too(&mut self, other: Sender, env: &mut Env<'_>) {
        let offset = self.offsets[other as usize];
        let stage = &mut self.stages[other as usize];
        if let Stage::Upgrading(queue) = stage {
            let queue = std::mem::take(queue);
            let receiver = Receiver::new(other, Compression::Unknown, offset - queue.len() as u64);
            *stage = Stage::Frames(receiver);
            self.data_again(other, &queue, env);
        }
    }
}
