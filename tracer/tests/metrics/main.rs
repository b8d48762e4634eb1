//! Metrics against events: captures go through pipelines that count for one board, and every series is
//! what the events that they wrote add up to.

#[path = "../exposed/mod.rs"]
mod exposed;
#[path = "../forge/mod.rs"]
mod forge;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../observed/mod.rs"]
mod observed;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use clap::Parser as _;
use exposed::{Exposed, assert_adds_up};
use forge::{CLOSE, Forged, TEXT, frame};
use observed::Event;
use tracer::{
    capture::file::{LinkType, RawPacket, Reader},
    cli::Cli,
    config::{Config, Surroundings},
    metrics::{Board, Snapshot, encode},
    output::Look,
    pipeline::Pipeline,
    segment::SECOND,
    sink::Feed,
};

/// Lines that several pipelines have written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So many pipelines that count for a board, and what they write.
fn pipelines(count: usize, options: &str) -> (Vec<Pipeline>, Arc<Board>, Lines) {
    let arguments = ["tracer", "-r", "-", "--format", "json"].into_iter();
    let cli = Cli::try_parse_from(arguments.chain(options.split_whitespace())).expect("options");
    let config = Config::new(cli, Surroundings::default()).expect("a configuration");
    let lines = Lines::default();
    let feeds = (0..count).map(|_| Feed::direct(Look::Json, Box::new(lines.clone()))).collect();
    let mut pipelines = Pipeline::several(&config, feeds);
    let board = Board::new(count, false);
    pipelines.iter_mut().for_each(|pipeline| pipeline.count_for(&board));
    (pipelines, board, lines)
}

/// Ends the run: what is exposed, and the events.
fn finish(pipelines: Vec<Pipeline>, board: &Board, lines: &Lines) -> (Exposed, Vec<Event>) {
    for pipeline in pipelines {
        pipeline.finish(u64::MAX, |_| {}).written.expect("memory can be written to");
    }
    let snapshot = Snapshot { counted: board.sum(), ..Snapshot::default() };
    let events = Event::parse_all(&lines.0.lock().expect("no panic"));
    (Exposed::parse(&encode(snapshot)), events)
}

fn read(pipeline: &mut Pipeline, capture: &Path) {
    let file = fs::read(capture).expect("a capture");
    let mut reader = Reader::new(&file[..]).expect("a capture file");
    while let Some(packet) = reader.next_packet().expect("a whole file") {
        let time = packet.time;
        if let Ok(segment) = packet.segment() {
            pipeline.segment(&segment);
        }
        pipeline.tick(time, |_| {});
    }
}

#[test]
fn figures_are_what_the_events_add_up_to() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let entries = fs::read_dir(folder).expect("captures").map(|entry| entry.expect("one").path());
    let is_capture =
        |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "pcap" || e == "pcapng");
    let captures: Vec<_> = entries.filter(is_capture).collect();
    assert!(captures.len() > 9, "{captures:?}");
    let ports = "--port 1-65535 --stats-interval 0";
    let (mut pipelines, board, lines) = pipelines(captures.len(), ports);
    pipelines.iter_mut().zip(&captures).for_each(|(pipeline, file)| read(pipeline, file));
    let (exposed, events) = finish(pipelines, &board, &lines);
    assert_adds_up(&exposed, &events);
    // Nothing of this is 0 because nothing was there.
    for series in [
        "tracer_messages_total{from=\"server\",opcode=\"binary\"}",
        "tracer_close_frames_total{from=\"client\",code=\"4xxx\"}",
        "tracer_websocket_closed_total{code=\"1006\"}",
        "tracer_closed_connections_total{how=\"rst\"}",
        "tracer_not_websocket_total{looks_like=\"tls\"}",
        "tracer_ping_seconds_count{from=\"client\"}",
        "tracer_gap_bytes_total{cause=\"snaplen\"}",
        "tracer_websocket_handshake_seconds_count",
        "tracer_http_responses_total{class=\"4xx\"}",
    ] {
        assert!(exposed.value(series) > 0.0, "{series}");
    }
}

/// A client that breaks a rule in every frame.
fn unmasked(messages: usize) -> Vec<Vec<u8>> {
    let [client, server] =
        ["10.0.0.1:40000", "10.0.0.2:7272"].map(|end| end.parse().expect("it is"));
    let mut forged = Forged::new(client, server, "/", "");
    (0..messages).for_each(|_| forged.client(&frame(TEXT, None, b"bare")));
    forged.client(&frame(CLOSE, None, &2999_u16.to_be_bytes()));
    forged.finish()
}

#[test]
fn violations_are_counted_by_rule_also_those_that_are_not_told() {
    let (mut pipelines, board, lines) = pipelines(1, "");
    for (time, packet) in unmasked(150).iter().enumerate() {
        let wire_len = packet.len() as u32;
        let (time, link_type) = (time as u64 * SECOND, LinkType::Raw);
        let packet = RawPacket { time, interface: 0, link_type, bytes: packet, wire_len };
        pipelines[0].segment(&packet.segment().expect("TCP"));
    }
    let (exposed, events) = finish(pipelines, &board, &lines);
    let rule = |rule| exposed.value(&format!("tracer_violations_total{{rule=\"{rule}\"}}"));
    assert_eq!(rule("mask-missing"), 151.0);
    assert_eq!(rule("close-code"), 1.0);
    assert_eq!(events.iter().filter(|event| event.kind() == "ws.violation").count(), 100);
    let close = "tracer_close_frames_total{from=\"client\",code=\"other\"}";
    assert_eq!(exposed.value(close), 1.0);
}
