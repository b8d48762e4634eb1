//! WebSocket frames, and the search for them where their place is not known.

use super::{MAX_SEARCHED, Stage, Streams, kind_of};
use crate::{
    event::GapCause,
    http::head,
    session::meta::Env,
    ws::{
        extension::Deflate,
        receiver::{Compression, Desync, Receiver, Sender},
        resync::{Lock, Search},
    },
};

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
        let receiver = |from, offset| Box::new(Receiver::new(from, compression(from), offset));
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
                *receiver_slot = Some(receiver(Sender::Client, offset));
            }
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
        self.stages[from as usize] = self.new_search(from, Some(receiver));
    }

    pub(super) fn new_search(&self, from: Sender, receiver: Option<Box<Receiver>>) -> Stage {
        let may_compress = receiver.as_ref().is_none_or(|receiver| receiver.may_compress());
        Stage::Search(Box::new(Search::new(from, may_compress)), receiver)
    }

    pub(super) fn search(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        self.stages[from as usize] = self.new_search(from, None);
        self.searching(from, bytes, env)
    }

    pub(super) fn searching(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        let Stage::Search(search, receiver) = &mut self.stages[from as usize] else { return 0 };
        if receiver.is_none() && head::begins_like_http(kind_of(from), bytes) == Some(true) {
            self.expect_head(from);
            return 0;
        }
        if let Some(lock) = search.segment(bytes) {
            let receiver = receiver.take();
            self.lock(from, &lock, receiver, env);
        } else if !self.meta.is_open && search.searched() > MAX_SEARCHED {
            return self.unknown(from, bytes, env);
        }
        bytes.len()
    }

    /// A frame was found.
    fn lock(
        &mut self,
        from: Sender,
        lock: &Lock,
        receiver: Option<Box<Receiver>>,
        env: &mut Env<'_>,
    ) {
        let offset = self.offsets[from as usize] - lock.bytes.len() as u64;
        let mut receiver =
            receiver.unwrap_or_else(|| Box::new(Receiver::new(from, Compression::Unknown, offset)));
        receiver.resume(offset);
        if !self.meta.is_open {
            self.meta.open_midstream(env);
            self.other_is_frames_too(from.other(), env);
        }
        if lock.skipped > 0 {
            self.meta.gap(from, lock.skipped, GapCause::Midstream, env);
        }
        let result = self.meta.receive(from, env, |ctx| receiver.data(&lock.bytes, ctx));
        self.stages[from as usize] = Stage::Frames(receiver);
        if result.is_err() {
            self.lose_framing(from);
        }
    }

    /// Frames one way mean that an upgrade, whose response was not captured, has succeeded.
    fn other_is_frames_too(&mut self, other: Sender, env: &mut Env<'_>) {
        let offset = self.offsets[other as usize];
        let stage = &mut self.stages[other as usize];
        if let Stage::Upgrading(queue) = stage {
            let queue = std::mem::take(queue);
            let receiver = Receiver::new(other, Compression::Unknown, offset - queue.len() as u64);
            *stage = Stage::Frames(Box::new(receiver));
            self.data_again(other, &queue, env);
        }
    }
}
