//! A sender's side of permessage-deflate (RFC 7692 section 7.2.1): payloads in, compressed ones out.

use flate2::{Compress, Compression, FlushCompress};

/// What every flushed block ends with, and no message.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The compressor of one direction.
pub(crate) struct Deflater {
    raw: Compress,
    takes_context_over: bool,
}

impl Deflater {
    /// With a window of 2 to the power of `window_bits` bytes.
    pub(crate) fn new(takes_context_over: bool, window_bits: u8) -> Self {
        let raw = Compress::new_with_window_bits(Compression::default(), false, window_bits);
        Self { raw, takes_context_over }
    }

    /// Compresses the next message.
    pub(crate) fn message(&mut self, mut plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + 64);
        loop {
            let before = self.raw.total_in();
            self.raw.compress_vec(plain, &mut out, FlushCompress::Sync).expect("it compresses");
            plain = &plain[(self.raw.total_in() - before) as usize..];
            // A flush is over when it leaves room in the output.
            if plain.is_empty() && out.len() < out.capacity() {
                break;
            }
            out.reserve(64);
        }
        assert!(out.ends_with(&TAIL), "a flushed block ends so");
        out.truncate(out.len() - TAIL.len());
        if !self.takes_context_over {
            self.raw.reset();
        }
        out
    }
}
