//! Requests and the responses that answer them, in order (RFC 9112 section 9.3).

use std::collections::VecDeque;

use crate::{http::upgrade, segment::Nanos};

/// Requests that may wait for their responses; pipelining deeper than this is not paired.
const MAX_PENDING: usize = 64;

/// A request that has no response yet.
pub(super) struct Pending {
    /// Its response has no body, whatever the head says.
    pub(super) is_head: bool,
    /// What it asked for, if that was an upgrade to WebSocket.
    pub(super) upgrade: Option<upgrade::Request>,
    pub(super) sent: Nanos,
}

/// The requests of one connection.
#[derive(Default)]
pub(super) struct Exchange {
    pending: VecDeque<Pending>,
}

impl Exchange {
    pub(super) fn request(&mut self, request: Pending) {
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(request);
    }

    /// The request that a response with this status answers. Interim responses answer nothing for
    /// good, except 101, which ends the talk in HTTP.
    pub(super) fn answered(&mut self, status: u16) -> Option<Pending> {
        if matches!(status, 100 | 102..=199) {
            return None;
        }
        let answered = self.pending.pop_front();
        if self.pending.is_empty() {
            // Mostly this was the upgrade, and none comes any more.
            self.pending = VecDeque::new();
        }
        answered
    }

    /// Bytes held for requests without response.
    pub(super) fn memory(&self) -> usize {
        if self.pending.is_empty() {
            return 0;
        }
        let of_upgrade =
            |request: &Pending| request.upgrade.as_ref().map_or(0, upgrade::Request::memory);
        self.pending.iter().map(|request| size_of::<Pending>() + of_upgrade(request)).sum()
    }

    /// Forgets everything: some of it was not captured.
    pub(super) fn lose(&mut self) {
        self.pending.clear();
    }
}
