//! Figures for whoever watches the watcher: events come in, counts of them come out, in OpenMetrics
//! form. Pure: what serves them is in `live`.

mod board;
pub mod classes;
#[cfg(feature = "live")]
mod exposition;
pub mod histogram;
mod meter;
mod snapshot;

pub use board::{Board, Counted, Metering};
#[cfg(feature = "live")]
pub use exposition::encode;
pub use meter::Meter;
pub use snapshot::{Attached, Limits, OutputFigures, Process, Ring, Snapshot};
