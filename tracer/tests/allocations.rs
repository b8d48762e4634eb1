//! Memory in the steady state: conversations go through the whole pipeline, and once it is warm, none
//! of their messages may cost an allocation; and what a connection holds that has gone silent.

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

/// Connections that are open at a time.
const OPEN: u16 = 5000;
/// What one of them may hold while it is silent, tables and all.
const MAX_IDLE: i64 = 1536;

/// The system's allocator; counts this thread's calls, and the bytes that it has.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(freed: usize, allocated: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + u64::from(allocated > 0));
    BYTES.set(BYTES.get() + chunk(allocated) - chunk(freed));
}

/// What a block takes: glibc puts its length before it, and rounds up to 16 bytes.
fn chunk(size: usize) -> i64 {
    let chunk = if size == 0 { 0 } else { (size + 8).next_multiple_of(16).max(32) };
    chunk as i64
}

#[expect(unsafe_code, reason = "a global allocator is an unsafe trait")]
// SAFETY: every call goes to the system's allocator with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: `at` came from `alloc` above, so from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(layout.size(), new_size);
        // SAFETY: `at` came from `alloc` above, so from the system's allocator.
        unsafe { System.realloc(at, layout, new_size) }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn pipeline(options: &str) -> Pipeline {
    let arguments = ["tracer", "-r", "-"].into_iter().chain(options.split_whitespace());
    let cli = Cli::try_parse_from(arguments).expect("options");
    let config = Config::new(cli, Surroundings::default()).expect("a configuration");
    Pipeline::new(&config, Box::new(io::sink()))
}

/// Allocations in the second half of a connection on which `talk` is repeated.
fn allocations(options: &str, talk: impl Fn(&mut Forged)) -> u64 {
    let mut forged = Forged::new(address("10.0.0.1:40000"), address("10.0.0.2:7272"), "/", "");
    (0..ROUNDS).for_each(|_| talk(&mut forged));
    forged.client(&frame(CLOSE, KEY, &[]));
    let packets = forged.finish();
    // The close frame and the end of the connection come once.
    let (steady, end) = packets.split_at(packets.len() - 4);
    let (warm_up, steady) = steady.split_at(steady.len() / 2);

    let mut pipeline = pipeline(options);
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
    let before = (ALLOCATIONS.get(), BYTES.get());
    let bytes = std::hint::black_box(vec![1_u8; 25]);
    let after = (ALLOCATIONS.get(), BYTES.get());
    drop(bytes);
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 48));
    assert_eq!(BYTES.get(), before.1);
}

/// Bytes that each of many connections holds after `talk`. Their first packets are not seen.
fn held(headers: &str, unseen: usize, talk: impl Fn(&mut Forged)) -> i64 {
    let mut pipeline = pipeline("--format json");
    let before = BYTES.get();
    for n in 0..OPEN {
        let client = SocketAddr::from(([10, 0, 0, 1], 40_000 + n));
        let mut forged = Forged::new(client, address("10.0.0.2:7272"), "/chat?room=1", headers);
        talk(&mut forged);
        let packets = forged.finish();
        // It does not end.
        packets[unseen..packets.len() - 3].iter().for_each(|packet| feed(&mut pipeline, packet));
    }
    let held = (BYTES.get() - before) / i64::from(OPEN);
    let stats = pipeline.finish(0, |_| {}).stats.expect("the only pipeline has the sums");
    assert_eq!((stats.connections, stats.flows, stats.gaps), (u64::from(OPEN), 0, 0));
    held
}

#[test]
fn a_silent_connection_holds_at_most_one_and_a_half_kib() {
    const HANDSHAKE: usize = 5;
    let browser = format!("User-Agent: Mozilla/5.0\r\nCookie: session={}\r\n", "a".repeat(2000));
    let text = "{\"type\":\"say\",\"content\":\"¡hola!\"}".repeat(3);
    let chat = |forged: &mut Forged| {
        echo(TEXT, text.as_bytes())(forged);
        forged.server(&frame(PING, None, b"are you there"));
        forged.client(&frame(PONG, KEY, b"are you there"));
    };
    let in_pieces = |forged: &mut Forged| {
        let message = frame(BINARY, KEY, &[7; 10_000]);
        message.chunks(1460).for_each(|part| forged.client(part));
        let ping = frame(PING, KEY, &[7; 100]);
        ping.chunks(50).for_each(|part| forged.client(part));
    };
    for (what, held) in [
        ("handshake", held("", 0, |_| {})),
        ("a browser's", held(&browser, 0, |_| {})),
        ("messages", held("", 0, chat)),
        ("pieces", held("", 0, in_pieces)),
        ("joined late", held("", HANDSHAKE, chat)),
    ] {
        assert!(held <= MAX_IDLE, "{what}: {held} bytes");
    }
}
