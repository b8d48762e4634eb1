//! Where a message's body ends (RFC 9112 section 6). The content is passed over.

use std::cmp::min;

use super::head::Headers;

/// A body in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes are left.
    Length(u64),
    /// In chunks.
    Chunked(Chunked),
    /// Everything until the connection closes.
    UntilClose,
}

/// A place in a chunked body (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunked {
    /// In a chunk's size, so far this.
    Size(u64),
    /// In the extensions after it.
    Extension(u64),
    /// In a chunk, with so many bytes left, its line end included.
    Data(u64),
    /// In the trailer, in a line that is empty so far or not.
    Trailer {
        /// Whether the line is empty so far.
        empty: bool,
    },
    /// Behind it.
    Done,
}

/// What a consumed piece came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All bytes belong to the body, and it goes on.
    More,
    /// The body ended after so many of the bytes.
    Done(usize),
    /// This is no body: the chunks' framing is broken.
    Broken,
}

impl Body {
    /// A request's body.
    pub fn of_request(headers: &Headers) -> Self {
        if headers.has_token("Transfer-Encoding", "chunked") {
            Self::Chunked(Chunked::Size(0))
        } else {
            Self::Length(content_length(headers).unwrap_or(0))
        }
    }

    /// A response's body; `is_head`: it answers a `HEAD` request.
    pub fn of_response(is_head: bool, status: u16, headers: &Headers) -> Self {
        let never = matches!(status, 100..=199 | 204 | 304) || is_head;
        if never {
            Self::Length(0)
        } else if headers.has_token("Transfer-Encoding", "chunked") {
            Self::Chunked(Chunked::Size(0))
        } else {
            content_length(headers).map_or(Self::UntilClose, Self::Length)
        }
    }

    /// Whether nothing more belongs to it.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Done))
    }

    /// Passes over bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Progress {
        match self {
            Self::UntilClose => Progress::More,
            Self::Length(left) => {
                let used = min(*left, bytes.len() as u64);
                *left -= used;
                if *left == 0 { Progress::Done(used as usize) } else { Progress::More }
            }
            Self::Chunked(chunked) => chunked.feed(bytes),
        }
    }

    /// Passes over missing bytes; false when the end cannot be known any more.
    pub fn gap(&mut self, bytes: u64) -> bool {
        let left = match self {
            Self::UntilClose => return true,
            Self::Length(left) if bytes <= *left => left,
            Self::Chunked(Chunked::Data(left)) if bytes < *left => left,
            _ => return false,
        };
        *left -= bytes;
        true
    }

    /// How many bytes are left of it, if that is known.
    pub fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }
}

fn content_length(headers: &Headers) -> Option<u64> {
    headers.first("Content-Length")?.trim().parse().ok()
}

impl Chunked {
    fn feed(&mut self, bytes: &[u8]) -> Progress {
        let mut at = 0;
        while at < bytes.len() {
            if let Self::Data(left) = self {
                let used = min(*left, (bytes.len() - at) as u64);
                *left -= used;
                at += used as usize;
                if *left == 0 {
                    *self = Self::Size(0);
                }
                continue;
            }
            let Some(next) = self.after(bytes[at]) else { return Progress::Broken };
            *self = next;
            at += 1;
            if *self == Self::Done {
                return Progress::Done(at);
            }
        }
        Progress::More
    }

    /// The place after one byte that is not data; `None` when it has no place there.
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Size(size) | Self::Extension(size), b'\n') => match size {
                0 => Self::Trailer { empty: true },
                size => Self::Data(size.checked_add(2)?),
            },
            (Self::Size(size), digit) if digit.is_ascii_hexdigit() => {
                let digit = char::from(digit).to_digit(16)?;
                Self::Size(size.checked_mul(16)?.checked_add(u64::from(digit))?)
            }
            (Self::Size(size), b';' | b' ' | b'\t' | b'\r') | (Self::Extension(size), _) => {
                Self::Extension(size)
            }
            (Self::Trailer { empty: true }, b'\n') => Self::Done,
            (Self::Trailer { .. }, b'\n') => Self::Trailer { empty: true },
            (Self::Trailer { empty }, b'\r') => Self::Trailer { empty },
            (Self::Trailer { .. }, _) => Self::Trailer { empty: false },
            (Self::Size(_) | Self::Data(_) | Self::Done, _) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        Headers(lines.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    #[test]
    fn framing_follows_the_head() {
        let chunked = headers(&[("transfer-encoding", "gzip, chunked"), ("Content-Length", "3")]);
        let sized = headers(&[("content-length", "3")]);
        let plain = headers(&[]);
        assert_eq!(Body::of_request(&chunked), Body::Chunked(Chunked::Size(0)));
        assert_eq!(Body::of_request(&sized), Body::Length(3));
        assert_eq!(Body::of_request(&plain), Body::Length(0));
        assert_eq!(Body::of_response(false, 200, &plain), Body::UntilClose);
        assert_eq!(Body::of_response(false, 200, &sized), Body::Length(3));
        assert_eq!(Body::of_response(true, 200, &sized), Body::Length(0));
        assert_eq!(Body::of_response(false, 304, &sized), Body::Length(0));
    }

    #[test]
    fn a_body_of_known_length_ends_there() {
        let mut body = Body::Length(5);
        assert_eq!(body.feed(b"abc"), Progress::More);
        assert!(body.gap(1));
        assert_eq!(body.feed(b"eGET /"), Progress::Done(1));
        assert!(body.is_done());
    }

    #[test]
    fn chunks_split_anywhere() {
        let wire = b"4;a=b\r\nwiki\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nT: x\r\n\r\n";
        let bytes = [&wire[..], b"HTTP/1.1"].concat();
        for cut in 0..wire.len() {
            let mut body = Body::Chunked(Chunked::Size(0));
            assert_eq!(body.feed(&bytes[..cut]), Progress::More);
            assert_eq!(body.feed(&bytes[cut..]), Progress::Done(wire.len() - cut));
        }
    }

    #[test]
    fn broken_chunks_are_noticed() {
        for wire in [&b"xyz\r\n"[..], b"ffffffffffffffff1\r\n", b"ffffffffffffffff\r\n"] {
            assert_eq!(Body::Chunked(Chunked::Size(0)).feed(wire), Progress::Broken);
        }
    }

    #[test]
    fn a_gap_over_an_end_is_not_survived() {
        let mut body = Body::Length(5);
        assert!(body.gap(5) && body.is_done(), "up to its end");
        assert!(!Body::Length(5).gap(6));
        assert!(!Body::Chunked(Chunked::Size(0)).gap(1));
        assert!(Body::UntilClose.gap(1 << 40));
    }
}
