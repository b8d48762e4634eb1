//! Follows the frames of one direction, so that the kernel copies no payload that nobody sees.
//!
//! What is shown of a binary message ends at the payload limit; the rest of a long frame need not
//! be copied, only the next header, and for that its place must be known. Text is copied whole (it
//! is checked for UTF-8), and a stream with anything unusual in it is copied whole, too.

/// A masked frame's header with a 64-bit length (RFC 6455 section 5.2).
const MAX_HEADER_LEN: u32 = 14;
/// Frames that are longer than what is shown by less are not worth following.
pub const WORTHWHILE: u32 = 4096;

/// More than any frame is long. Not `u64::MAX`: LLVM calls `memset` for that, byte by byte.
const ENDLESS: u64 = 1 << 63;

/// Where a direction's frames are; a value of the classifier's table.
///
/// Segments of one direction on one interface come one after the other, so nothing here is atomic.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Payload bytes to come of the frame; 0 between frames.
    left: u64,
    /// The first of those that are to be copied.
    show: u64,
    /// Sequence number behind the last segment.
    pub next: u32,
    /// Sequence number at which a frame was taken to begin. User space knows if one does.
    pub origin: u32,
    /// 1 once user space has said that one does.
    is_confirmed: u32,
    /// 1 in a text message.
    is_text: u32,
    /// Bytes of a header that have come so far.
    have: u32,
    /// 1 once it cannot be followed any more.
    is_stopped: u32,
    /// Bytes of a header that are being loaded.
    loading: u32,
    /// Spells out the padding.
    reserved: u32,
    /// Those bytes; there is room for a load of 16 bytes behind the longest beginning.
    header: [u8; 32],
}

const _: () = assert!(size_of::<Followed>() == 80);

/// What a CPU copies a segment with.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// How far it is.
    pub place: Place,
    /// Stands in for the frames of a segment that is copied whole.
    pub whole: Followed,
}

/// Where the copying of a segment is. In memory, and not in registers, because the verifier then
/// knows as little of one turn of the loop as of any other.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at: u32,
    options_len: u32,
}

impl Place {
    /// Begins a segment with so many bytes of options.
    #[inline(always)]
    pub fn begin(&mut self, options_len: u32) {
        *self = Self { at: 0, options_len };
    }

    /// Where in the payload the next record begins, and how many bytes of options it has.
    #[inline(always)]
    #[expect(unsafe_code, reason = "the compiler is not to remember the values either")]
    pub fn get(&self) -> (u32, u32) {
        let Self { at, options_len } = self;
        // SAFETY: references.
        unsafe { ((&raw const *at).read_volatile(), (&raw const *options_len).read_volatile()) }
    }

    /// Goes on behind a record and what was left out.
    #[inline(always)]
    pub fn advance(&mut self, bytes: u32) {
        self.at += bytes;
        self.options_len = 0;
    }
}

/// A stretch of a segment's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes to copy.
    pub copy: u32,
    /// Bytes to leave out behind them.
    pub skip: u32,
}

/// This is no header that can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusual;

impl Followed {
    /// Follows from a frame that may begin at `origin`, in a segment that ends before `next`.
    #[inline(always)]
    pub fn new(origin: u32, next: u32) -> Self {
        Self {
            left: 0,
            show: 0,
            next,
            origin,
            is_confirmed: 0,
            is_text: 0,
            have: 0,
            is_stopped: 0,
            loading: 0,
            reserved: 0,
            header: [0; 32],
        }
    }

    /// A frame does begin at `origin`: from the next frame on, bytes can be left out.
    #[inline(always)]
    pub fn confirm(&mut self) {
        self.is_confirmed = 1;
    }

    /// Follows no more: what comes is copied, as if it were of an endless frame that is shown.
    #[inline(always)]
    pub fn stop(&mut self) {
        self.is_stopped = 1;
        self.left = ENDLESS;
        self.show = ENDLESS;
    }

    /// Whether it is not followed any more.
    #[inline(always)]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped != 0
    }

    /// Whether bytes that begin a segment may begin a binary message worth following.
    #[inline(always)]
    pub fn is_worthwhile(first: &[u8; 10], limit: u32) -> bool {
        first[0] & 0x7f == 2 && payload_len(first) >= u64::from(limit) + u64::from(WORTHWHILE)
    }

    /// How many bytes to load next behind [`Followed::header_place`]; 0 inside a payload.
    #[inline(always)]
    pub fn header_room(&self) -> u32 {
        if self.left > 0 { 0 } else { MAX_HEADER_LEN.saturating_sub(self.have) }
    }

    /// Where they go, and how many came before: below 16.
    #[inline(always)]
    pub fn header_place(&mut self) -> (&mut [u8; 32], u32) {
        (&mut self.header, self.have)
    }

    /// Keeps the number of bytes to be loaded, and says where.
    #[inline(always)]
    pub fn loading(&mut self, wanted: u32) -> *mut u32 {
        self.loading = wanted;
        &raw mut self.loading
    }

    /// Takes `loaded` bytes that may begin or go on with a header. Returns how many do. `limit` is
    /// what is shown of a binary message.
    #[inline(always)]
    pub fn header(&mut self, loaded: u32, limit: u32) -> Result<u32, Unusual> {
        let have = self.have;
        let total = have + loaded;
        let needed = if total < 2 { 2 } else { header_len(self.header[1]) };
        if total < needed {
            self.have = total;
            return Ok(loaded);
        }
        self.have = 0;
        self.left = payload_len(&self.header);
        match self.header[0] & 0x7f {
            0 => {}
            1 => self.is_text = 1,
            2 => self.is_text = 0,
            8..=10 => {
                self.show = ENDLESS;
                return Ok(needed - have);
            }
            _ => return Err(Unusual),
        }
        if self.left >> 62 != 0 {
            return Err(Unusual);
        }
        let is_whole = self.is_text == 1 || self.is_confirmed == 0;
        self.show = if is_whole { ENDLESS } else { u64::from(limit) };
        Ok(needed - have)
    }

    /// Takes payload, of which `rest` bytes are there and `room` can be copied at once.
    #[inline(always)]
    pub fn payload(&mut self, rest: u32, room: u32) -> Piece {
        let here = self.left.min(u64::from(rest));
        let shown = self.show.min(here);
        let copy = shown.min(u64::from(room));
        let skip = if copy == shown { here - shown } else { 0 };
        self.show -= copy;
        self.left -= copy + skip;
        Piece { copy: copy as u32, skip: skip as u32 }
    }
}

/// Length of the header whose second byte this is.
#[inline(always)]
fn header_len(second: u8) -> u32 {
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + u32::from(second >> 7) * 4
}

/// The payload length that a header says.
#[inline(always)]
fn payload_len(header: &[u8]) -> u64 {
    let [_, second, rest @ ..] = header else { return 0 };
    match second & 0x7f {
        126 => rest.first_chunk().map_or(0, |len| u64::from(u16::from_be_bytes(*len))),
        127 => rest.first_chunk().map_or(0, |len| u64::from_be_bytes(*len)),
        short => u64::from(short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 20;

    fn frame(first: u8, masked: bool, len: usize) -> Vec<u8> {
        let mask = u8::from(masked) << 7;
        let mut frame = match len {
            ..=125 => vec![first, mask | len as u8],
            126..=0xffff => [&[first, mask | 126][..], &(len as u16).to_be_bytes()].concat(),
            _ => [&[first, mask | 127][..], &(len as u64).to_be_bytes()].concat(),
        };
        frame.extend([9; 4].iter().take(if masked { 4 } else { 0 }));
        frame.extend((0..len).map(|i| i as u8));
        frame
    }

    /// Follows segments as the classifier does. Returns a flag for each byte: copied or not.
    fn walk(followed: &mut Followed, segment: &[u8], room: u32) -> Result<Vec<bool>, Unusual> {
        let (mut at, mut copied) = (0, Vec::new());
        while at < segment.len() {
            let rest = (segment.len() - at) as u32;
            let loaded = followed.header_room().min(rest);
            let (header, have) = followed.header_place();
            let from = &segment[at..at + loaded as usize];
            header[have as usize..][..from.len()].copy_from_slice(from);
            let used = if loaded > 0 { followed.header(loaded, LIMIT)? } else { 0 };
            let Piece { copy, skip } = followed.payload(rest - used, room - used);
            assert!(used + copy + skip > 0 && used + copy <= room, "it gets on");
            copied
                .extend([vec![true; (used + copy) as usize], vec![false; skip as usize]].concat());
            at += (used + copy + skip) as usize;
        }
        Ok(copied)
    }

    /// Frames, and a flag for each of their bytes: whether it has to be copied.
    fn stream() -> (Vec<u8>, Vec<bool>) {
        let kinds = [
            (0x82, 70_000, false),
            (0x82, 5, false),
            (0x89, 100, true),
            (0x02, 300, false),
            (0x8a, 0, true),
            (0x00, 400, false),
            (0x80, 0, false),
            (0x01, 300, true),
            (0x80, 66_000, true),
            (0x82, 126, false),
        ];
        let (mut bytes, mut wanted) = (Vec::new(), Vec::new());
        for (n, (first, len, is_whole)) in kinds.into_iter().enumerate() {
            let frame = frame(first, n % 3 == 0, len);
            let header = frame.len() - len;
            let shown = header + if is_whole { len } else { len.min(LIMIT as usize) };
            wanted.extend((0..frame.len()).map(|i| i < shown));
            bytes.extend(frame);
        }
        (bytes, wanted)
    }

    #[test]
    fn headers_and_what_is_shown_are_copied_however_segments_are_cut() {
        let (bytes, wanted) = stream();
        for cut in [1, 2, 3, 7, 13, 100, 1448, 65_536, 1 << 20] {
            let mut followed = Followed::new(0, 0);
            followed.confirm();
            let mut copied = Vec::new();
            for segment in bytes.chunks(cut) {
                copied.extend(walk(&mut followed, segment, 1000).unwrap());
            }
            assert!(copied == wanted, "segments of {cut}");
        }
    }

    #[test]
    fn before_a_frame_is_confirmed_everything_is_copied() {
        let (bytes, _) = stream();
        let copied = walk(&mut Followed::new(0, 0), &bytes, 1000).unwrap();
        assert_eq!(copied, vec![true; bytes.len()]);
    }

    #[test]
    fn what_cannot_be_followed_is_noticed() {
        for first in [0xc2, 0x83, 0x92, 0x8b, 0xa1] {
            let segment = frame(first, false, 10);
            assert_eq!(walk(&mut Followed::new(0, 0), &segment, 1000), Err(Unusual), "{first:x}");
        }
        let endless = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(walk(&mut Followed::new(0, 0), &endless, 1000), Err(Unusual));
    }

    #[test]
    fn only_long_binary_messages_are_worthwhile() {
        let begins = |first, len| {
            Followed::is_worthwhile(frame(first, false, len).first_chunk().unwrap(), LIMIT)
        };
        assert!(begins(0x82, 5000) && begins(0x02, 100_000));
        assert!(!begins(0x82, 4000) && !begins(0x81, 5000) && !begins(0xc2, 5000));
        assert!(!begins(0x80, 100_000));
    }
}
