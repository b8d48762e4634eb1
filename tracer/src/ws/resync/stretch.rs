//! A stretch of a stream that is searched: segments and gaps go in, in order; what was captured,
//! where segments began, and what lies so many bytes further on come out.

/// Holes and segment borders kept: frames that end on a border are more likely frames.
const MAX_MARKS: usize = 256;

/// Captured bytes, with holes of known size between them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    bytes: Vec<u8>,
    /// Before which byte, and how many are missing there; ascending.
    holes: Vec<(usize, u64)>,
    /// Where segments began, ascending; the end of one is the start of the next.
    borders: Vec<usize>,
}

/// A part of a stretch, in the order of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Captured.
    Data(&'a [u8]),
    /// So many bytes that were not.
    Gap(u64),
}

/// What lies so many bytes behind a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// The byte with this index, or the end of the stretch.
    At(usize),
    /// A byte that was not captured.
    Missing,
    /// A byte still to come.
    Beyond,
}

impl Stretch {
    /// Captured bytes.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Captured bytes, as they are counted in a stream.
    pub fn captured(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Bytes of the stream from its beginning to its end, missing ones included.
    pub fn span(&self) -> u64 {
        self.bytes.len() as u64 + self.holes.iter().map(|(_, missing)| missing).sum::<u64>()
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.holes.capacity() * size_of::<(usize, u64)>()
            + self.borders.capacity() * size_of::<usize>()
    }

    /// Where segments began.
    pub(super) fn borders(&self) -> &[usize] {
        &self.borders
    }

    /// Adds a segment's bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.borders.len() == MAX_MARKS {
            self.borders.drain(..MAX_MARKS / 2);
        }
        self.borders.push(self.bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds a hole. Gives how many bytes before an earlier hole are worth dropping: there are too
    /// many holes.
    pub(super) fn miss(&mut self, missing: u64) -> usize {
        match self.holes.last_mut() {
            Some((at, before)) if *at == self.bytes.len() => {
                *before = before.saturating_add(missing);
            }
            _ => self.holes.push((self.bytes.len(), missing)),
        }
        if self.holes.len() > MAX_MARKS { self.holes[MAX_MARKS / 2].0 } else { 0 }
    }

    /// Forgets the first bytes, and the holes before and between them.
    pub(super) fn drop_front(&mut self, bytes: usize) {
        self.bytes.drain(..bytes);
        self.forget_marks(bytes);
    }

    /// Takes off the end from a byte on.
    pub fn split_off(&mut self, at: usize) -> Self {
        let mut end = std::mem::take(self);
        self.bytes = end.bytes;
        end.bytes = self.bytes.split_off(at);
        end.forget_marks(at);
        end
    }

    fn forget_marks(&mut self, before: usize) {
        self.holes.retain(|&(at, _)| at > before);
        self.borders.retain(|&at| at >= before);
        self.holes.iter_mut().for_each(|(at, _)| *at -= before);
        self.borders.iter_mut().for_each(|at| *at -= before);
    }

    /// What was captured from a byte on, up to the next hole.
    pub(super) fn captured_from(&self, at: usize) -> &[u8] {
        let end =
            self.holes[self.holes_until(at)..].first().map_or(self.bytes.len(), |hole| hole.0);
        self.bytes.get(at..end).unwrap_or_default()
    }

    /// Where there are bytes of which `wanted` says so.
    pub(super) fn places(&self, wanted: &[bool; 256]) -> impl Iterator<Item = usize> {
        let bytes = self.bytes.iter().enumerate();
        bytes.filter(|(_, byte)| wanted[usize::from(**byte)]).map(|(at, _)| at)
    }

    /// How many holes are before a byte.
    fn holes_until(&self, at: usize) -> usize {
        self.holes.partition_point(|&(hole, _)| hole <= at)
    }

    /// Bytes of the stream from the beginning to a byte, missing ones included.
    pub(super) fn position(&self, at: usize) -> u64 {
        let holes = &self.holes[..self.holes_until(at)];
        at as u64 + holes.iter().map(|(_, missing)| missing).sum::<u64>()
    }

    /// What lies `bytes` bytes of the stream behind the byte `at`.
    pub(super) fn ahead(&self, mut at: usize, mut bytes: u64) -> Ahead {
        for &(hole, missing) in &self.holes[self.holes_until(at)..] {
            let captured = (hole - at) as u64;
            if bytes < captured {
                break;
            }
            let Some(behind) = (bytes - captured).checked_sub(missing) else {
                return Ahead::Missing;
            };
            (at, bytes) = (hole, behind);
        }
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= self.bytes.len() - at => Ahead::At(at + bytes),
            _ => Ahead::Beyond,
        }
    }

    /// Whether a segment ends before this byte, or the last one does.
    pub(super) fn is_border(&self, at: usize) -> bool {
        at == self.bytes.len() || self.borders.binary_search(&at).is_ok()
    }

    /// Everything in order: data and gaps.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, Piece<'_>)> {
        let starts = std::iter::once(0).chain(self.holes.iter().map(|hole| hole.0));
        let gaps = self.holes.iter().map(|&(at, missing)| (at, Piece::Gap(missing)));
        let ends = gaps.map(Some).chain([None]);
        starts.zip(ends).flat_map(|(start, gap)| {
            let data = Piece::Data(self.captured_from(start));
            [(start, data)].into_iter().chain(gap)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch() -> Stretch {
        let mut stretch = Stretch::default();
        stretch.push(b"abc");
        stretch.miss(2);
        stretch.miss(3);
        stretch.push(b"defg");
        stretch.push(b"hi");
        stretch.miss(1);
        stretch
    }

    #[test]
    fn distances_count_what_is_missing() {
        let stretch = stretch();
        assert_eq!((stretch.len(), stretch.span()), (9, 15));
        let ahead = |bytes| stretch.ahead(1, bytes);
        assert_eq!(ahead(1), Ahead::At(2));
        assert!((2..7).all(|bytes| ahead(bytes) == Ahead::Missing));
        assert_eq!((ahead(7), ahead(12)), (Ahead::At(3), Ahead::At(8)));
        assert_eq!(ahead(13), Ahead::Missing);
        assert_eq!((ahead(14), ahead(15)), (Ahead::At(9), Ahead::Beyond));
        assert_eq!(stretch.ahead(3, 0), Ahead::At(3));
        assert_eq!(ahead(u64::MAX), Ahead::Beyond);
    }

    #[test]
    fn what_was_captured_ends_at_a_hole() {
        let stretch = stretch();
        assert_eq!(stretch.captured_from(1), b"bc");
        assert_eq!(stretch.captured_from(3), b"defghi");
        assert_eq!(stretch.captured_from(9), b"");
    }

    #[test]
    fn pieces_are_in_the_order_of_the_stream() {
        let stretch = stretch();
        let pieces: Vec<_> = stretch.pieces().collect();
        let expected = [
            (0, Piece::Data(&b"abc"[..])),
            (3, Piece::Gap(5)),
            (3, Piece::Data(b"defghi")),
            (9, Piece::Gap(1)),
            (9, Piece::Data(b"")),
        ];
        assert_eq!(pieces, expected);
    }

    #[test]
    fn the_end_taken_off_has_its_own_holes_and_borders() {
        let mut stretch = stretch();
        let end = stretch.split_off(3);
        assert_eq!((end.span(), end.borders()), (7, &[0, 4][..]));
        assert_eq!(end.pieces().next(), Some((0, Piece::Data(b"defghi"))));
    }

    #[test]
    fn holes_are_bounded() {
        let mut stretch = Stretch::default();
        for _ in 0..10_000 {
            stretch.push(b"x");
            let surplus = stretch.miss(1);
            stretch.drop_front(surplus);
        }
        assert!(stretch.len() <= 2 * MAX_MARKS && stretch.memory() < 64 * MAX_MARKS);
    }
}
