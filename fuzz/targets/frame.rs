//! One direction's receiver: fed whole it finds what it finds fed in pieces; with holes it stays
//! bounded and its messages stay possible.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::ws::{
    extension::Side,
    inflaters::Inflaters,
    message::Payload,
    receiver::{Compression, Context, Item, Receiver, Sender},
    resync::{Piece, Search},
};
use tracer_fuzz::{
    input::{Input, pieces},
    memory::Watch,
};

/// The receiver's parameters, from an input's first bytes.
#[derive(Clone, Copy)]
struct Setup {
    sender: Sender,
    compression: Compression,
    payload_limit: usize,
}

impl Setup {
    fn read(input: &mut Input<'_>) -> Self {
        let bits = input.u8();
        let side = Side { no_context_takeover: bits & 8 != 0, window_bits: 8 + (bits >> 5) };
        Self {
            sender: if bits & 1 == 0 { Sender::Client } else { Sender::Server },
            compression: match bits >> 1 & 3 {
                0 => Compression::None,
                1 => Compression::Unknown,
                _ => Compression::Deflate(side),
            },
            payload_limit: if bits & 16 == 0 { 4096 } else { 16 },
        }
    }

    fn receiver(&self) -> Receiver {
        Receiver::new(self.sender, self.compression, 0)
    }
}

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let setup = Setup::read(&mut input);
    let is_missing = input.u16();
    let cuts = input.cuts(usize::from(u16::MAX));
    let bytes = input.rest();
    let cuts: Vec<_> = cuts.into_iter().filter(|&cut| cut <= bytes.len()).collect();
    let pieces = pieces(bytes, &cuts);
    let whole = receive(setup, &[bytes]);
    let split = receive(setup, &pieces);
    assert_eq!(whole, split, "whole, and in pieces cut at {cuts:?}");
    with_gaps(setup, &pieces, is_missing);
});

/// What the pieces come to, item by item.
fn receive(setup: Setup, pieces: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    let mut inflaters = Inflaters::new(1);
    let mut scratch = Vec::new();
    let mut receiver = setup.receiver();
    let mut out = |item: Item<'_>| found.push(format!("{item:?}"));
    let mut ctx = Context {
        payload_limit: setup.payload_limit,
        inflaters: &mut inflaters,
        scratch: &mut scratch,
        out: &mut out,
    };
    for piece in pieces {
        receiver.data(piece, &mut ctx).expect("a stream without holes keeps its framing");
    }
    receiver.abandon(&mut ctx);
    found
}

/// The same pieces, some of them missing; framing that is lost is searched for again.
fn with_gaps(setup: Setup, pieces: &[&[u8]], is_missing: u16) {
    let watch = Watch::new();
    let mut inflaters = Inflaters::new(1);
    let mut scratch = Vec::new();
    let mut receiver = setup.receiver();
    let mut search: Option<Search> = None;
    let mut offset = 0;
    for (i, piece) in pieces.iter().enumerate() {
        let mut out = |item: Item<'_>| check(&item, setup);
        let mut ctx = Context {
            payload_limit: setup.payload_limit,
            inflaters: &mut inflaters,
            scratch: &mut scratch,
            out: &mut out,
        };
        let is_missing = is_missing >> i & 1 != 0;
        step(setup, piece, is_missing, offset, &mut receiver, &mut search, &mut ctx);
        offset += piece.len() as u64;
        check_memory(&receiver, setup);
    }
    drop((receiver, search));
    // Search and its lock each keep the bytes; the inflater has its buffer and zlib's state.
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    watch.check((1 << 19) + 16 * total);
}

fn step(
    setup: Setup,
    piece: &[u8],
    is_missing: bool,
    offset: u64,
    receiver: &mut Receiver,
    search: &mut Option<Search>,
    ctx: &mut Context<'_>,
) {
    let desync = match search {
        Some(found) if is_missing => {
            found.gap(piece.len() as u64);
            None
        }
        Some(found) => found.segment(piece).and_then(|lock| {
            *search = None;
            receiver.resume(offset + piece.len() as u64 - lock.stretch.span());
            lock.stretch.pieces().find_map(|(_, found)| match found {
                Piece::Data(bytes) => receiver.data(bytes, ctx).err(),
                Piece::Gap(bytes) => receiver.gap(bytes, ctx).err(),
            })
        }),
        None if is_missing => receiver.gap(piece.len() as u64, ctx).err(),
        None => receiver.data(piece, ctx).err(),
    };
    if let Some(desync) = desync {
        assert!(desync.used <= piece.len().max(256 * 1024));
        *search = Some(Search::new(setup.sender, receiver.may_compress()));
    }
}

/// What may be said of a message at all.
fn check(item: &Item<'_>, setup: Setup) {
    let Item::Message(message) = item else { return };
    assert!(message.payload.len() <= setup.payload_limit);
    let shown = message.payload.len() as u64;
    assert!(message.len.is_none_or(|len| len >= shown), "more is shown than there is");
    if let Payload::Undecoded(_) = message.payload {
        assert!(message.compressed || message.missing > 0 || message.opcode.0 == 0);
    }
    assert!(message.compressed || message.wire_len >= shown);
}

/// A control frame, twice the window, the message, and an inflater.
fn check_memory(receiver: &Receiver, setup: Setup) {
    let bound = 256 + (4 << 15) + 2 * setup.payload_limit + (64 << 10);
    assert!(receiver.memory() <= bound, "{} bytes", receiver.memory());
}
