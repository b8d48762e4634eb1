//! The output model: what the tracer has to say, typed, borrowed from the segments it came from.
//! Serialized, an event is the JSON object of the documented schema.

mod body;

pub use body::*;
use serde::Serialize;

use crate::{
    segment::{Endpoint, Nanos},
    ws::receiver::Sender,
};

/// Version of the schema, in the `start` event. It grows when a field changes its meaning or goes;
/// new events and fields may come without.
pub const SCHEMA_VERSION: u32 = 1;

/// A connection as every event names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Unique in the run.
    pub id: u64,
    /// Who sent the SYN or the upgrade request.
    pub client: Endpoint,
    /// The other side.
    pub server: Endpoint,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// When the segment that completed it was captured.
    pub time: Nanos,
    /// The connection that it happened on.
    pub conn: Option<Conn>,
    /// Who sent what it tells of.
    pub from: Option<Sender>,
    /// What happened.
    pub body: Body<'a>,
}

/// Where events go.
pub trait Sink {
    /// Takes an event. What is borrowed is valid during the call.
    fn emit(&mut self, event: &Event<'_>);
}

impl<F: FnMut(&Event<'_>)> Sink for F {
    fn emit(&mut self, event: &Event<'_>) {
        self(event);
    }
}

impl Serialize for Sender {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
