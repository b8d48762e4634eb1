//! Where segments come from. The only part that opens files and sockets; what comes out of every
//! source is a [`Segment`](crate::segment::Segment).

pub mod file;
#[cfg(feature = "live")]
pub mod live;
