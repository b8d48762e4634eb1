//! Connections of which some talk: their segments come out one by one, without end. Nothing is
//! opened or closed while that is measured, so what is counted is what a message costs.

use clap::Parser as _;
use tracer::{
    capture::file::{LinkType, RawPacket},
    cli::Cli,
    config::{Config, Surroundings},
    pipeline::Pipeline,
    segment::{Endpoint, Segment},
};

use super::{SMALL, Stage, traffic};

/// Messages in a run, both ways.
const MESSAGES: usize = 10_000;
/// Coprime to the numbers of talkers: they speak in an order that repeats after all of them.
const STRIDE: usize = 7919;

/// A connection that is open: as little as can be, so that the caches are the decoder's.
#[derive(Clone, Copy)]
struct Open {
    client: Endpoint,
    /// Sequence numbers of what comes next, the client's first.
    next: [u32; 2],
}

/// What is said, and the segment it is said in.
struct Talk {
    segment: Segment<'static>,
    server: Endpoint,
    /// The client's frame, and the server's.
    frames: [Vec<u8>; 2],
}

impl Talk {
    /// The client's next segment, or the server's: each has got all that the other has sent.
    fn next(&self, open: &mut Open, from: usize, time: u64) -> Segment<'_> {
        let payload = self.frames[from].as_slice();
        let ends = [open.client, self.server];
        let (seq, ack) = (open.next[from], open.next[1 - from]);
        open.next[from] = seq.wrapping_add(payload.len() as u32);
        let payload_len = payload.len() as u32;
        let (source, destination) = (ends[from], ends[1 - from]);
        Segment { time, source, destination, seq, ack, payload, payload_len, ..self.segment }
    }
}

/// So many connections, of which the talkers, spread among them, echo messages in turn.
pub(super) fn echo(connections: u16, talkers: u16) -> Stage {
    let cli = Cli::try_parse_from("tracer -r - --format json".split(' ')).expect("options");
    let config = Config::new(cli, Surroundings::default()).expect("a configuration");
    let mut pipeline = Pipeline::new(&config, Box::new(std::io::sink()));
    let mut open: Vec<_> = (0..connections).map(|n| connect(n, &mut pipeline)).collect();
    let talk = talk();
    let (mut turn, mut time) = (0, 0);
    let run = move || {
        for _ in 0..MESSAGES / 2 {
            turn = (turn + STRIDE) % usize::from(talkers);
            time += 1000;
            let open = &mut open[turn * usize::from(connections / talkers)];
            for from in [0, 1] {
                pipeline.segment(&talk.next(open, from, time));
            }
        }
        assert!(!pipeline.is_done());
    };
    Stage { items: MESSAGES as u64, bytes: (MESSAGES * SMALL) as u64, run: Box::new(run) }
}

fn talk() -> Talk {
    let packets = traffic::open(0);
    let segment = dissect(packets.last().expect("the response"));
    let server = segment.source;
    let segment = Segment { options: &[], payload: &[], ..segment };
    Talk { segment, server, frames: traffic::question_and_answer(SMALL) }
}

/// Opens a WebSocket connection.
fn connect(n: u16, pipeline: &mut Pipeline) -> Open {
    let packets = traffic::open(n);
    for packet in &packets {
        pipeline.segment(&dissect(packet));
    }
    let response = dissect(packets.last().expect("the response"));
    let next = [response.ack, response.payload_seq().wrapping_add(response.payload_len)];
    Open { client: response.destination, next }
}

fn dissect(bytes: &[u8]) -> Segment<'_> {
    let wire_len = bytes.len() as u32;
    let packet = RawPacket { time: 0, interface: 0, link_type: LinkType::Raw, bytes, wire_len };
    packet.segment().expect("TCP")
}
