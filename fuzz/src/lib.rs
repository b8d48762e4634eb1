//! What the fuzz targets share: reading an input's bytes as instructions, counting memory, a wire
//! to drive the tracker with, and a sink that checks every event's lines.

pub mod input;
pub mod memory;
pub mod sink;
pub mod wire;
