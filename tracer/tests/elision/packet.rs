//! A segment on the wire, as the comparison has it.

use tracer::segment::{Endpoint, Nanos, Segment};

/// A segment on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) time: Nanos,
    pub(crate) from_client: bool,
    pub(crate) interface: u32,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u16,
    pub(crate) payload: Vec<u8>,
    /// The ring had no room for it.
    pub(crate) is_lost: bool,
}

impl Packet {
    /// As a capture that copies everything shows it.
    pub(crate) fn segment(&self) -> Segment<'_> {
        let Packet { time, from_client, interface, seq, ack, flags, payload, is_lost: _ } = self;
        let [client, server] = [60_000, 7272].map(|port| Endpoint { address: [1; 16], port });
        let (source, destination) = if *from_client { (client, server) } else { (server, client) };
        Segment {
            time: *time,
            interface: *interface,
            source,
            destination,
            seq: *seq,
            ack: *ack,
            window: 500,
            flags: *flags,
            options: &[],
            payload_len: payload.len() as u32,
            offset: 0,
            payload,
            more: false,
            left_out: 0,
            elided: 0,
            frame_at: None,
        }
    }
}
