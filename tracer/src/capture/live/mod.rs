//! Capture from the running kernel: loads the classifier, attaches it to interfaces, and takes its
//! records out of the ring buffer.

pub mod attach;
pub mod counters;
pub mod descriptors;
#[cfg(feature = "ebpf-log")]
pub mod diagnostics;
pub mod filters;
pub mod flows;
pub mod interface;
pub mod level;
pub mod place;
pub mod privilege;
pub mod program;
pub mod ring;
pub mod ring_capture;
pub mod wishes;
