//! What was said on WebSocket connections: messages and control frames by sender, in order, each
//! known by its opcode and its payload's hash, whoever tells of it.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// Opcodes (RFC 6455 section 5.2).
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The port that all captures were taken on.
pub(super) const SERVER_PORT: u16 = 7272;

/// Who sent something: one side of one connection. The clients of a capture have different ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sender {
    /// The client's port.
    pub(super) client: u16,
    /// Whether the client is the sender, not the server.
    pub(super) is_client: bool,
}

impl Sender {
    /// By the ports of a segment; nobody where neither or both are the server's.
    pub(super) fn of(source: u16, destination: u16) -> Option<Self> {
        match (source == SERVER_PORT, destination == SERVER_PORT) {
            (false, true) => Some(Self { client: source, is_client: true }),
            (true, false) => Some(Self { client: destination, is_client: false }),
            _ => None,
        }
    }
}

/// What is known in order among itself: endpoints log messages, pings and pongs, and the close
/// apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Text and binary messages.
    Messages,
    /// Pings and pongs.
    Pings,
    /// Close frames.
    Closes,
}

impl Group {
    /// Where an opcode belongs.
    pub(super) fn of(opcode: u8) -> Self {
        match opcode {
            CLOSE => Self::Closes,
            PING | PONG => Self::Pings,
            _ => Self::Messages,
        }
    }
}

/// A message or control frame, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Of the message, not of a fragment.
    pub(super) opcode: u8,
    /// SHA-256 of the payload, unmasked and inflated, in hexadecimal.
    pub(super) sha256: String,
}

impl Item {
    /// With this payload.
    pub(super) fn new(opcode: u8, payload: &[u8]) -> Self {
        let digest = Sha256::digest(payload);
        Self { opcode, sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// A close frame. No code and 1005 are the same: the frame was empty (RFC 6455 section 7.1.5).
    pub(super) fn close(code: Option<u16>, reason: &str) -> Self {
        let mut payload = Vec::new();
        if let Some(code) = code.filter(|&code| code != 1005) {
            payload.extend(code.to_be_bytes());
            payload.extend(reason.as_bytes());
        }
        Self::new(CLOSE, &payload)
    }
}

/// Everything said in a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said(pub(super) BTreeMap<(Sender, Group), Vec<Item>>);

impl Said {
    /// Adds the next of its group.
    pub(super) fn push(&mut self, sender: Sender, item: Item) {
        self.0.entry((sender, Group::of(item.opcode))).or_default().push(item);
    }
}
