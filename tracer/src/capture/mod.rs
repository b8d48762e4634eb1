//! Where segments come from. The only part that opens files and sockets; what comes out of every
//! source is a [`Segment`](crate::segment::Segment).

#[cfg(feature = "live")]
pub mod clock;
pub mod file;
#[cfg(feature = "libpcap")]
pub mod libpcap;
#[cfg(feature = "live")]
pub mod live;
#[cfg(feature = "live")]
pub mod netns;
#[cfg(feature = "live")]
mod running;

#[cfg(feature = "live")]
pub use running::{Answer, Capture};
