//! Memory in the steady state: conversations go through the whole pipeline, and once it is warm, none
//! of their messages may cost an allocation.

mod forge;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io,
    net::SocketAddr,
};

use clap::Parser as _;
use forge::{CLOSE, Forged, TEXT, frame};
use tracer::{
    capture::file::{LinkType, RawPacket},
    cli::Cli,
    config::{Config, Surroundings},
    pipeline::{Finished, Pipeline},
};

const KEY: Option<[u8; 4]> = Some([9, 8, 7, 6]);
const BINARY: u8 = 2;
/// Without FIN: a fragment that others follow.
const PART: u8 = 0x7f;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Times that each thing is said; the first half warms up.
const ROUNDS: usize = 200;

/// The system's allocator; counts this thread's calls.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

#[expect(unsafe_code, reason = "a global allocator is an unsafe trait")]
// SAFETY: every call goes to the system's allocator with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `alloc` above, so from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: `at` came from `alloc` above, so from the system's allocator.
        unsafe { System.realloc(at, layout, new_size) }
    }
}

/// Allocations in the second half of a connection on which `talk` is repeated.
fn allocations(options: &str, talk: impl Fn(&mut Forged)) -> u64 {
    let [client, server] = ["10.0.0.1:40000", "10.0.0.2:7272"]
        .map(|address| address.parse::<SocketAddr>().expect("an address"));
    let mut forged = Forged::new(client, server, "/", "");
    (0..ROUNDS).for_each(|_| talk(&mut forged));
    forged.client(&frame(CLOSE, KEY, &[]));
    let packets = forged.finish();
    // The close frame and the end of the connection come once.
    let (steady, end) = packets.split_at(packets.len() - 4);
    let (warm_up, steady) = steady.split_at(steady.len() / 2);

    let arguments = ["tracer", "-r", "-"].into_iter().chain(options.split_whitespace());
    let cli = Cli::try_parse_from(arguments).expect("options");
    let config = Config::new(cli, Surroundings::default()).expect("a configuration");
    let mut pipeline = Pipeline::new(&config, Box::new(io::sink()));
    warm_up.iter().for_each(|packet| feed(&mut pipeline, packet));
    let before = ALLOCATIONS.get();
    steady.iter().for_each(|packet| feed(&mut pipeline, packet));
    let allocations = ALLOCATIONS.get() - before;
    end.iter().for_each(|packet| feed(&mut pipeline, packet));
    let Finished { stats, connections, written } = pipeline.finish(0, |_| {});
    written.expect("nothing can fail");
    let stats = stats.expect("the only pipeline has ended");
    assert_eq!((stats.segments, stats.violations), (packets.len() as u64, 0));
    assert!(connections[0].is_websocket);
    allocations
}

fn feed(pipeline: &mut Pipeline, packet: &[u8]) {
    let wire_len = packet.len() as u32;
    let packet =
        RawPacket { time: 0, interface: 0, link_type: LinkType::Raw, bytes: packet, wire_len };
    pipeline.segment(&packet.segment().expect("TCP"));
}

fn echo(opcode: u8, payload: &[u8]) -> impl Fn(&mut Forged) {
    move |forged| {
        forged.client(&frame(opcode, KEY, payload));
        forged.server(&frame(opcode, None, payload));
    }
}

#[test]
fn no_allocation_per_message_in_the_steady_state() {
    let text = "{\"type\":\"say\",\"content\":\"¡hola!\\n\"}".repeat(3);
    for options in ["--format json", "--format text", "--format json --frames --segments"] {
        assert_eq!(allocations(options, echo(TEXT, text.as_bytes())), 0, "text, {options}");
        assert_eq!(allocations(options, echo(BINARY, &[7; 100])), 0, "binary, {options}");
    }
}

/// What is to be shown of a message in the making is kept, and freed with it.
#[test]
fn a_message_in_several_pieces_takes_one_allocation() {
    let in_segments = |forged: &mut Forged| {
        let message = frame(BINARY, KEY, &[7; 100_000]);
        message.chunks(16 << 10).for_each(|part| forged.client(part));
    };
    let in_frames = |forged: &mut Forged| {
        let mut first = frame(TEXT, KEY, b"one, ");
        first[0] &= PART;
        forged.client(&first);
        forged.client(&frame(0, KEY, b"two"));
    };
    let most = ROUNDS as u64 / 2 + 1;
    assert!(allocations("--format json", in_segments) <= most);
    assert!(allocations("--format json", in_frames) <= most);
    assert_eq!(allocations("--format json --payload-limit 0", in_segments), 0);
}

#[test]
fn no_allocation_per_ping() {
    let talk = |forged: &mut Forged| {
        forged.server(&frame(PING, None, b"are you there"));
        forged.client(&frame(PONG, KEY, b"are you there"));
    };
    assert_eq!(allocations("--format json", talk), 0);
}

#[test]
fn allocations_are_counted() {
    let before = ALLOCATIONS.get();
    let bytes = std::hint::black_box(vec![1_u8]);
    assert_eq!((bytes[0], ALLOCATIONS.get() - before), (1, 1));
}
