//! permessage-deflate (RFC 7692): compressed message payloads in, plain ones out.
//!
//! What a direction keeps for sure is its window, the last bytes of what it inflated: at most 32 KiB,
//! and only as many as there were. The inflate machine may go to another direction at any time; a
//! new one gets the window as its dictionary. A window is always a true suffix of the stream; after
//! a loss it is simply empty, and a message that refers to bytes before it fails to inflate by
//! itself. That is how a direction recovers.

use flate2::{Decompress, FlushDecompress, Status};

use super::extension::Side;

/// Inflated at once at most.
const CHUNK: usize = 16 * 1024;
/// The bytes that a sender takes off the end of each message (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Compressed bytes that are copied to have the tail behind them.
const SMALL: usize = 252;

/// The data is not DEFLATE, or refers to bytes that were never seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// What a direction remembers between messages.
#[derive(Debug, Default)]
pub struct Window {
    bytes: Vec<u8>,
    side: Side,
    /// Earlier bytes may be missing: a failure to inflate is not the sender's fault.
    incomplete: bool,
}

impl Window {
    /// The window of a direction from its first message on.
    pub fn new(side: Side) -> Self {
        Self { bytes: Vec::new(), side, incomplete: false }
    }

    /// The window of a direction whose earlier messages or parameters are unknown.
    pub fn unknown() -> Self {
        Self { incomplete: true, ..Self::default() }
    }

    /// Forgets: a message was lost.
    pub fn lose(&mut self) {
        self.bytes = Vec::new();
        self.incomplete = true;
    }

    /// Whether messages may refer to bytes that are not here.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete && !self.side.no_context_takeover
    }

    /// Whether no message may refer to an earlier one.
    pub fn ends_with_message(&self) -> bool {
        self.side.no_context_takeover
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    fn limit(&self) -> usize {
        1 << self.side.window_bits
    }

    fn push(&mut self, output: &[u8]) {
        let limit = self.limit();
        let output = &output[output.len().saturating_sub(limit)..];
        // Shift rarely: let it grow to twice the window first.
        if self.bytes.len() + output.len() > 2 * limit {
            let keep = limit - output.len();
            self.bytes.drain(..self.bytes.len().saturating_sub(keep));
        }
        self.bytes.extend_from_slice(output);
    }

    /// The bytes that the next block may refer to.
    fn dictionary(&self) -> &[u8] {
        &self.bytes[self.bytes.len().saturating_sub(self.limit())..]
    }

    fn end_message(&mut self) {
        if self.side.no_context_takeover {
            self.bytes.clear();
        }
    }
}

/// An inflate machine.
pub struct Inflater {
    raw: Decompress,
    output: Box<[u8; CHUNK]>,
}

impl Default for Inflater {
    fn default() -> Self {
        Self { raw: Decompress::new(false), output: Box::new([0; CHUNK]) }
    }
}

impl Inflater {
    /// Bytes that one takes: the output chunk, and zlib's state with its window.
    pub const MEMORY: usize = CHUNK + (48 << 10);

    /// Loads a window.
    pub fn start(&mut self, window: &Window) -> Result<(), Corrupt> {
        self.raw.reset(false);
        let dictionary = window.dictionary();
        if !dictionary.is_empty() {
            self.raw.set_dictionary(dictionary).map_err(|_| Corrupt)?;
        }
        Ok(())
    }

    /// Inflates the next bytes of the message; `out` gets what comes of them.
    pub fn feed(
        &mut self,
        window: &mut Window,
        mut input: &[u8],
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Corrupt> {
        loop {
            let (consumed, produced) = (self.raw.total_in(), self.raw.total_out());
            let status = self
                .raw
                .decompress(input, &mut self.output[..], FlushDecompress::Sync)
                .map_err(|_| Corrupt)?;
            let consumed = (self.raw.total_in() - consumed) as usize;
            let produced = (self.raw.total_out() - produced) as usize;
            input = &input[consumed..];
            window.push(&self.output[..produced]);
            out(&self.output[..produced]);
            if status == Status::StreamEnd {
                // A block with BFINAL set: the stream goes on behind it (RFC 7692 section 7.2.3.4).
                self.start(window)?;
            } else if input.is_empty() && produced < CHUNK {
                return Ok(());
            } else if consumed == 0 && produced == 0 {
                return Err(Corrupt);
            }
        }
    }

    /// Inflates the last bytes of the message, and ends it.
    pub fn finish(
        &mut self,
        window: &mut Window,
        last: &[u8],
        out: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Corrupt> {
        let mut small = [0; SMALL + TAIL.len()];
        if let Some(room) = small.get_mut(..last.len() + TAIL.len()) {
            // Both at once: a turn of the machine takes as much as inflating some hundred bytes.
            room[..last.len()].copy_from_slice(last);
            room[last.len()..].copy_from_slice(&TAIL);
            self.feed(window, room, out)?;
        } else {
            self.feed(window, last, out)?;
            self.feed(window, &TAIL, out)?;
        }
        window.end_message();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;
    use crate::test_random::Random;

    /// A sender: a compressor with its own window, which cuts the tail off.
    struct Sender {
        raw: Compress,
        side: Side,
    }

    impl Sender {
        fn new(side: Side, level: u32) -> Self {
            // zlib cannot write windows of 2^8 as raw deflate; 2^9 is the smallest.
            let raw = Compress::new_with_window_bits(
                Compression::new(level),
                false,
                side.window_bits.max(9),
            );
            Self { raw, side }
        }

        fn message(&mut self, plain: &[u8]) -> Vec<u8> {
            let mut out = Vec::with_capacity(plain.len() * 2 + 1000);
            let before = self.raw.total_in();
            loop {
                let done = (self.raw.total_in() - before) as usize;
                let free = out.capacity() - out.len();
                self.raw.compress_vec(&plain[done..], &mut out, FlushCompress::Sync).unwrap();
                if out.len() < out.capacity() || free == 0 {
                    break;
                }
                out.reserve(1000);
            }
            assert!(out.ends_with(&TAIL));
            out.truncate(out.len() - 4);
            if self.side.no_context_takeover {
                self.raw.reset();
            }
            if out.is_empty() { vec![0] } else { out }
        }
    }

    fn inflate(
        inflater: &mut Inflater,
        window: &mut Window,
        pieces: &[&[u8]],
    ) -> Result<Vec<u8>, Corrupt> {
        let mut plain = Vec::new();
        let mut out = |bytes: &[u8]| plain.extend_from_slice(bytes);
        inflater.start(window)?;
        let (last, pieces) = pieces.split_last().unwrap();
        for piece in pieces {
            inflater.feed(window, piece, &mut out)?;
        }
        inflater.finish(window, last, &mut out)?;
        Ok(plain)
    }

    fn inflate_alone(message: &[u8]) -> Result<Vec<u8>, Corrupt> {
        inflate(&mut Inflater::default(), &mut Window::new(Side::default()), &[message])
    }

    #[test]
    fn the_examples_of_rfc_7692_section_7_2_3() {
        let compressed = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
        assert_eq!(inflate_alone(compressed).unwrap(), b"Hello");
        let not_compressed_block = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
        assert_eq!(inflate_alone(not_compressed_block).unwrap(), b"Hello");
        let bfinal = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
        assert_eq!(inflate_alone(bfinal).unwrap(), b"Hello");
        let two_blocks = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
        assert_eq!(inflate_alone(two_blocks).unwrap(), b"Hello");
        assert_eq!(inflate_alone(b"\x00").unwrap(), b"", "an empty message is one zero byte");
    }

    #[test]
    fn the_second_hello_refers_to_the_first() {
        let (mut inflater, mut window) = (Inflater::default(), Window::new(Side::default()));
        inflate(&mut inflater, &mut window, &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"]).unwrap();
        let second = inflate(&mut inflater, &mut window, &[b"\xf2\x00\x11\x00\x00"]);
        assert_eq!(second.unwrap(), b"Hello");
        window.lose();
        assert_eq!(inflate(&mut inflater, &mut window, &[b"\xf2\x00\x11\x00\x00"]), Err(Corrupt));
    }

    #[test]
    fn after_bfinal_the_window_is_still_there() {
        let (mut inflater, mut window) = (Inflater::default(), Window::new(Side::default()));
        inflate(&mut inflater, &mut window, &[b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"]).unwrap();
        let second = inflate(&mut inflater, &mut window, &[b"\xf2\x00\x11\x00\x00"]);
        assert_eq!(second.unwrap(), b"Hello");
    }

    /// Text that compresses, with matches near and far.
    fn text(random: &mut Random, len: usize) -> Vec<u8> {
        let words = ["login", "say", "uid", "\"content\":", "mynick", "hola a todos", "{}", "猪"];
        let mut text = Vec::new();
        while text.len() < len {
            if random.below(4) == 0 {
                text.extend(random.bytes(3));
            } else {
                text.extend(words[random.below(8) as usize].bytes());
            }
        }
        text.truncate(len);
        text
    }

    #[test]
    fn whatever_a_compressor_makes_inflates_to_what_it_got() {
        let mut random = Random::new(4);
        for round in 0..30 {
            let side = Side {
                no_context_takeover: random.below(2) == 0,
                window_bits: 9 + random.below(7) as u8,
            };
            let mut sender = Sender::new(side, random.below(10) as u32);
            let (mut inflater, mut window) = (Inflater::default(), Window::new(side));
            for _ in 0..20 {
                let len = random.below(if round % 10 == 0 { 200_000 } else { 3000 }) as usize;
                let plain = text(&mut random, len);
                let wire = sender.message(&plain);
                let cut = random.below(wire.len() as u64 + 1) as usize;
                let (front, back) = wire.split_at(cut);
                let got = inflate(&mut inflater, &mut window, &[front, back]).unwrap();
                assert!(got == plain, "round {round}, {side:?}");
                assert!(window.bytes.len() <= 2 << side.window_bits);
                assert!(window.dictionary().len() <= 1 << side.window_bits);
            }
        }
    }

    #[test]
    fn a_lost_context_never_gives_wrong_bytes_and_recovers() {
        let mut random = Random::new(5);
        let mut recovered = 0;
        for _ in 0..10 {
            let mut sender = Sender::new(Side::default(), 6);
            sender.message(&text(&mut random, 2000));
            let (mut inflater, mut window) = (Inflater::default(), Window::unknown());
            assert!(window.is_incomplete());
            for i in 0..40 {
                let len = 50 + random.below(900) as usize;
                // Now and then something new, which cannot refer to anything older.
                let is_new = i % 10 == 9;
                let plain = if is_new { random.bytes(len) } else { text(&mut random, len) };
                match inflate(&mut inflater, &mut window, &[&sender.message(&plain)]) {
                    Ok(got) => {
                        assert!(got == plain, "inflated to something else");
                        recovered += 1;
                    }
                    Err(Corrupt) => window.lose(),
                }
            }
        }
        assert!(recovered > 0, "no message was free of references to the lost window");
    }

    #[test]
    fn a_bomb_is_inflated_in_pieces() {
        let plain = vec![0; 20 << 20];
        let wire = Sender::new(Side::default(), 9).message(&plain);
        assert!(wire.len() < 30_000);
        let (mut inflater, mut window) = (Inflater::default(), Window::new(Side::default()));
        let (mut len, mut largest) = (0, 0);
        inflater.start(&window).unwrap();
        let mut out = |bytes: &[u8]| {
            len += bytes.len();
            largest = largest.max(bytes.len());
        };
        inflater.feed(&mut window, &wire, &mut out).unwrap();
        inflater.finish(&mut window, &[], &mut out).unwrap();
        assert_eq!((len, largest), (plain.len(), CHUNK));
        assert!(window.memory() <= 4 * 32768);
    }

    #[test]
    fn random_bytes_never_panic_or_hang() {
        let mut random = Random::new(6);
        for _ in 0..5_000 {
            let len = random.below(60) as usize;
            let bytes = random.bytes(len);
            let _: Result<Vec<u8>, Corrupt> = inflate_alone(&bytes);
        }
    }
}
