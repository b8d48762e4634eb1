//! TCP as a bystander sees it: segments in any order go in, each direction's bytes come out once
//! and in order, with what is missing named. Pure: no I/O, no clock.

pub mod assembler;
pub mod options;
mod recent;
pub mod seq;
