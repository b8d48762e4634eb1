//! Packets that can be cut: a capture file or a made connection comes in, owned segments go out.

use std::{fs::File, path::PathBuf, sync::Arc};

use tracer::{
    capture::file::Reader,
    segment::{Endpoint, Nanos, Segment},
    ws::receiver::Sender,
};
use tracer_common::packet::flags::SYN;

/// The server's port in every capture.
pub(crate) const PORT: u16 = 7272;

/// A segment as it was captured.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) time: Nanos,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u16,
    pub(crate) payload: Arc<[u8]>,
    /// How much of the payload was captured.
    pub(crate) captured: usize,
}

/// One direction of one connection.
pub(crate) type Direction = (Endpoint, Sender);

impl Packet {
    fn new(segment: &Segment<'_>) -> Self {
        assert_eq!(segment.payload.len() as u32, segment.payload_len, "nothing is cut yet");
        let Segment { time, source, destination, seq, ack, flags, .. } = *segment;
        let (payload, captured) = (Arc::from(segment.payload), segment.payload.len());
        Self { time, source, destination, seq, ack, flags, payload, captured }
    }

    /// What a capture source makes of it.
    pub(crate) fn segment(&self) -> Segment<'_> {
        let Self { time, source, destination, seq, ack, flags, .. } = *self;
        Segment {
            time,
            interface: 1,
            source,
            destination,
            seq,
            ack,
            window: 512,
            flags,
            options: &[],
            payload_len: self.payload.len() as u32,
            offset: 0,
            payload: &self.payload[..self.captured],
            more: false,
            left_out: 0,
            elided: 0,
            frame_at: None,
        }
    }

    /// The client, and who of the two sent this.
    pub(crate) fn direction(&self) -> Direction {
        if self.source.port == PORT {
            (self.destination, Sender::Server)
        } else {
            (self.source, Sender::Client)
        }
    }

    /// Sequence number of the payload's first byte.
    pub(crate) fn payload_seq(&self) -> u32 {
        self.segment().payload_seq()
    }

    pub(crate) fn is_syn(&self) -> bool {
        self.flags & SYN != 0
    }
}

/// Every TCP segment of the capture file called `name`.
pub(crate) fn read(name: &str) -> Vec<Packet> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/captures", name].iter().collect();
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut reader = Reader::new(file).expect("a capture file");
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet().expect("a whole file") {
        packets.push(Packet::new(&packet.segment().expect("a TCP segment")));
    }
    packets
}
