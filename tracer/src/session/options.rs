//! What a user can choose about decoding, and the bounds of its memory.

use tracer_common::ports::PortSet;

use crate::segment::{Nanos, SECOND};

/// What is wanted.
#[derive(Clone)]
pub struct Options {
    /// The traced ports.
    pub ports: PortSet,
    /// An event for each TCP segment.
    pub segments: bool,
    /// An event for each WebSocket frame.
    pub frames: bool,
    /// Credentials as they are, instead of masked.
    pub show_secrets: bool,
    /// Bounds.
    pub limits: Limits,
}

/// Bounds of memory and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes shown per message.
    pub payload: usize,
    /// Connections followed at a time; beyond, the one not seen for longest goes.
    pub connections: usize,
    /// SYNs remembered until they are answered.
    pub half_open: usize,
    /// Bytes of one direction that may wait for a missing segment.
    pub waiting_per_direction: usize,
    /// Bytes that all connections may hold: what waits for missing segments, heads and messages in
    /// progress, deflate windows. Beyond, the connections that hold most go.
    pub memory: usize,
    /// How long to wait for a missing segment.
    pub reordering: Nanos,
    /// A connection that was silent for so long is given up.
    pub idle: Nanos,
    /// Inflate machines, of [`crate::ws::deflate::Inflater::MEMORY`] bytes each, besides `memory`.
    pub inflaters: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 4096,
            connections: 65_536,
            half_open: 16_384,
            waiting_per_direction: 4 << 20,
            memory: 256 << 20,
            // Longer than a retransmission or two take (RFC 6298: 1 s at first, then doubled).
            reordering: 3 * SECOND,
            // Longer than TCP keep-alives are apart (tcp(7): 2 hours).
            idle: 7_800 * SECOND,
            inflaters: 256,
        }
    }
}
