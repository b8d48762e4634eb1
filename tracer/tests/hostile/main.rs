//! What peers may send to whoever watches them: hostile captures, made while they are read, go into
//! the real program; the events have to be right, the exit status 0, and the memory bounded.
//!
//! `cargo test --release -p tracer --test hostile -- --nocapture` prints the peaks.

#[path = "../forge/encode.rs"]
mod encode;
#[path = "../observed/mod.rs"]
mod observed;

mod bombs;
mod capture;
mod floods;
mod frames;
mod heads;
mod holes;
mod overlaps;
mod rules;
mod run;
mod talk;
