//! What connections came to: each that ends goes in, those with the most messages come out.

use std::cmp::Reverse;

use super::connection::Connection;
use crate::{
    event::{Conn, Traffic},
    segment::Nanos,
};

/// Connections kept for the summary.
const MAX_SUMMARIES: usize = 20;

/// What a connection came to.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionSummary {
    /// The connection.
    pub conn: Conn,
    /// What went each way.
    pub traffic: Traffic,
    /// Whether it carried WebSocket frames.
    pub is_websocket: bool,
    /// From its first to its last segment.
    pub duration: Nanos,
}

impl ConnectionSummary {
    fn messages(&self) -> u64 {
        self.traffic.client_messages + self.traffic.server_messages
    }
}

/// The connections with the most messages, in the order of their numbers.
pub fn busiest(mut summaries: Vec<ConnectionSummary>) -> Vec<ConnectionSummary> {
    summaries.sort_by_key(|summary| Reverse(summary.messages()));
    summaries.truncate(MAX_SUMMARIES);
    summaries.sort_by_key(|summary| summary.conn.id);
    summaries
}

/// Of the connections that have ended, those with the most messages.
#[derive(Default)]
pub(super) struct Summaries(Vec<ConnectionSummary>);

impl Summaries {
    /// Keeps a connection's, unless there are enough with more messages.
    pub(super) fn add(&mut self, connection: &Connection) {
        self.0.push(ConnectionSummary {
            conn: connection.numbering().conn,
            traffic: connection.traffic(),
            is_websocket: connection.is_websocket(),
            duration: connection.last_seen.saturating_sub(connection.started()),
        });
        if self.0.len() > MAX_SUMMARIES {
            let messages = |&i: &usize| self.0[i].messages();
            let least = (0..self.0.len()).min_by_key(messages);
            self.0.swap_remove(least.unwrap_or_default());
        }
    }

    pub(super) fn all(&self) -> Vec<ConnectionSummary> {
        self.0.clone()
    }
}
