//! Shows, live, what a WebSocket service says and hears.
//!
//! Data goes one way: `capture` yields [`segment::Segment`]s, `tcp` puts the streams together,
//! `http` and `ws` decode them, `session` holds the connections' states, `event` is what it has to
//! say, `output` formats that and `sink` takes it where it is wanted. The modules in the middle are
//! pure: no I/O, no clock, no threads.

pub mod capture;
pub mod cli;
pub mod config;
pub mod config_file;
pub mod event;
pub mod http;
pub mod invocation;
#[cfg(feature = "live")]
pub mod live;
pub mod logs;
pub mod metrics;
pub mod output;
pub mod pipeline;
pub mod read;
#[cfg(feature = "live")]
pub mod sandbox;
pub mod segment;
pub mod session;
pub mod sink;
pub mod tcp;
#[cfg(test)]
mod test_random;
mod writable;
pub mod ws;
