//! A window over a file that is read once, front to back: any reader goes in, stretches of bytes
//! come out. Its memory is fixed, whatever lengths the file claims.

use std::{
    io::{ErrorKind, Read},
    ops::Range,
};

use super::FileError;

/// Bytes read ahead, and so the longest packet or block that can be looked at. The longest packet
/// that Linux makes is 512 KiB (`GSO_MAX_SIZE` in `include/linux/netdevice.h`).
pub(super) const WINDOW: usize = 1 << 20;

/// The window. Invariant: `start <= end <= buffer.len()`.
pub(super) struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    /// Where the bytes not yet consumed begin and end in `buffer`.
    start: usize,
    end: usize,
    /// Bytes consumed since the file began.
    consumed: u64,
    /// `source` has said that it is at its end. It is not asked again: a terminal would answer.
    ended: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R, window: usize) -> Self {
        let buffer = vec![0; window].into_boxed_slice();
        Self { source, buffer, start: 0, end: 0, consumed: 0, ended: false }
    }

    /// Offset into the file of the first byte not consumed.
    pub(super) fn at(&self) -> u64 {
        self.consumed
    }

    /// The bytes not consumed: at least `len` of them, or what is left of the file or fits.
    #[inline]
    pub(super) fn peek(&mut self, len: usize) -> Result<&[u8], FileError> {
        if self.available() < len {
            self.fill(len)?;
        }
        Ok(&self.buffer[self.start..self.end])
    }

    /// The next `len` bytes, or why there are not so many. `what` they belong to is for the error.
    #[inline]
    pub(super) fn need(&mut self, len: usize, what: &'static str) -> Result<&[u8], FileError> {
        if self.available() < len {
            self.fill_up(len, what)?;
        }
        Ok(&self.buffer[self.start..self.start + len])
    }

    /// Reads until `len` bytes are there.
    #[cold]
    fn fill_up(&mut self, len: usize, what: &'static str) -> Result<(), FileError> {
        if len > self.buffer.len() {
            let limit = self.buffer.len() as u64;
            return Err(FileError::TooLong { what, len: len as u64, limit, at: self.at() });
        }
        self.fill(len)?;
        let at = self.consumed + self.available() as u64;
        if self.available() < len { Err(FileError::Truncated { what, at }) } else { Ok(()) }
    }

    /// Reads until `len` bytes are there, or no more are to be had, or fit.
    #[cold]
    fn fill(&mut self, len: usize) -> Result<(), FileError> {
        while self.available() < len && self.refill()? {}
        Ok(())
    }

    /// Consumes the next `len` bytes and says where [`Self::bytes`] finds them.
    #[inline]
    pub(super) fn take(
        &mut self,
        len: usize,
        what: &'static str,
    ) -> Result<Range<usize>, FileError> {
        self.need(len, what)?;
        let taken = self.start..self.start + len;
        self.consume(len);
        Ok(taken)
    }

    /// Bytes that [`Self::take`] named; nothing else may have been asked for since.
    pub(super) fn bytes(&self, taken: Range<usize>) -> &[u8] {
        &self.buffer[taken]
    }

    /// Consumes `len` bytes without looking at them, however many.
    pub(super) fn skip(&mut self, len: u64, what: &'static str) -> Result<(), FileError> {
        let mut left = len;
        loop {
            let step =
                usize::try_from(left).map_or(self.available(), |left| left.min(self.available()));
            self.consume(step);
            left -= step as u64;
            if left == 0 {
                return Ok(());
            }
            if !self.refill()? {
                return Err(FileError::Truncated { what, at: self.at() });
            }
        }
    }

    fn available(&self) -> usize {
        self.end - self.start
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        self.consumed += len as u64;
    }

    /// Reads more, after moving what is left to the front. False when there is no more, or no room.
    fn refill(&mut self) -> Result<bool, FileError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.ended || self.end == self.buffer.len() {
            return Ok(false);
        }
        let read = self.read()?;
        self.end += read;
        self.ended = read == 0;
        Ok(!self.ended)
    }

    fn read(&mut self) -> Result<usize, FileError> {
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(FileError::Io { source, at: self.consumed + self.end as u64 });
                }
            }
        }
    }
}

/// The byte order of the machine that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn i64(self, bytes: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(bytes),
            Self::Big => i64::from_be_bytes(bytes),
        }
    }

    /// The first `N` 32-bit words, or `None` when `bytes` is shorter.
    pub(super) fn words<const N: usize>(self, bytes: &[u8]) -> Option<[u32; N]> {
        let (words, _) = bytes.as_chunks::<4>();
        Some(words.first_chunk::<N>()?.map(|word| self.u32(word)))
    }
}
