//! What an endpoint notes of its connection as it goes: each message and control frame that it
//! sent or received, in order.

use crate::observed::{Conversation, Conversations, Item};

/// One endpoint's notes on one connection.
#[derive(Clone)]
pub(crate) struct Log {
    /// The client's `ip:port`, as the tracer writes it.
    pub(crate) client: String,
    /// What was said.
    pub(crate) said: Conversation,
}

impl Log {
    /// Of a connection on which nothing was said yet.
    pub(crate) fn new(client: std::net::SocketAddr) -> Self {
        Self { client: client.to_string(), said: Conversation::default() }
    }

    /// The client sends, or the server receives.
    pub(crate) fn c2s(&mut self, opcode: &str, payload: &[u8]) {
        self.said.c2s.push(Item::new(opcode, payload));
    }

    /// The server sends, or the client receives.
    pub(crate) fn s2c(&mut self, opcode: &str, payload: &[u8]) {
        self.said.s2c.push(Item::new(opcode, payload));
    }
}

/// The logs of one side, by client.
pub(crate) fn conversations(logs: impl IntoIterator<Item = Log>) -> Conversations {
    logs.into_iter().map(|log| (log.client, log.said)).collect()
}
