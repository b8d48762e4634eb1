//! One TCP connection: who is who, both assemblers, the end.

use tracer_common::{
    follow::MAX_REST,
    packet::flags::{ACK, FIN, RST, SYN},
};

use super::{
    direction::Direction,
    flow::End,
    meta::{Env, Meta},
    numbering::Numbering,
    streams::Streams,
};
use crate::{
    event::{Body, How, Joined, TcpClose, Traffic},
    segment::{Interest, Nanos, Segment},
    tcp::{
        assembler::{Assembler, Cause, MAX_DISTANCE, Piece},
        seq,
    },
    ws::receiver::Sender,
};

/// A body of which less is left is copied before the kernel hears that nobody wants it.
const LONG_BODY: u64 = 256 << 10;
/// How far ahead an RST or FIN may be. A receiver obeys it exactly in place (RFC 9293 section
/// 3.10.7.4), but what is before it may have been missed.
const MAX_MISSED: i32 = MAX_DISTANCE.cast_signed();
/// How a connection ended, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) how: How,
    pub(super) by: Option<Sender>,
}

/// A followed connection.
///
/// Of many connections none is in the caches when its next message comes. So the fields lie in the
/// order in which a segment needs them, behind the key in the table; those of one direction are
/// together; and in the middle of a talk a segment leaves the other's alone.
#[repr(C)]
pub(super) struct Connection {
    pub(super) last_seen: Nanos,
    /// [`Connection::memory`] of each direction as it was last added up.
    held: [usize; 2],
    /// What more of the last segment's direction is good for.
    interest: Interest,
    /// The direction that alone has changed since `held` was added up; `None`: both may have.
    changed: Option<Sender>,
    first_fin: Option<Sender>,
    /// The SYN was seen, and not answered yet.
    is_unanswered: bool,
    /// A direction has a hole.
    has_hole: bool,
    /// The tracker will look whether holes were filled.
    pub(super) is_queued: bool,
    streams: Streams,
    /// By sender: the client's is first.
    directions: [Direction; 2],
}

const _: () = assert!(size_of::<Connection>() <= 728, "with its key in the table, twelve");

impl Connection {
    pub(super) fn new(numbering: Numbering, joined: Joined, now: Nanos) -> Self {
        Self {
            last_seen: now,
            held: [0; 2],
            interest: Interest::Payload,
            changed: None,
            first_fin: None,
            is_unanswered: false,
            has_hole: false,
            is_queued: false,
            streams: Streams::new(Meta::new(numbering, now), joined),
            directions: Default::default(),
        }
    }

    pub(super) fn numbering(&self) -> Numbering {
        self.streams.meta.numbering
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.streams.meta.traffic
    }

    pub(super) fn is_websocket(&self) -> bool {
        self.streams.meta.is_open
    }

    pub(super) fn started(&self) -> Nanos {
        self.streams.meta.started
    }

    /// What more of the last segment's direction is good for.
    pub(super) fn interest(&self) -> Interest {
        self.interest
    }

    /// Brings the sum of what all connections hold up to date.
    pub(super) fn account(&mut self, sum: &mut usize) {
        match self.changed.take() {
            Some(of) => self.account_of(of, sum),
            None => {
                self.account_of(Sender::Client, sum);
                self.account_of(Sender::Server, sum);
            }
        }
        debug_assert_eq!(
            self.held,
            [Sender::Client, Sender::Server].map(|of| self.memory(of)),
            "the other direction was left alone"
        );
    }

    fn account_of(&mut self, of: Sender, sum: &mut usize) {
        let held = self.memory(of);
        *sum = *sum + held - self.held[of as usize];
        self.held[of as usize] = held;
    }

    /// What it has added to that sum.
    pub(super) fn held(&self) -> usize {
        self.held.iter().sum()
    }

    /// Bytes that a direction holds beyond the connection's own size.
    fn memory(&self, of: Sender) -> usize {
        self.directions[of as usize].assembler.memory() + self.streams.memory(of)
    }

    /// Since when a segment has been missing that later ones wait for.
    pub(super) fn hole_since(&self) -> Option<Nanos> {
        if !self.has_hole {
            return None;
        }
        self.directions.iter().filter_map(Direction::hole_since).min()
    }

    /// Forgets what compressed messages refer to, for want of memory.
    pub(super) fn lose_windows(&mut self) {
        self.streams.lose_windows();
    }

    /// Whether a SYN is for a new connection between the same endpoints, not sent again.
    pub(super) fn is_replaced_by(&self, end: End, syn: &Segment<'_>) -> bool {
        self.streams.meta.numbering.is_contradicted_by(end, syn)
    }

    /// Learns from the SYN, before its connection sees it or in its place.
    pub(super) fn learn_syn(&mut self, end: End, syn: &Segment<'_>) {
        let from = self.streams.meta.numbering.sender(end);
        self.directions[from as usize].see_on(syn);
        self.anchor(from, syn);
        self.is_unanswered = true;
    }

    /// Takes a segment that `end` sent. `None` while the connection goes on.
    pub(super) fn segment(
        &mut self,
        end: End,
        segment: &Segment<'_>,
        env: &mut Env<'_>,
    ) -> Option<Ending> {
        let from = self.streams.meta.numbering.sender(end);
        let is_ignored = self.streams.are_ignored(from);
        self.interest = if is_ignored { Interest::Nothing } else { Interest::Payload };
        if self.is_seen_elsewhere(from, segment) {
            return None;
        }
        self.last_seen = segment.time;
        self.anchor(from, segment);
        if env.tell.options.segments && segment.offset == 0 {
            self.streams.meta.numbering.show(end, segment, env.tell.sink);
        }
        if from == Sender::Server {
            self.opened(segment, env);
        }
        if is_ignored {
            return self.pass_over(from, segment);
        }
        let is_talk = self.streams.is_in_frames(from) && !self.has_hole;
        self.changed = is_talk.then_some(from);
        if segment.has(RST) {
            return self.reset(from, segment, env);
        }
        if segment.has(ACK) {
            self.acknowledged(from.other(), segment.ack, env);
        }
        self.payload(from, segment, env);
        let is_followed = segment.frame_at.is_some_and(|at| self.is_frame_at(at, from, segment));
        self.interest = match () {
            () if self.streams.take_lost_place(from) => Interest::Everything,
            () if is_followed => Interest::Headers,
            () if self.streams.are_ignored(from) => Interest::Nothing,
            () => self.end_of_body(from, segment).map_or(Interest::Payload, Interest::Behind),
        };
        if segment.has(FIN) {
            self.finished(from, segment);
        }
        if self.has_hole || self.first_fin.is_some() || self.is_waiting(from) {
            self.look_at_holes(env);
        }
        self.ending()
    }

    /// A segment of a connection that is not decoded: its bytes count, and its end. What is in it,
    /// and before it, the capture may leave out.
    fn pass_over(&mut self, from: Sender, segment: &Segment<'_>) -> Option<Ending> {
        let bytes = segment.payload.len() as u64 + u64::from(segment.absent());
        self.count_bytes(from, bytes + u64::from(segment.left_out));
        if segment.more {
            return None;
        }
        if segment.has(RST) {
            return Some(Ending { how: How::Rst, by: Some(from) });
        }
        if segment.has(FIN) {
            let direction = &mut self.directions[from as usize];
            direction.fin.get_or_insert(direction.assembler.position());
            self.first_fin.get_or_insert(from);
        }
        self.ending()
    }

    /// Whether the latest frame up to the end of the segment began at this sequence number, for sure.
    /// Nothing may wait: from here on the capture, which sees every copy of a byte, and the
    /// assembler, which takes the first, are to read the same.
    fn is_frame_at(&self, seq: u32, from: Sender, segment: &Segment<'_>) -> bool {
        let assembler = &self.directions[from as usize].assembler;
        let end = segment.payload_seq().wrapping_add(segment.payload.len() as u32);
        let Some(began) = self.streams.frame_began(from) else { return false };
        let since = (assembler.position() as u32).wrapping_sub(began);
        assembler.next_seq() == Some(end) && !assembler.has_hole() && end.wrapping_sub(seq) == since
    }

    /// The sequence number behind a body, while so much of it is to come that it pays to leave it
    /// out; of a very long one, that behind the next piece.
    fn end_of_body(&self, from: Sender, segment: &Segment<'_>) -> Option<u32> {
        let left = self.streams.body_left(from).filter(|left| *left >= LONG_BODY)?;
        let assembler = &self.directions[from as usize].assembler;
        if segment.elided > 0 || assembler.has_hole() {
            return None;
        }
        // However much is left, the pieces end at the same places.
        let piece = (left - 1) % u64::from(MAX_REST) + 1;
        Some(assembler.next_seq()?.wrapping_add(piece as u32))
    }

    fn count_bytes(&mut self, from: Sender, bytes: u64) {
        let traffic = &mut self.streams.meta.traffic;
        match from {
            Sender::Client => traffic.client_bytes += bytes,
            Sender::Server => traffic.server_bytes += bytes,
        }
    }

    /// Whether the direction is another interface's.
    fn is_seen_elsewhere(&mut self, from: Sender, segment: &Segment<'_>) -> bool {
        let direction = &mut self.directions[from as usize];
        // What is ignored does not come as far as the assembler, so nobody knows what is news.
        let is_elsewhere = direction.is_elsewhere(segment)
            && (self.streams.are_ignored(from) || !direction.is_news(segment));
        if !is_elsewhere {
            direction.see_on(segment);
        }
        is_elsewhere
    }

    /// Learns where the sequence numbers begin.
    fn anchor(&mut self, from: Sender, segment: &Segment<'_>) {
        self.streams.meta.numbering.learn(from, segment);
        if segment.has(SYN) {
            self.directions[from as usize].assembler.anchor(segment.seq.wrapping_add(1));
        }
    }

    /// Tells of the three-way handshake when its second segment is seen.
    fn opened(&mut self, segment: &Segment<'_>, env: &mut Env<'_>) {
        if std::mem::take(&mut self.is_unanswered) && segment.has(SYN) {
            let rtt_us = segment.time.saturating_sub(self.started()) / 1000;
            self.streams.meta.emit(None, Body::TcpOpen { rtt_us }, &mut env.tell);
        }
    }

    fn reset(&mut self, from: Sender, segment: &Segment<'_>, env: &mut Env<'_>) -> Option<Ending> {
        let direction = &self.directions[from as usize];
        let in_window = direction
            .assembler
            .next_seq()
            .is_none_or(|next| (-1..=MAX_MISSED).contains(&seq::distance(next, segment.seq)));
        if !in_window {
            return None;
        }
        self.give_up_holes(env);
        Some(Ending { how: How::Rst, by: Some(from) })
    }

    /// `of` has sent, and the other side has got, everything before `ack`.
    fn acknowledged(&mut self, of: Sender, ack: u32, env: &mut Env<'_>) {
        if self.has_hole && self.is_waiting(of) {
            self.assemble(of, env, |assembler, out| assembler.acknowledged(ack, out));
        }
    }

    /// Whether segments of a direction wait for a missing one.
    fn is_waiting(&self, of: Sender) -> bool {
        self.directions[of as usize].assembler.has_hole()
    }

    fn payload(&mut self, from: Sender, segment: &Segment<'_>, env: &mut Env<'_>) {
        let absent = segment.absent();
        if segment.payload.is_empty() && absent == 0 {
            return;
        }
        self.count_bytes(from, segment.payload.len() as u64 + u64::from(absent));
        let seq = segment.payload_seq();
        if self.directions[from as usize].assembler.next_seq().is_none() {
            self.streams.join_midstream(from);
        }
        let outcome = self.assemble(from, env, |assembler, out| match segment.elided {
            0 => assembler.segment(seq, segment.payload, absent, out),
            elided => assembler.elided(seq, segment.payload, elided, out),
        });
        if outcome.conflict {
            self.streams.meta.conflict(from, outcome.repeated as u64, &mut env.tell);
        }
        let limit = env.tell.options.limits.waiting_per_direction;
        while self.directions[from as usize].assembler.memory() > limit {
            self.assemble(from, env, Assembler::skip_hole);
        }
    }

    fn finished(&mut self, from: Sender, segment: &Segment<'_>) {
        let direction = &mut self.directions[from as usize];
        let after_payload =
            segment.seq.wrapping_add(u32::from(segment.has(SYN))).wrapping_add(segment.payload_len);
        let Some(next) = direction.assembler.next_seq() else {
            direction.assembler.anchor(after_payload);
            direction.fin.get_or_insert(0);
            self.first_fin.get_or_insert(from);
            return;
        };
        let ahead = seq::distance(next, after_payload);
        if !(0..=MAX_MISSED).contains(&ahead) {
            return;
        }
        let ahead = i64::from(ahead);
        let end = direction.assembler.position().saturating_add_signed(ahead);
        direction.fin.get_or_insert(end);
        self.first_fin.get_or_insert(from);
    }

    /// How it ended, once everything before both ends was seen.
    fn ending(&self) -> Option<Ending> {
        let by = Some(self.first_fin?);
        let over = self.directions.iter().all(Direction::is_finished);
        over.then_some(Ending { how: How::Fin, by })
    }

    /// Runs the assembler of one direction, what it gives out going to the streams.
    fn assemble<R>(
        &mut self,
        from: Sender,
        env: &mut Env<'_>,
        run: impl FnOnce(&mut Assembler, &mut dyn FnMut(Piece<'_>)) -> R,
    ) -> R {
        let Self { directions, streams, .. } = self;
        run(&mut directions[from as usize].assembler, &mut |piece| match piece {
            Piece::Data(bytes) => streams.data(from, bytes, env),
            Piece::Gap(bytes, Cause::Elided) => streams.elided(from, bytes, env),
            Piece::Gap(bytes, cause) => streams.gap(from, bytes, cause.into(), env),
        })
    }

    /// Gives up waiting for whatever is missing.
    pub(super) fn give_up_holes(&mut self, env: &mut Env<'_>) -> Option<Ending> {
        let has_ended = self.has_ended();
        for from in [Sender::Client, Sender::Server] {
            let direction = &self.directions[from as usize];
            match direction.fin {
                Some(fin) if has_ended => {
                    self.assemble(from, env, |assembler, out| assembler.give_up_until(fin, out));
                }
                _ => self.assemble(from, env, Assembler::give_up),
            }
        }
        self.look_at_holes(env);
        self.ending()
    }

    fn look_at_holes(&mut self, env: &Env<'_>) {
        let has_ended = self.has_ended();
        let holes = self.directions.each_mut().map(|it| it.look_at_hole(has_ended, env.tell.time));
        self.has_hole = holes.contains(&true);
    }

    /// Whether both sides have said that they end.
    fn has_ended(&self) -> bool {
        self.directions.iter().all(|direction| direction.fin.is_some())
    }

    /// Ends what is in progress and tells of the end.
    pub(super) fn close(&mut self, ending: Ending, env: &mut Env<'_>) {
        self.flush(env);
        let meta = &self.streams.meta;
        let close = TcpClose {
            by: ending.by,
            how: ending.how,
            duration_ms: self.last_seen.saturating_sub(meta.started) / 1_000_000,
            traffic: meta.traffic,
            ws_close: meta.ws_close(),
        };
        meta.emit(ending.by, Body::TcpClose(close), &mut env.tell);
    }

    /// Gives out what waits and what is unfinished: the capture ends, or the connection does.
    pub(super) fn flush(&mut self, env: &mut Env<'_>) {
        self.give_up_holes(env);
        self.streams.end(env);
    }
}
