//! What the decoder does not want, passed on to the classifier.

use tracer_common::flow::FlowKey;

use super::flows::{self, Flows};
use crate::{
    notice::notice,
    segment::{Interest, Segment},
};

/// Passes wishes on.
pub struct Wishes {
    flows: Option<Flows>,
    bypass: bool,
    /// The latest flow to bypass: some of its segments are in the ring already.
    bypassed: Option<FlowKey>,
}

impl Wishes {
    /// `bypass`: what is no WebSocket need not be copied.
    pub fn new(flows: Flows, bypass: bool) -> Self {
        Self { flows: Some(flows), bypass, bypassed: None }
    }

    /// Does what follows from the decoder's interest in a segment. Where that fails, everything is
    /// copied as before.
    pub fn heed(&mut self, interest: Interest, segment: &Segment<'_>) {
        let Some(flows) = &mut self.flows else { return };
        let result = match interest {
            Interest::Payload => return,
            Interest::Nothing if !self.bypass || segment.payload.is_empty() => return,
            Interest::Nothing => {
                let key = Some(flows::key(segment));
                if self.bypassed == key {
                    return;
                }
                self.bypassed = key;
                flows.bypass(segment)
            }
            Interest::Headers => flows.confirm(segment),
            Interest::Everything => flows.unfollow(segment),
        };
        if let Err(error) = result {
            notice(format_args!("cannot tell the kernel what need not be copied: {error}"));
            self.flows = None;
        }
    }
}
