//! The stages of decoding, each with traffic of its own: what `speed` times and `instructions`
//! counts. Setting up is not measured, running is.

mod crowd;
pub(crate) mod traffic;

use std::{hint::black_box, io};

use clap::Parser as _;
use tracer::{
    capture::file::Reader,
    cli::Cli,
    config::{Config, Surroundings},
    metrics::Board,
    pipeline::{Finished, Pipeline},
    tcp::assembler::{Assembler, Piece},
    ws::{
        extension::Side,
        inflaters::Inflaters,
        receiver::{Compression, Context, Item, Receiver, Sender},
    },
};

/// Payload bytes shown of a message, the program's default.
const PAYLOAD_LIMIT: usize = 4096;
/// A small message.
const SMALL: usize = 100;
/// A large message.
const LARGE: usize = 64 << 10;

/// Something to measure.
pub(crate) struct Stage {
    /// Messages, or packets, in a run.
    pub(crate) items: u64,
    /// Payload bytes, or a whole file's, in a run.
    pub(crate) bytes: u64,
    /// Does it all once.
    pub(crate) run: Box<dyn FnMut()>,
}

/// Makes what a stage needs.
type SetUp = fn() -> Stage;

/// The stages by name, in the order of the data's way.
pub(crate) const STAGES: [(&str, SetUp); 17] = [
    ("read-and-dissect", dissect),
    ("assemble", || assemble(|_| {})),
    ("assemble-reordered", || assemble(|segments| segments.chunks_mut(2).for_each(<[_]>::reverse))),
    ("handshake", handshake),
    ("frames-100B", || frames(traffic::frames(1000, SMALL), 1000, Compression::None)),
    ("frames-64KiB", || frames(traffic::frames(20, LARGE), 20, Compression::None)),
    ("inflate-100B", || inflate(1000, SMALL)),
    ("inflate-64KiB", || inflate(20, LARGE)),
    ("echo-100B-json", || pipeline(traffic::echo(64, 80, SMALL), 10_240, "--format json")),
    ("echo-100B-text", || pipeline(traffic::echo(64, 80, SMALL), 10_240, "--format text")),
    ("echo-100B-no-payload", || {
        pipeline(traffic::echo(64, 80, SMALL), 10_240, "--format json --payload-limit 0")
    }),
    ("echo-100B-metered", || {
        let file = traffic::echo(64, 80, SMALL);
        decoded(file, 10_240, "--format json", |pipeline| pipeline.count_for(&Board::new(1, false)))
    }),
    ("metered-drain", drains),
    ("message-of-64", || crowd::echo(64, 64)),
    ("message-of-1000-in-10000", || crowd::echo(10_000, 1000)),
    ("stream-64KiB-json", || pipeline(traffic::stream(80, LARGE), 80, "--format json")),
    ("stream-64KiB-no-payload", || {
        pipeline(traffic::stream(80, LARGE), 80, "--format json --payload-limit 0")
    }),
];

fn dissect() -> Stage {
    let file = traffic::echo(64, 10, SMALL);
    let bytes = file.len() as u64;
    let items = count_packets(&file);
    let run = move || {
        let mut reader = Reader::new(&file[..]).expect("a capture file");
        while let Some(packet) = reader.next_packet().expect("a whole file") {
            black_box(packet.segment().expect("TCP"));
        }
    };
    Stage { items, bytes, run: Box::new(run) }
}

fn count_packets(file: &[u8]) -> u64 {
    let mut reader = Reader::new(file).expect("a capture file");
    let mut packets = 0;
    while reader.next_packet().expect("a whole file").is_some() {
        packets += 1;
    }
    packets
}

/// Segments of a small message each; `order` is how they come.
fn assemble(order: fn(&mut [(u32, Vec<u8>)])) -> Stage {
    const SEGMENTS: u32 = 1000;
    let len = traffic::frames(1, SMALL).len() as u32;
    let mut segments: Vec<_> =
        (0..SEGMENTS).map(|n| (n * len, traffic::frames(1, SMALL))).collect();
    order(&mut segments);
    let run = move || {
        let mut assembler = Assembler::default();
        assembler.anchor(0);
        for (seq, payload) in &segments {
            assembler.segment(*seq, payload, 0, &mut |piece: Piece<'_>| {
                black_box(piece);
            });
        }
        assert_eq!(assembler.position(), u64::from(SEGMENTS * len));
    };
    Stage { items: u64::from(SEGMENTS), bytes: u64::from(SEGMENTS * len), run: Box::new(run) }
}

/// Connections that upgrade, and say nothing.
fn handshake() -> Stage {
    const CONNECTIONS: u16 = 64;
    let Stage { bytes, run, .. } =
        pipeline(traffic::echo(CONNECTIONS, 0, SMALL), 0, "--format json");
    Stage { items: u64::from(CONNECTIONS), bytes, run }
}

/// What a receiver makes of a client's frames, in pieces of a segment's size.
fn frames(stream: Vec<u8>, messages: u64, compression: Compression) -> Stage {
    const PIECE: usize = 32 << 10;
    let bytes = stream.len() as u64;
    let (mut inflaters, mut scratch) = (Inflaters::new(1), Vec::new());
    let run = move || {
        let mut found = 0;
        let mut receiver = Receiver::new(Sender::Client, compression, 0);
        let out = &mut |item: Item<'_>| match black_box(item) {
            Item::Message(message) => found += u64::from(!message.is_invalid_text()),
            Item::Frame(..) => {}
            other => panic!("{other:?}"),
        };
        let (inflaters, scratch) = (&mut inflaters, &mut scratch);
        let mut context = Context { payload_limit: PAYLOAD_LIMIT, inflaters, scratch, out };
        for piece in stream.chunks(PIECE) {
            receiver.data(piece, &mut context).expect("frames");
        }
        assert_eq!(found, messages);
    };
    Stage { items: messages, bytes, run: Box::new(run) }
}

/// The same of compressed messages; counts the inflated bytes.
fn inflate(messages: u16, len: usize) -> Stage {
    let side = Side { window_bits: 15, no_context_takeover: false };
    let stream = traffic::compressed_frames(usize::from(messages), len);
    let bytes = u64::from(messages) * len as u64;
    Stage { bytes, ..frames(stream, u64::from(messages), Compression::Deflate(side)) }
}

/// What `--metrics` takes for a turn of the consumer, however many messages that has.
fn drains() -> Stage {
    const DRAINS: u64 = 1000;
    let mut pipeline = Pipeline::new(&config("--format json"), Box::new(io::sink()));
    pipeline.count_for(&Board::new(1, false));
    let run = move || (0..DRAINS).for_each(|_| pipeline.tick(0, |_| {}));
    Stage { items: DRAINS, bytes: 0, run: Box::new(run) }
}

fn config(options: &str) -> Config {
    let arguments = ["tracer", "-r", "-"].into_iter().chain(options.split_whitespace());
    let cli = Cli::try_parse_from(arguments).expect("options");
    Config::new(cli, Surroundings::default()).expect("a configuration")
}

/// A whole file, from its bytes to lines that nobody reads.
fn pipeline(file: Vec<u8>, messages: u64, options: &str) -> Stage {
    decoded(file, messages, options, |_| {})
}

/// The same by a pipeline that is prepared first.
fn decoded(file: Vec<u8>, messages: u64, options: &str, prepare: fn(&mut Pipeline)) -> Stage {
    let bytes = file.len() as u64;
    let config = config(options);
    let run = move || {
        let mut pipeline = Pipeline::new(&config, Box::new(io::sink()));
        prepare(&mut pipeline);
        let mut reader = Reader::new(&file[..]).expect("a capture file");
        let mut time = 0;
        while let Some(packet) = reader.next_packet().expect("a whole file") {
            time = packet.time;
            pipeline.segment(&packet.segment().expect("TCP"));
        }
        let Finished { stats, written, .. } = pipeline.finish(time, |_| {});
        written.expect("nothing can fail");
        let stats = stats.expect("the only pipeline has ended");
        assert_eq!((stats.messages, stats.violations, stats.gaps), (messages, 0, 0));
    };
    Stage { items: messages, bytes, run: Box::new(run) }
}
