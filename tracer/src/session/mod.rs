//! The state machines between segments and events. Segments go in with their time, events come out
//! through a [`Sink`](crate::event::Sink). Pure: no I/O, no clock; time is what segments and
//! [`Tracker::tick`] say it is.

mod connection;
mod direction;
mod exchange;
mod flow;
mod meta;
mod numbering;
mod options;
mod room;
mod streams;
mod summary;
mod table;
mod tls;
mod tracker;

pub use flow::FlowKey;
pub use options::{Limits, Options};
pub use summary::{ConnectionSummary, busiest};
pub use tracker::{Holdings, Tracker};

#[cfg(test)]
mod tests;
