//! What the decoder does not want, passed on to the classifier.

use ::tracing::warn;
use std::sync::{Arc, Mutex, PoisonError};

use aya::maps::MapError;
use tracer_common::{flow::FlowKey, ports::PortSet};

use super::flows::{self, Flows};
use crate::segment::{Interest, Segment};

/// Passes wishes on. Clones do so to the same classifier: wishes are rare, a lock does.
#[derive(Clone)]
pub struct Wishes {
    flows: Arc<Mutex<Option<Flows>>>,
    leaves_out: LeavesOut,
    /// The latest that was left out: some of the flow's segments are in the ring already.
    latest: Option<(FlowKey, Interest)>,
}

/// What the user allows to be left out, where it is not wanted.
#[derive(Clone, Copy, Debug)]
pub struct LeavesOut {
    /// Flows that are no WebSocket.
    pub flows: bool,
    /// Long HTTP bodies.
    pub bodies: bool,
}

impl Wishes {
    /// Passes on what goes with `leaves_out`.
    pub fn new(flows: Flows, leaves_out: LeavesOut) -> Self {
        Self { flows: Arc::new(Mutex::new(Some(flows))), leaves_out, latest: None }
    }

    /// Does what follows from the decoder's interest in a segment. Where that fails, everything is
    /// copied as before.
    pub fn heed(&mut self, interest: Interest, segment: &Segment<'_>) {
        match interest {
            Interest::Payload => return,
            Interest::Headers | Interest::Everything => {}
            Interest::Nothing if !self.leaves_out.flows || segment.payload.is_empty() => return,
            Interest::Behind(_) if !self.leaves_out.bodies => return,
            Interest::Nothing | Interest::Behind(_) => {
                let latest = Some((flows::key(segment), interest));
                if self.latest == latest {
                    return;
                }
                self.latest = latest;
            }
        }
        self.pass_on(interest, segment);
    }

    /// Forgets what was said of flows of other ports than these, or on other interfaces.
    pub fn forget_all_but(&self, ports: &PortSet, interfaces: &[u32]) {
        self.tell(|tables| tables.forget_all_but(ports, interfaces));
    }

    fn pass_on(&self, interest: Interest, segment: &Segment<'_>) {
        self.tell(|tables| match interest {
            Interest::Payload => Ok(()),
            Interest::Nothing => tables.bypass(segment),
            Interest::Behind(end) => tables.skip_until(segment, end),
            Interest::Headers => tables.confirm(segment),
            Interest::Everything => tables.unfollow(segment),
        });
    }

    fn tell(&self, what: impl FnOnce(&mut Flows) -> Result<(), MapError>) {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tables) = flows.as_mut() else { return };
        if let Err(error) = what(tables) {
            warn!("cannot tell the kernel what need not be copied: {error}");
            *flows = None;
        }
    }
}
