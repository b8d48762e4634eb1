//! Follows the frames of one direction, so that the kernel copies no payload that nobody sees.
//!
//! What is shown of a binary message ends at the payload limit; the rest of a long frame need not
//! be copied, only the next header, and for that its place must be known. Text is copied whole (it
//! is checked for UTF-8), and a stream with anything unusual in it is copied whole, too.

use crate::record::LARGEST_CLASS;

/// A masked frame's header with a 64-bit length (RFC 6455 section 5.2).
const MAX_HEADER_LEN: u32 = 14;
/// Frames that are longer than what is shown by less are not worth following.
pub const WORTHWHILE: u32 = 4096;
/// A segment that is shorter does not begin such a frame: a sender fills it, however small the
/// path's largest packet is.
pub const LEAST_SEGMENT: u32 = 512;
/// No frame is longer: what says so is the middle of a payload.
const MAX_FRAME_LEN: u64 = u32::MAX as u64;
/// A body's rest that is longer is named piece by piece: sequence numbers tell no more apart.
pub const MAX_REST: u32 = 1 << 30;
/// Nanoseconds in which user space confirms what is right. It may have to search for frames itself.
const PATIENCE: u64 = 1_000_000_000;

/// Where a segment is in the stream, and when it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Sequence number of its first byte.
    pub seq: u32,
    /// Bytes of its payload.
    pub len: u32,
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub time: u64,
    /// It opens a connection.
    pub is_syn: bool,
    /// [`Followed::is_worthwhile`] says so of its first bytes.
    pub may_begin: bool,
}

impl Arrival {
    /// Sequence number behind it.
    #[inline(always)]
    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.len)
    }
}

/// [`Followed::until`] was not said.
const NO_REST: u32 = 0;
/// It was said, and no segment has come since.
const NAMED_REST: u32 = 1;
/// `left` bytes of the rest are left.
const BEGUN_REST: u32 = 2;

/// What to do with a segment of a direction that is followed, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Go on following.
    Follow,
    /// Copy it whole.
    Pass,
    /// Follow from here.
    Anew,
}

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
    /// When the segment came that a confirmation must not be older than.
    since: u64,
    /// Sequence number behind the last segment.
    next: u32,
    /// Sequence number at which the latest frame began whose header is there.
    frame: u32,
    /// 1 once user space has said that it did.
    is_confirmed: u32,
    /// 1 in a text message.
    is_text: u32,
    /// Bytes of a header that have come so far.
    have: u32,
    /// 1 once it cannot be followed any more.
    is_stopped: u32,
    /// Whether user space has named the end of what nobody wants, see [`Followed::until`].
    rest: u32,
    /// Spells out the padding.
    reserved: u32,
    /// Bytes of a header that are being loaded.
    loading: u32,
    /// 1 when the record in the making has bytes of a header.
    has_header: u32,
    /// Those bytes; there is room for a load of 16 bytes behind the longest beginning.
    header: [u8; 32],
}

const _: () = assert!(size_of::<Followed>() == 96);

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where in the payload the record in the making begins.
    start: u32,
    /// Where in the payload the next piece does.
    at: u32,
    /// Bytes of options in the record.
    options_len: u32,
    /// Records for which the ring had no room.
    losses: u32,
    /// Their payload bytes, and what would have been left out behind them.
    lost: u32,
    /// Spells out the padding.
    reserved: u32,
}

/// What [`Place`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Where in the payload the record in the making begins.
    pub start: u32,
    /// Where in the payload the next piece does.
    pub at: u32,
    /// Bytes of options in the record.
    pub options_len: u32,
}

impl Place {
    /// Begins a segment with so many bytes of options.
    #[inline(always)]
    pub fn begin(&mut self, options_len: u32) {
        *self = Self { options_len, start: 0, at: 0, losses: 0, lost: 0, reserved: 0 };
    }

    /// Where it is.
    #[inline(always)]
    #[expect(unsafe_code, reason = "the compiler is not to remember the values either")]
    pub fn get(&self) -> Spot {
        let Self { start, at, options_len, .. } = self;
        // SAFETY: references.
        unsafe {
            Spot {
                start: (&raw const *start).read_volatile(),
                at: (&raw const *at).read_volatile(),
                options_len: (&raw const *options_len).read_volatile(),
            }
        }
    }

    /// Adds a piece to the record, which has room for more.
    #[inline(always)]
    pub fn extend(&mut self, bytes: u32) {
        self.at += bytes;
    }

    /// There is no room for the record.
    #[inline(always)]
    pub fn lose(&mut self, bytes: u32) {
        self.losses += 1;
        self.lost += bytes;
    }

    /// Behind the last record: an error is how many bytes were lost.
    #[inline(always)]
    pub fn outcome(&self) -> Result<(), u32> {
        if self.losses == 0 { Ok(()) } else { Err(self.lost) }
    }

    /// Goes on with the next record, behind this one and what was left out.
    #[inline(always)]
    pub fn advance(&mut self, bytes: u32) {
        self.at += bytes;
        self.start = self.at;
        self.options_len = 0;
    }
}

impl Spot {
    /// Payload bytes for which the record still has room.
    #[inline(always)]
    pub fn room(&self) -> u32 {
        LARGEST_CLASS as u32 - self.options_len - (self.at - self.start)
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

impl Piece {
    /// Whether it ends its record. Nothing else may: where one ends must not depend on frames that
    /// are not confirmed, since the search for frames looks at that.
    #[inline(always)]
    pub fn ends_record(&self, rest: u32, room: u32) -> bool {
        self.skip > 0 || self.copy == rest || self.copy == room
    }
}

/// This is no header that can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unusual;

impl Followed {
    /// Follows from the frame that may begin with a segment.
    #[inline(always)]
    pub fn new(first: &Arrival) -> Self {
        Self {
            left: 0,
            show: 0,
            since: first.time,
            next: first.end(),
            frame: first.seq,
            is_confirmed: 0,
            is_text: 0,
            have: 0,
            is_stopped: 0,
            rest: NO_REST,
            reserved: 0,
            loading: 0,
            has_header: 0,
            header: [0; 32],
        }
    }

    /// Leaves out the rest of something long that nobody wants, such as an HTTP body, up to the byte
    /// with this sequence number. What follows it is copied whole.
    pub fn until(end: u32) -> Self {
        let nothing = Arrival { seq: end, len: 0, time: 0, is_syn: false, may_begin: false };
        Self { is_confirmed: 1, rest: NAMED_REST, ..Self::new(&nothing) }
    }

    /// Learns from the first segment since the end was named how much of the rest is left.
    #[inline(always)]
    fn begin_rest(&mut self, segment: &Arrival) {
        let end = self.next;
        self.left = u64::from(end.wrapping_sub(segment.seq));
        self.next = segment.seq;
        self.rest = BEGUN_REST;
        // It came too late: the end is behind.
        if self.left > u64::from(MAX_REST) {
            self.stop();
        }
    }

    /// Takes the next segment. `confirmed` is when a record was written of which user space says that
    /// [`Followed::asks`] was right.
    #[inline(always)]
    pub fn arrive(&mut self, segment: &Arrival, confirmed: impl FnOnce() -> Option<u64>) -> Turn {
        let otherwise = if segment.may_begin { Turn::Anew } else { Turn::Pass };
        if segment.is_syn {
            self.stop();
            return Turn::Pass;
        }
        if self.rest == NAMED_REST {
            self.begin_rest(segment);
        }
        if self.is_stopped != 0 {
            return otherwise;
        }
        let end = segment.end();
        if segment.seq != self.next {
            // An old segment again changes nothing. Else some are reordered, or lost before here.
            if end.wrapping_sub(self.next).cast_signed() <= 0 {
                return Turn::Pass;
            }
            self.stop();
            return otherwise;
        }
        self.next = end;
        // An older one says nothing: it may even have been of another connection.
        if self.is_confirmed == 0 && confirmed().is_some_and(|time| time >= self.since) {
            self.is_confirmed = 1;
        }
        let is_late = segment.time.wrapping_sub(self.since).cast_signed() > PATIENCE.cast_signed();
        let may_be_wrong = self.is_confirmed == 0 && is_late && self.left > 0;
        if may_be_wrong && segment.may_begin { Turn::Anew } else { Turn::Follow }
    }

    /// A record made at `time` is complete, and there was room for it or not. User space keeps its
    /// place when some of a payload is missing; with a header it may lose it, so it gets all there
    /// is until it says that it has not.
    #[inline(always)]
    pub fn written(&mut self, time: u64, is_lost: bool) {
        if is_lost && self.has_header == 1 {
            self.since = time + 1;
            self.is_confirmed = 0;
            self.show = ENDLESS;
        }
        self.has_header = 0;
    }

    /// Sequence number at which the latest frame began, as long as user space has not confirmed it.
    #[inline(always)]
    pub fn asks(&self) -> Option<u32> {
        (self.is_stopped == 0 && self.is_confirmed == 0).then_some(self.frame)
    }

    /// Follows no more: what comes is copied, as if it were of an endless frame that is shown.
    #[inline(always)]
    pub fn stop(&mut self) {
        self.is_stopped = 1;
        self.left = ENDLESS;
        self.show = ENDLESS;
    }

    /// Whether bytes that begin a segment may begin a binary message worth following.
    #[inline(always)]
    pub fn is_worthwhile(first: &[u8; 10], limit: u32) -> bool {
        let least = u64::from(limit) + u64::from(WORTHWHILE);
        first[0] & 0x7f == 2 && (least..=MAX_FRAME_LEN).contains(&payload_len(first))
    }

    /// How many bytes of a header to load next behind [`Followed::header_place`]; 0 inside a payload.
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

    /// Takes `loaded` bytes from `seq` on that may begin or go on with a header. Returns how many do.
    /// `limit` is what is shown of a binary message.
    #[inline(always)]
    pub fn header(&mut self, loaded: u32, seq: u32, limit: u32) -> Result<u32, Unusual> {
        if self.rest != NO_REST {
            return Err(Unusual);
        }
        self.has_header = 1;
        let have = self.have;
        let total = have + loaded;
        let needed = if total < 2 { 2 } else { header_len(self.header[1]) };
        if total < needed {
            self.have = total;
            return Ok(loaded);
        }
        self.have = 0;
        self.frame = seq.wrapping_sub(have);
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
        if self.left > MAX_FRAME_LEN {
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
mod tests;
