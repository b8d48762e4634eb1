//! Frames and compressed payloads: what a sender says comes in, the bytes on the wire come out.

use flate2::{Compress, Compression, FlushCompress};

use crate::{capture::Side, encode};

/// Opcodes (RFC 6455 section 5.2).
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
/// Bits of a header's first byte.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;

/// A frame of a side's, with everything as it should be but what `first` says.
pub(crate) fn frame(side: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    encode::frame(first, key(side), payload)
}

/// The header of a frame with so many bytes of payload, which may be more than ever come.
pub(crate) fn header(side: Side, first: u8, len: u64) -> Vec<u8> {
    encode::header(first, key(side), len)
}

fn key(side: Side) -> Option<[u8; 4]> {
    (side == Side::Client).then_some([0x37, 0xfa, 0x21, 0x3d])
}

/// A text message of a side's.
pub(crate) fn text(side: Side, text: &str) -> Vec<u8> {
    frame(side, FIN | TEXT, text.as_bytes())
}

/// The compressor of one direction (RFC 7692 section 7.2.1), which takes its context over.
pub(crate) struct Deflater(Compress);

impl Deflater {
    pub(crate) fn new() -> Self {
        Self(Compress::new(Compression::best(), false))
    }

    /// The next message's payload.
    pub(crate) fn message(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut block = self.block(plain);
        block.truncate(block.len() - 4);
        block
    }

    /// A piece of a message, flushed: blocks may follow each other.
    fn block(&mut self, mut plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() / 500 + 64);
        loop {
            let before = self.0.total_in();
            self.0.compress_vec(plain, &mut out, FlushCompress::Sync).expect("it compresses");
            plain = &plain[(self.0.total_in() - before) as usize..];
            // A flush is over when it leaves room in the output.
            if plain.is_empty() && out.len() < out.capacity() {
                return out;
            }
            out.reserve(64);
        }
    }

    /// A message of so many MiB of the letter A, at about a thousandth of its size. Every block but
    /// the first refers to the same, so that it can be said again and again.
    pub(crate) fn bomb(&mut self, mebibytes: usize) -> Vec<u8> {
        let plain = vec![b'A'; 1 << 20];
        let mut bomb = self.block(&plain);
        let again = self.block(&plain);
        bomb.extend(again.repeat(mebibytes - 1));
        bomb.truncate(bomb.len() - 4);
        bomb
    }
}
