//! Shows, live, what a WebSocket service says and hears.
//!
//! Data goes one way: `capture` yields [`segment::Segment`]s, `tcp` puts the streams together,
//! `http` and `ws` decode them, `session` holds the connections' states, `event` is what it has to
//! say and `output` writes that. The modules in the middle are pure: no I/O, no clock, no threads.

pub mod capture;
pub mod cli;
pub mod config;
pub mod config_file;
pub mod event;
pub mod http;
#[cfg(feature = "live")]
pub mod live;
pub mod notice;
pub mod output;
pub mod pipeline;
pub mod read;
pub mod segment;
pub mod session;
pub mod tcp;
#[cfg(test)]
mod test_random;
#[cfg(feature = "live")]
mod writable;
pub mod ws;
