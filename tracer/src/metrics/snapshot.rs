//! All figures of one moment: what the pipelines have counted, and what only the run around them knows,
//! comes in; `exposition` writes it down.

use tracer_common::counters::Counters;

use super::Counted;

/// All figures of one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What the pipelines have counted.
    pub counted: Counted,
    /// The classifier's counters; `None` where there is no classifier.
    pub kernel: Option<Counters>,
    /// The ring buffers.
    pub rings: Vec<Ring>,
    /// Where the tracer listens.
    pub attached: Attached,
    /// Bounds that were configured.
    pub limits: Limits,
    /// The outputs, as far as they can fall behind.
    pub outputs: Vec<OutputFigures>,
    /// The process.
    pub process: Process,
}

/// A ring buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ring {
    /// Bytes that wait for the consumer.
    pub used: u64,
    /// Bytes of room.
    pub size: u64,
}

/// Where the tracer listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attached {
    /// Interfaces with the classifier on TCX links.
    pub tcx: u64,
    /// Interfaces with the classifier as a filter on a clsact qdisc.
    pub clsact: u64,
    /// Interfaces that libpcap captures on.
    pub libpcap: u64,
    /// Interfaces that could not be attached to, and are tried again.
    pub refused: u64,
}

/// Bounds that were configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Bytes that all connections may hold.
    pub memory: u64,
    /// Connections followed at a time.
    pub connections: u64,
    /// SYNs remembered.
    pub half_open: u64,
}

/// What an output has to say of itself.
#[derive(Clone, Debug, Default)]
pub struct OutputFigures {
    /// Its target, as it was configured.
    pub name: String,
    /// Events that it has written.
    pub written: u64,
    /// Events that it has left out, because it could not keep up or write.
    pub dropped: u64,
    /// Bytes that wait to be written.
    pub queued: u64,
}

/// The process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// When it began, seconds since 1970.
    pub started: f64,
    /// CPU time of all its threads, seconds.
    pub cpu: f64,
    /// Bytes of memory that it has; `None` where that cannot be read.
    pub resident: Option<u64>,
}
