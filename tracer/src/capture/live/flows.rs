//! Tells the classifier what of which flows need not be copied.

use std::io;

use aya::{
    Pod,
    maps::{Array, HashMap, MapData, MapError},
    sys::SyscallError,
};
use tracer_common::{
    flow::{Bypassed, FlowKey},
    follow::Followed,
    ports::PortSet,
};

use crate::segment::Segment;

/// Leave an entry that exists as it is (`BPF_NOEXIST` of `linux/bpf.h`).
const NEW_ONLY: u64 = 1;
/// Add or replace (`BPF_ANY`).
const ANY: u64 = 0;

/// The classifier's tables. One that is full makes room by itself.
pub struct Flows {
    pub(super) bypassed: HashMap<MapData, FlowKey, Bypassed>,
    pub(super) has_bypassed: Array<MapData, u32>,
    pub(super) confirmed: HashMap<MapData, FlowKey, u64>,
    pub(super) followed: HashMap<MapData, FlowKey, Followed>,
    pub(super) has_followed: Array<MapData, u32>,
}

impl Flows {
    /// Stops the copying of a segment's direction where it was seen.
    pub fn bypass(&mut self, segment: &Segment<'_>) -> Result<(), MapError> {
        match self.bypassed.insert(key(segment), Bypassed::default(), NEW_ONLY) {
            Err(error) if kind(&error) != Some(io::ErrorKind::AlreadyExists) => return Err(error),
            _ => {}
        }
        self.has_bypassed.set(0, 1, 0)
    }

    /// Lets the classifier leave out what is not shown: what it said with this record is right.
    pub fn confirm(&mut self, segment: &Segment<'_>) -> Result<(), MapError> {
        self.confirmed.insert(key(segment), segment.time, ANY)
    }

    /// Leaves out what is before a sequence number.
    pub fn skip_until(&mut self, segment: &Segment<'_>, end: u32) -> Result<(), MapError> {
        self.followed.insert(key(segment), Followed::until(end), ANY)?;
        self.has_followed.set(0, 1, 0)
    }

    /// Forgets what was said of flows of other ports than these, or on other interfaces. Of those the
    /// classifier sees nothing, not even that a new connection has the same ends.
    pub fn forget_all_but(&mut self, ports: &PortSet, interfaces: &[u32]) -> Result<(), MapError> {
        let is_gone = |key: &FlowKey| {
            let has_port = [key.source_port, key.destination_port].map(|port| ports.contains(port));
            has_port == [false; 2] || !interfaces.contains(&key.interface)
        };
        forget(&mut self.bypassed, is_gone)?;
        forget(&mut self.confirmed, is_gone)?;
        forget(&mut self.followed, is_gone)
    }

    /// Has everything copied again.
    pub fn unfollow(&mut self, segment: &Segment<'_>) -> Result<(), MapError> {
        or_not_there(self.followed.remove(&key(segment)))
    }
}

/// Removes entries. The classifier may have removed some by then.
fn forget<V: Pod>(
    table: &mut HashMap<MapData, FlowKey, V>,
    is_gone: impl Fn(&FlowKey) -> bool,
) -> Result<(), MapError> {
    let gone: Vec<_> = table.keys().filter_map(Result::ok).filter(is_gone).collect();
    gone.iter().try_for_each(|key| or_not_there(table.remove(key)))
}

/// What is not there need not be removed.
fn or_not_there(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(error) if kind(&error) == Some(io::ErrorKind::NotFound) => Ok(()),
        result => result,
    }
}

/// The direction of a segment, as the classifier's tables have it.
pub fn key(segment: &Segment<'_>) -> FlowKey {
    FlowKey {
        source: segment.source.address.into(),
        destination: segment.destination.address.into(),
        source_port: segment.source.port,
        destination_port: segment.destination.port,
        interface: segment.interface,
    }
}

fn kind(error: &MapError) -> Option<io::ErrorKind> {
    match error {
        MapError::SyscallError(SyscallError { io_error, .. }) => Some(io_error.kind()),
        _ => None,
    }
}
