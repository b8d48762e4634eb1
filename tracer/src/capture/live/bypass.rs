//! Tells the classifier which flows need not be copied.

use std::io;

use aya::{
    maps::{Array, HashMap, MapData, MapError},
    sys::SyscallError,
};
use tracer_common::flow::{Bypassed, FlowKey};

use crate::segment::Segment;

/// Leave an entry that exists as it is (`BPF_NOEXIST` of `linux/bpf.h`).
const NEW_ONLY: u64 = 1;

/// The classifier's table of bypassed flows.
pub struct Bypass {
    flows: HashMap<MapData, FlowKey, Bypassed>,
    has_flows: Array<MapData, u32>,
    /// The one added last: some of its segments are in the ring already.
    latest: Option<FlowKey>,
}

impl Bypass {
    /// Adds to these maps.
    pub fn new(flows: HashMap<MapData, FlowKey, Bypassed>, has_flows: Array<MapData, u32>) -> Self {
        Self { flows, has_flows, latest: None }
    }

    /// Stops the copying of a segment's direction where it was seen. A full table makes room.
    pub fn add(&mut self, segment: &Segment<'_>) -> Result<(), MapError> {
        let key = FlowKey {
            source: segment.source.address,
            destination: segment.destination.address,
            source_port: segment.source.port,
            destination_port: segment.destination.port,
            interface: segment.interface,
        };
        if self.latest == Some(key) {
            return Ok(());
        }
        match self.flows.insert(key, Bypassed::default(), NEW_ONLY) {
            Err(error) if !already_exists(&error) => return Err(error),
            _ => {}
        }
        self.latest = Some(key);
        self.has_flows.set(0, 1, 0)
    }
}

fn already_exists(error: &MapError) -> bool {
    matches!(
        error,
        MapError::SyscallError(SyscallError { io_error, .. })
            if io_error.kind() == io::ErrorKind::AlreadyExists
    )
}
