//! How much a place looks like a frame: a header and what is behind it come in, evidence in bits
//! comes out, the logarithm of how much likelier such bytes are in a frame than by chance.
//!
//! By chance means as often as each byte is in the stream that is searched: zeroes prove nothing
//! where most bytes are zero, and nor does `0x81` where it is frequent.

use std::{cmp::min, sync::LazyLock};

use crate::ws::{
    close,
    frame::{Header, Opcode},
    mask,
    utf8::Validator,
};

/// Payload bytes looked at.
const SAMPLE: usize = 48;
/// The most that one header's length, and one payload, can prove.
const MAX_BITS: f32 = 24.0;
/// What text of a server proves at most: it may be the inside of a text.
const MAX_PLAIN_TEXT_BITS: f32 = 8.0;
/// What tells against a frame: a control character in text, compressed data that ends as none does.
const UNLIKELY: f32 = -6.0;

/// Masking keys of a chain that are remembered.
const KEYS: usize = 4;

/// How often each byte was in the stream.
pub(super) struct Background {
    counts: [u16; 256],
    /// Bytes since they were weighed, and before.
    new: usize,
    weighed: usize,
    /// How surprising each byte is, in bits.
    surprise: [f32; 256],
    /// The same of a clear, and of a set top bit.
    top_bit: [f32; 2],
}

impl Default for Background {
    fn default() -> Self {
        let (counts, surprise, top_bit) = ([0; 256], [0.0; 256], [0.0; 2]);
        let mut background = Self { counts, new: 0, weighed: 0, surprise, top_bit };
        background.weigh();
        background
    }
}

impl Background {
    /// Of a stream of which nothing is known: all bytes are equally rare.
    pub(super) fn unknown() -> &'static Self {
        static UNKNOWN: LazyLock<Background> = LazyLock::new(Background::default);
        &UNKNOWN
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.counts[usize::from(byte)] == u16::MAX {
                // What was long ago counts less.
                self.counts.iter_mut().for_each(|count| *count /= 2);
            }
            self.counts[usize::from(byte)] += 1;
        }
        self.new += bytes.len();
        if self.new > self.weighed / 8 {
            self.weigh();
        }
    }

    /// Weighs the bytes by how often they were. Before much was seen, all count as random ones do.
    fn weigh(&mut self) {
        self.weighed += std::mem::take(&mut self.new);
        let sum = |counts: &[u16]| counts.iter().map(|&count| u32::from(count) + 1).sum::<u32>();
        let (low, high) = (sum(&self.counts[..128]), sum(&self.counts[128..]));
        let total = ((low + high) as f32).log2();
        for (surprise, &count) in self.surprise.iter_mut().zip(&self.counts) {
            *surprise = total - (f32::from(count) + 1.0).log2();
        }
        self.top_bit = [low, high].map(|count| total - (count as f32).log2());
    }

    fn surprise(&self, byte: u8) -> f32 {
        self.surprise[usize::from(byte)]
    }
}

/// The frames of a chain so far: what may follow, and how likely it is.
#[derive(Default)]
pub(super) struct Chain {
    /// `None` until a data frame was seen.
    in_message: Option<bool>,
    /// Opcode and reserved bits of the last message.
    last: Option<(Opcode, u8)>,
    /// The latest masking keys.
    keys: [Option<[u8; 4]>; KEYS],
}

impl Chain {
    /// How rare it is that a frame of a real stream begins with this header's first byte, in bits.
    /// `None`: it cannot, it is out of order.
    fn rarity(&mut self, header: &Header) -> Option<f32> {
        if header.opcode.is_control() {
            return Some(5.0);
        }
        let continues = header.opcode == Opcode::CONTINUATION;
        if self.in_message.is_some_and(|in_message| in_message != continues) {
            return None;
        }
        let kind = (header.opcode, header.rsv);
        let rarity = match (self.in_message, self.last) {
            // Nobody sends these, but long lengths begin like them.
            _ if header.len == 0 && !header.fin => 14.0,
            (Some(true), _) => 1.3,
            _ if continues || !header.fin => 5.6,
            (_, Some(last)) if last == kind => 0.4,
            (_, Some(_)) => 4.0,
            (_, None) => 1.7,
        };
        self.in_message = Some(!header.fin);
        if !continues {
            self.last = Some(kind);
        }
        Some(rarity)
    }

    /// The evidence of a legal header, whose bytes these begin with, and of its payload as far as
    /// it was captured. `None`: it is none.
    pub(super) fn evidence(
        &mut self,
        header: &Header,
        captured: &[u8],
        is_segment_start: bool,
        background: &Background,
    ) -> Option<f32> {
        let (bytes, payload) = captured.split_at_checked(usize::from(header.header_len))?;
        let payload = &payload[..min(payload.len() as u64, header.len) as usize];
        let first = background.surprise(*bytes.first()?) - self.rarity(header)?;
        let content = payload_evidence(header, payload, is_segment_start)?;
        if self.is_periodic(header) {
            return Some(0.0);
        }
        Some(first + length_evidence(header, bytes, background) + content)
    }

    /// Whether the masking key, or half of it, was there before. Clients take a new one for each
    /// frame (RFC 6455 section 5.3); but data that repeats itself, masked, looks like the same
    /// frame again and again.
    fn is_periodic(&mut self, header: &Header) -> bool {
        let Some(key) = header.mask else { return false };
        let is_like = |known: &[u8; 4]| known.iter().zip(&key).filter(|(a, b)| a == b).count() >= 2;
        let is_periodic = self.keys.iter().flatten().any(is_like);
        self.keys.rotate_right(1);
        self.keys[0] = Some(key);
        is_periodic
    }
}

/// What the second byte and the extended length prove. Real lengths are of any order of magnitude.
fn length_evidence(header: &Header, bytes: &[u8], background: &Background) -> f32 {
    let extended = match bytes.get(1).map_or(0, |second| second & 0x7f) {
        126 => 2,
        127 => 8,
        _ => return background.top_bit[usize::from(header.mask.is_some())],
    };
    let bytes = bytes.iter().skip(1).take(1 + extended);
    let surprise: f32 = bytes.map(|&byte| background.surprise(byte)).sum();
    // The form itself, and the order of magnitude.
    let rarity = if extended == 2 { 2.0 + 3.2 } else { 7.0 + 3.3 };
    (surprise - rarity - header.len.max(1).ilog2() as f32).min(MAX_BITS)
}

fn payload_evidence(header: &Header, payload: &[u8], is_segment_start: bool) -> Option<f32> {
    let is_whole = payload.len() as u64 == header.len;
    match header.opcode {
        Opcode::CLOSE => close_evidence(header, payload),
        Opcode::TEXT if header.rsv == 0 => {
            text_evidence(header, payload, is_whole, is_segment_start)
        }
        Opcode::TEXT | Opcode::BINARY if header.rsv != 0 && header.fin && is_whole => {
            Some(deflate_evidence(header, payload))
        }
        _ => Some(0.0),
    }
}

/// The bytes from `at` on, as many as wanted, unmasked.
fn plain(header: &Header, payload: &[u8], at: usize, wanted: usize) -> Vec<u8> {
    let end = min(payload.len(), at.saturating_add(wanted));
    let sample = payload.get(at..end).unwrap_or_default();
    let Some(key) = header.mask else { return sample.to_vec() };
    let mut plain = Vec::new();
    mask::unmask(sample, key, at as u64, &mut plain);
    plain
}

fn text_evidence(
    header: &Header,
    payload: &[u8],
    is_whole: bool,
    is_segment_start: bool,
) -> Option<f32> {
    let sample = plain(header, payload, 0, SAMPLE);
    let mut utf8 = Validator::default();
    utf8.feed(&sample);
    let is_whole = header.fin && is_whole && sample.len() == payload.len();
    if !utf8.is_plausible() || (is_whole && !utf8.is_valid()) {
        return None;
    }
    // Text of a client that is unmasked with text, as at a wrong place, is UTF-8 too: mostly
    // control characters.
    let is_odd = |byte: &&u8| **byte < b' ' && !b"\t\n\r".contains(byte);
    let odd = sample.iter().filter(is_odd).count();
    let fair = (sample.len() - odd) as f32;
    let bits = match (header.mask, is_segment_start) {
        (Some(_), _) => fair.min(MAX_BITS),
        (None, true) => (fair / 3.0).min(MAX_PLAIN_TEXT_BITS),
        (None, false) => 0.0,
    };
    Some(bits + odd as f32 * UNLIKELY)
}

/// What a compressed message looks like (RFC 7692 section 7.2.1): its last block is empty and not
/// compressed, of which three zero bits and the padding are left; block type 3 is reserved.
fn deflate_evidence(header: &Header, payload: &[u8]) -> f32 {
    let first = plain(header, payload, 0, 1);
    let last = plain(header, payload, payload.len().saturating_sub(1), 1);
    match (&first[..], &last[..]) {
        ([first], [last]) if first & 6 != 6 && last & 0xe0 == 0 => 3.0,
        _ => UNLIKELY,
    }
}

/// Few of all numbers are codes that a close frame may have.
fn close_evidence(header: &Header, payload: &[u8]) -> Option<f32> {
    match (header.len, &plain(header, payload, 0, 2)[..]) {
        (0, _) => Some(0.0),
        (1, _) => None,
        (_, &[high, low]) => {
            close::is_valid_on_wire(u16::from_be_bytes([high, low])).then_some(5.0)
        }
        _ => Some(0.0),
    }
}
