//! permessage-deflate: arbitrary bytes inflate to the same whole as in pieces; what a compressor
//! makes of arbitrary text, with any parameters, comes out as it went in.

#![no_main]

use flate2::{Compress, Compression, FlushCompress};
use libfuzzer_sys::fuzz_target;
use tracer::ws::{
    deflate::{Corrupt, Inflater, Window},
    extension::Side,
};
use tracer_fuzz::{
    input::{Input, pieces},
    memory::Watch,
};

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let bits = input.u8();
    let side = Side { no_context_takeover: bits & 2 != 0, window_bits: 8 + (bits >> 5) };
    if bits & 1 == 0 { arbitrary(input, side) } else { round_trip(input, side) }
});

fn arbitrary(mut input: Input<'_>, side: Side) {
    let cuts = input.cuts(usize::from(u16::MAX));
    let mut whole = (Inflater::default(), Window::new(side));
    let mut split = (Inflater::default(), Window::new(side));
    while !input.is_empty() {
        let len = usize::from(input.u16());
        let message = input.bytes(len);
        let cuts: Vec<_> = cuts.iter().copied().filter(|&cut| cut <= message.len()).collect();
        let expected = inflate(&mut whole, &[message]);
        assert_eq!(expected, inflate(&mut split, &pieces(message, &cuts)));
    }
}

/// Inflates a message; where that fails the context is lost, as the receiver does it.
fn inflate(
    (inflater, window): &mut (Inflater, Window),
    pieces: &[&[u8]],
) -> Result<(usize, u64), Corrupt> {
    // The output may be a thousand times the input: a fingerprint is enough.
    let (mut len, mut sum) = (0, 0u64);
    let mut out = |bytes: &[u8]| {
        len += bytes.len();
        sum = bytes.iter().fold(sum, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte));
    };
    let watch = Watch::new();
    let mut run = || {
        inflater.start(window)?;
        pieces.iter().try_for_each(|piece| inflater.feed(window, piece, &mut out))?;
        inflater.finish(window, &[], &mut out)
    };
    let result = run();
    // A window grows to twice its size, and is in two places while it does.
    watch.check(Inflater::MEMORY + (4 << 15));
    if result.is_err() {
        window.lose();
    }
    let in_all: usize = pieces.iter().map(|piece| piece.len()).sum();
    // DEFLATE makes at most 1032 bytes of one; the last block's tail may finish a byte more.
    assert!(len <= 1032 * (in_all + 8));
    result.map(|()| (len, sum))
}

fn round_trip(mut input: Input<'_>, side: Side) {
    // zlib cannot write raw DEFLATE with a window of 2^8; 2^9 needs a reader with 2^9.
    let side = Side { window_bits: side.window_bits.max(9), ..side };
    let level = Compression::new(u32::from(input.u8() % 10));
    let mut compressor = Compress::new_with_window_bits(level, false, side.window_bits);
    let (mut inflater, mut window) = (Inflater::default(), Window::new(side));
    while !input.is_empty() {
        let bits = input.u8();
        let len = usize::from(input.u16());
        let plain = input.bytes(len).repeat(usize::from(bits & 31) + 1);
        let flush = match bits >> 5 {
            0 => FlushCompress::Full,
            1 => FlushCompress::Finish,
            _ => FlushCompress::Sync,
        };
        let wire = compress(&mut compressor, &plain, flush);
        if side.no_context_takeover || matches!(flush, FlushCompress::Finish) {
            compressor.reset();
        }
        let mut got = Vec::new();
        let cut = usize::from(bits) % (wire.len() + 1);
        inflater.start(&window).expect("a window fits into an inflater");
        let mut out = |bytes: &[u8]| got.extend_from_slice(bytes);
        let feeds = [&wire[..cut], &wire[cut..]]
            .into_iter()
            .try_for_each(|piece| inflater.feed(&mut window, piece, &mut out));
        feeds.expect("what a compressor wrote");
        inflater.finish(&mut window, &[], &mut out).expect("what a compressor ended");
        assert!(got == plain, "{} bytes became {}", plain.len(), got.len());
        assert!(window.memory() <= 4 << side.window_bits);
    }
}

/// A message's payload (RFC 7692 section 7.2.1): the tail is taken off, or with BFINAL, where
/// there is none, a byte of zeroes put behind (section 7.2.3.4).
fn compress(compressor: &mut Compress, plain: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut wire = Vec::new();
    let start = compressor.total_in();
    loop {
        let used = (compressor.total_in() - start) as usize;
        wire.reserve(1024);
        compressor.compress_vec(&plain[used..], &mut wire, flush).expect("plain text compresses");
        let is_all_in = compressor.total_in() - start == plain.len() as u64;
        if is_all_in && wire.len() < wire.capacity() {
            break;
        }
    }
    if matches!(flush, FlushCompress::Finish) {
        wire.push(0);
    } else if wire.ends_with(&[0, 0, 0xff, 0xff]) {
        wire.truncate(wire.len() - 4);
    }
    if wire.is_empty() {
        wire.push(0); // zlib does not flush twice: an empty message (section 7.2.3.6).
    }
    wire
}
