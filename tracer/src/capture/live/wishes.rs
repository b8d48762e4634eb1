//! What the decoder does not want, passed on to the classifier.

use std::sync::{Arc, Mutex, PoisonError};

use aya::maps::MapError;
use tracer_common::flow::FlowKey;

use super::flows::{self, Flows};
use crate::{
    notice::notice,
    segment::{Interest, Segment},
};

/// Passes wishes on. Clones do so to the same classifier: wishes are rare, a lock does.
#[derive(Clone)]
pub struct Wishes {
    flows: Arc<Mutex<Option<Flows>>>,
    bypass: bool,
    /// The latest flow to bypass: some of its segments are in the ring already.
    bypassed: Option<FlowKey>,
}

impl Wishes {
    /// `bypass`: what is no WebSocket need not be copied.
    pub fn new(flows: Flows, bypass: bool) -> Self {
        Self { flows: Arc::new(Mutex::new(Some(flows))), bypass, bypassed: None }
    }

    /// Does what follows from the decoder's interest in a segment. Where that fails, everything is
    /// copied as before.
    pub fn heed(&mut self, interest: Interest, segment: &Segment<'_>) {
        let wish: fn(&mut Flows, &Segment<'_>) -> Result<(), MapError> = match interest {
            Interest::Payload => return,
            Interest::Nothing if !self.bypass || segment.payload.is_empty() => return,
            Interest::Nothing => {
                let key = Some(flows::key(segment));
                if self.bypassed == key {
                    return;
                }
                self.bypassed = key;
                Flows::bypass
            }
            Interest::Headers => Flows::confirm,
            Interest::Everything => Flows::unfollow,
        };
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = flows.as_mut().map(|flows| wish(flows, segment)) {
            notice(format_args!("cannot tell the kernel what need not be copied: {error}"));
            *flows = None;
        }
    }
}
