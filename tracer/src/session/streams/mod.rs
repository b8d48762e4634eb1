//! What the two byte streams of a connection carry: HTTP at first, WebSocket from the upgrade on,
//! or something else. Each direction is in one stage at a time.

mod frames;
mod http;

use super::{
    exchange::Exchange,
    meta::{Env, Meta},
    tls,
};
use crate::{
    event::{GapCause, Joined, LooksLike},
    http::{
        body::{Body as HttpBody, Progress},
        head::{self, Collector, Kind},
    },
    tcp::assembler::Cause,
    ws::{
        receiver::{Receiver, Sender},
        resync::Search,
    },
};

/// A stream joined late in which no frame was found in so many bytes is no WebSocket. It may have
/// been joined in the middle of a long message.
const MAX_SEARCHED: u64 = 8 << 20;
/// Client frames that may come before the response to the upgrade was seen.
const MAX_UPGRADING: usize = 256 * 1024;
/// Bytes that tell HTTP and TLS from other streams.
const MAX_BEGINNING: usize = 8;

/// What a direction is doing.
enum Stage {
    /// Nothing is known yet but these first bytes, which are too few.
    Start { beginning: Vec<u8>, joined: Joined },
    /// In a request's or response's head.
    Head(Collector),
    /// In a body.
    Body(HttpBody),
    /// Behind an upgrade request: whatever comes is frames if the server agrees, HTTP if not.
    Upgrading(Vec<u8>),
    /// In a TLS ClientHello.
    Tls(Vec<u8>),
    /// Frames. What most connections are at nearly always, so it lies in the connection itself.
    Frames(Receiver),
    /// Frames, but where the next one begins is not known.
    Search(Box<Search>, Option<Box<Receiver>>),
    /// Something else: left alone.
    Ignored,
}

impl Stage {
    fn memory(&self) -> usize {
        match self {
            Self::Start { .. } | Self::Body(_) | Self::Ignored => 0,
            Self::Head(collector) => collector.bytes().len(),
            Self::Upgrading(bytes) | Self::Tls(bytes) => bytes.capacity(),
            Self::Frames(receiver) => receiver.memory(),
            Self::Search(search, receiver) => {
                search.memory() + receiver.as_ref().map_or(0, |receiver| receiver.memory())
            }
        }
    }
}

/// Both directions of a connection.
#[repr(C)]
pub(super) struct Streams {
    pub(super) meta: Meta,
    /// Stream offsets behind the last bytes given, those in progress included.
    offsets: [u64; 2],
    exchange: Exchange,
    /// By sender: the client's is first.
    stages: [Stage; 2],
}

impl Streams {
    /// `joined` says whether the streams are seen from their first bytes on.
    pub(super) fn new(meta: Meta, joined: Joined) -> Self {
        let start = || Stage::Start { beginning: Vec::new(), joined };
        Self { meta, offsets: [0; 2], exchange: Exchange::default(), stages: [start(), start()] }
    }

    /// Bytes that a direction holds for what is not complete, and for its deflate window.
    pub(super) fn memory(&self, of: Sender) -> usize {
        let stage = self.stages[of as usize].memory();
        match of {
            Sender::Client => stage + self.exchange.memory(),
            Sender::Server => stage,
        }
    }

    /// Whether the connection was found to be no WebSocket, for good; `from` is looked at first.
    pub(super) fn are_ignored(&self, from: Sender) -> bool {
        let is_ignored = |of: Sender| matches!(self.stages[of as usize], Stage::Ignored);
        is_ignored(from) && is_ignored(from.other())
    }

    /// Whether what `from` sends is frames, and their place is known.
    pub(super) fn is_in_frames(&self, from: Sender) -> bool {
        matches!(self.stages[from as usize], Stage::Frames(_))
    }

    /// Takes the next bytes that `from` sent: one segment's, or the rest of one.
    pub(super) fn data(&mut self, from: Sender, mut bytes: &[u8], env: &mut Env<'_>) {
        self.offsets[from as usize] += bytes.len() as u64;
        while !bytes.is_empty() {
            let used = match self.stages[from as usize] {
                Stage::Frames(_) => self.frames(from, bytes, env),
                _ => self.step(from, bytes, env),
            };
            bytes = &bytes[used..];
        }
    }

    /// Takes some of the bytes, or changes the stage. Apart from frames, which are most of what comes.
    #[inline(never)]
    fn step(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        match &mut self.stages[from as usize] {
            Stage::Frames(_) => self.frames(from, bytes, env),
            Stage::Ignored => bytes.len(),
            Stage::Start { .. } => self.start(from, bytes, env),
            Stage::Head(_) => self.head(from, bytes, env),
            Stage::Body(body) => match body.feed(bytes) {
                Progress::More => bytes.len(),
                Progress::Done(used) => {
                    self.expect_head(from);
                    used
                }
                Progress::Broken => self.unknown(from, bytes, env),
            },
            Stage::Upgrading(queue) => {
                let free = MAX_UPGRADING.saturating_sub(queue.len());
                if bytes.len() > free {
                    let queued = queue.len() as u64;
                    self.meta.gap(from, queued, GapCause::Midstream, &mut env.tell);
                    self.stages[from as usize] = self.new_search(from, None);
                    return 0;
                }
                queue.extend_from_slice(bytes);
                bytes.len()
            }
            Stage::Tls(_) => self.tls(from, bytes, env),
            Stage::Search(..) => self.searching(from, bytes, env),
        }
    }

    /// Where in the stream the latest frame of `from` began, if that is sure.
    pub(super) fn frame_began(&self, from: Sender) -> Option<u32> {
        match &self.stages[from as usize] {
            Stage::Frames(receiver) => receiver.frame_began(),
            _ => None,
        }
    }

    /// How many bytes are left of the body that `from` is sending, if that is known.
    pub(super) fn body_left(&self, from: Sender) -> Option<u64> {
        match &self.stages[from as usize] {
            Stage::Body(body) => body.left(),
            _ => None,
        }
    }

    /// Whether bytes of `from` were left out since the last call that somebody wanted.
    pub(super) fn take_lost_place(&mut self, from: Sender) -> bool {
        std::mem::take(&mut self.meta.lost_places[from as usize])
    }

    /// Takes the news that the capture left out the next bytes of `from`, as it was told. They are a
    /// gap where it is wrong about the frames, as after a connection was given up and joined again.
    pub(super) fn elided(&mut self, from: Sender, bytes: u64, env: &mut Env<'_>) {
        let is_known = match &mut self.stages[from as usize] {
            Stage::Frames(receiver) => {
                self.meta.receive(from, env, |ctx| receiver.elide(bytes, ctx))
            }
            Stage::Body(_) => self.pass_over(from, bytes),
            _ => false,
        };
        if is_known {
            self.offsets[from as usize] += bytes;
            return;
        }
        self.meta.lost_places[from as usize] = true;
        self.gap(from, bytes, Cause::Elided.into(), env);
    }

    /// Goes on in a body behind bytes that are not there; false when its end is not known then.
    fn pass_over(&mut self, from: Sender, bytes: u64) -> bool {
        let Stage::Body(body) = &mut self.stages[from as usize] else { return false };
        let is_known = body.gap(bytes);
        if is_known && body.is_done() {
            self.expect_head(from);
        }
        is_known
    }

    /// Takes the news that the next bytes of `from` are missing.
    pub(super) fn gap(&mut self, from: Sender, bytes: u64, cause: GapCause, env: &mut Env<'_>) {
        if matches!(self.stages[from as usize], Stage::Ignored) {
            self.offsets[from as usize] += bytes;
            return;
        }
        self.meta.gap(from, bytes, cause, &mut env.tell);
        match &mut self.stages[from as usize] {
            Stage::Frames(receiver) => {
                if self.meta.receive(from, env, |ctx| receiver.gap(bytes, ctx)).is_err() {
                    self.lose_framing(from);
                }
            }
            Stage::Search(search, _) => search.gap(bytes),
            Stage::Upgrading(queue) => {
                let queued = queue.len() as u64;
                if queued > 0 {
                    self.meta.gap(from, queued, GapCause::Midstream, &mut env.tell);
                }
                self.stages[from as usize] = self.new_search(from, None);
            }
            Stage::Body(_) => {
                if !self.pass_over(from, bytes) {
                    self.restart(from);
                }
            }
            Stage::Start { .. } | Stage::Head(_) | Stage::Tls(_) => self.restart(from),
            Stage::Ignored => {}
        }
        self.offsets[from as usize] += bytes;
    }

    /// Nothing more comes from either side.
    pub(super) fn end(&mut self, env: &mut Env<'_>) {
        for from in [Sender::Client, Sender::Server] {
            self.end_search(from, env);
            match &mut self.stages[from as usize] {
                Stage::Frames(receiver) => {
                    self.meta.receive(from, env, |ctx| receiver.abandon(ctx));
                }
                Stage::Search(search, _) if search.searched() > 0 => {
                    self.meta.gap(from, search.searched(), GapCause::Midstream, &mut env.tell);
                }
                _ => {}
            }
        }
    }

    /// The SYN of this direction was not captured: what comes first need not be its first bytes.
    pub(super) fn join_midstream(&mut self, from: Sender) {
        if let Stage::Start { joined, .. } = &mut self.stages[from as usize] {
            *joined = Joined::Midstream;
        }
    }

    /// Forgets what compressed messages refer to, for want of memory.
    pub(super) fn lose_windows(&mut self) {
        for stage in &mut self.stages {
            match stage {
                Stage::Frames(receiver) => receiver.lose_window(),
                Stage::Search(_, Some(receiver)) => receiver.lose_window(),
                _ => {}
            }
        }
    }

    /// Starts anew in the middle: a piece of HTTP is missing.
    fn restart(&mut self, from: Sender) {
        self.exchange.lose();
        self.stages[from as usize] =
            Stage::Start { beginning: Vec::new(), joined: Joined::Midstream };
    }

    fn expect_head(&mut self, from: Sender) {
        self.stages[from as usize] = Stage::Head(Collector::new(kind_of(from)));
    }

    /// This direction is something else than was thought. On an open WebSocket connection it is
    /// damaged, and frames are searched for; otherwise the connection is named and left alone.
    fn give_up(
        &mut self,
        from: Sender,
        looks_like: LooksLike,
        sni: Option<&str>,
        env: &mut Env<'_>,
    ) {
        if self.meta.is_open {
            self.stages[from as usize] = self.new_search(from, None);
        } else {
            self.meta.not_websocket(looks_like, sni, &mut env.tell);
            self.stages = [Stage::Ignored, Stage::Ignored];
        }
    }

    fn unknown(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        self.give_up(from, LooksLike::Unknown, None, env);
        bytes.len()
    }

    /// Looks at the first bytes of a stream.
    fn start(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        let Stage::Start { beginning, joined } = &mut self.stages[from as usize] else { return 0 };
        let joined = *joined;
        let held = beginning.len();
        let taken = bytes.len().min(MAX_BEGINNING.saturating_sub(held));
        beginning.extend_from_slice(&bytes[..taken]);
        let is_http = head::begins_like_http(kind_of(from), beginning);
        let is_tls = tls::is_record(beginning);
        let is_frame_possible = joined == Joined::Midstream;
        let next = match (is_http, is_tls) {
            (Some(true), _) => Stage::Head(Collector::new(kind_of(from))),
            (_, Some(true)) => Stage::Tls(Vec::new()),
            (Some(false), Some(false)) if is_frame_possible => self.new_search(from, None),
            (Some(false), Some(false)) => return self.unknown(from, bytes, env),
            // A few bytes of a stream that was joined late are more likely a frame.
            _ if is_frame_possible
                && held + bytes.len() < MAX_BEGINNING
                && is_tls == Some(false) =>
            {
                self.new_search(from, None)
            }
            _ => return taken,
        };
        let stage = std::mem::replace(&mut self.stages[from as usize], next);
        let Stage::Start { beginning, .. } = stage else { return 0 };
        if held == 0 {
            return 0;
        }
        // The bytes kept before and these go to the next stage in one piece.
        self.data_again(from, &[&beginning[..held], bytes].concat(), env);
        bytes.len()
    }

    fn tls(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) -> usize {
        let Stage::Tls(record) = &mut self.stages[from as usize] else { return 0 };
        let free = tls::MAX_RECORD.saturating_sub(record.len());
        record.extend_from_slice(&bytes[..bytes.len().min(free)]);
        let is_hello = record.first() == Some(&22) && from == Sender::Client;
        if is_hello && !tls::has_whole_record(record) && record.len() < tls::MAX_RECORD {
            return bytes.len();
        }
        let record = std::mem::take(record);
        self.give_up(from, LooksLike::Tls, tls::server_name(&record), env);
        bytes.len()
    }

    /// Gives bytes that were held back, and counted, to the stage that they turned out to be for.
    fn data_again(&mut self, from: Sender, bytes: &[u8], env: &mut Env<'_>) {
        self.offsets[from as usize] -= bytes.len() as u64;
        self.data(from, bytes, env);
    }
}

fn kind_of(from: Sender) -> Kind {
    match from {
        Sender::Client => Kind::Request,
        Sender::Server => Kind::Response,
    }
}
