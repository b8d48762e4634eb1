//! Request and response heads, from bytes that come in pieces.

/// A head that has not ended after so many bytes never will.
pub const MAX_HEAD_LEN: usize = 64 * 1024;
/// Header lines in one head.
const MAX_HEADERS: usize = 128;

/// Header lines in order; names as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// Every value of a header, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A header's first value.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All lines of a list header as one (RFC 9110 section 5.3). `None` where there is none.
    pub fn joined(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.all(name).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Whether a list header has this token, in any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }
}

/// What a head begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// Method and request target.
    Request(String, String),
    /// Status code.
    Response(u16),
}

/// A complete head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its first line.
    pub start: StartLine,
    /// Its header lines.
    pub headers: Headers,
}

/// Which kind of head is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From a client.
    Request,
    /// From a server.
    Response,
}

/// Why a head will never be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAHead {
    /// It is not HTTP.
    Malformed,
    /// It does not end.
    TooLong,
}

/// Collects a head.
#[derive(Debug)]
pub struct Collector {
    kind: Kind,
    bytes: Vec<u8>,
}

impl Collector {
    /// Waits for a head of this kind.
    pub fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new() }
    }

    /// Bytes collected so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes bytes; gives the head once it is complete, and how many of these bytes it used.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<(Head, usize)>, NotAHead> {
        let before = self.bytes.len();
        let taken = bytes.len().min(MAX_HEAD_LEN - before);
        self.bytes.extend_from_slice(&bytes[..taken]);
        // The head's end may straddle the border; heads are parsed once, when it is there.
        let Some(end) = end_of_head(&self.bytes, before.saturating_sub(3)) else {
            if self.bytes.len() >= MAX_HEAD_LEN {
                return Err(NotAHead::TooLong);
            }
            return if is_plausible(&self.bytes) { Ok(None) } else { Err(NotAHead::Malformed) };
        };
        let head = parse(self.kind, &self.bytes[..end]).ok_or(NotAHead::Malformed)?;
        Ok(Some((head, end - before)))
    }
}

/// Where a head ends: behind an empty line. A bare line feed counts (RFC 9112 section 2.2).
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut line_feeds = (from..bytes.len()).filter(|&i| bytes[i] == b'\n');
    line_feeds.find_map(|i| match bytes[i + 1..] {
        [b'\n', ..] => Some(i + 2),
        [b'\r', b'\n', ..] => Some(i + 3),
        _ => None,
    })
}

/// A head is text: control characters tell at once that this is none.
fn is_plausible(bytes: &[u8]) -> bool {
    bytes.iter().take(16).all(|byte| matches!(byte, b'\r' | b'\n' | b'\t' | 0x20..=0x7e | 0x80..))
}

fn parse(kind: Kind, bytes: &[u8]) -> Option<Head> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let (start, lines) = match kind {
        Kind::Request => {
            let mut request = httparse::Request::new(&mut lines);
            request.parse(bytes).ok().filter(httparse::Status::is_complete)?;
            let (method, path) = (request.method?.to_owned(), request.path?.to_owned());
            (StartLine::Request(method, path), request.headers)
        }
        Kind::Response => {
            let mut response = httparse::Response::new(&mut lines);
            response.parse(bytes).ok().filter(httparse::Status::is_complete)?;
            (StartLine::Response(response.code?), response.headers)
        }
    };
    let headers = lines
        .iter()
        .map(|line| (line.name.to_owned(), String::from_utf8_lossy(line.value).into_owned()))
        .collect();
    Some(Head { start, headers: Headers(headers) })
}

/// Whether a stream that begins with these bytes can be HTTP; `None` while they are too few.
pub fn begins_like_http(kind: Kind, bytes: &[u8]) -> Option<bool> {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
    ];
    let begins: &[&[u8]] = match kind {
        Kind::Request => &METHODS,
        Kind::Response => &[b"HTTP/1."],
    };
    if begins.iter().any(|begin| bytes.starts_with(begin)) {
        return Some(true);
    }
    (!begins.iter().any(|begin| begin.starts_with(bytes))).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] =
        b"GET /chat?x=1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
        upgrade: WebSocket\r\nX: 1\r\nx: 2\r\n\r\n";

    fn whole(kind: Kind, bytes: &[u8]) -> (Head, usize) {
        Collector::new(kind).feed(bytes).unwrap().unwrap()
    }

    #[test]
    fn a_head_split_anywhere_is_the_same_head() {
        let (expected, used) = whole(Kind::Request, REQUEST);
        assert_eq!(used, REQUEST.len());
        let bytes = [REQUEST, b"\x81\x05frame"].concat();
        for cut in 0..REQUEST.len() {
            let mut collector = Collector::new(Kind::Request);
            assert_eq!(collector.feed(&bytes[..cut]), Ok(None));
            let (head, used) = collector.feed(&bytes[cut..]).unwrap().unwrap();
            assert_eq!((&head, used), (&expected, REQUEST.len() - cut));
        }
    }

    #[test]
    fn bytes_beyond_ascii_are_taken_whole_or_in_pieces() {
        let bytes = "GET /é HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes();
        let expected = whole(Kind::Request, bytes);
        for cut in 0..bytes.len() {
            let mut collector = Collector::new(Kind::Request);
            assert_eq!(collector.feed(&bytes[..cut]), Ok(None), "cut at {cut}");
            assert_eq!(collector.feed(&bytes[cut..]).unwrap().unwrap().0, expected.0);
        }
    }

    #[test]
    fn headers_are_found_in_any_case_and_joined() {
        let (head, _) = whole(Kind::Request, REQUEST);
        assert_eq!(head.start, StartLine::Request("GET".into(), "/chat?x=1".into()));
        assert!(head.headers.has_token("CONNECTION", "upgrade"));
        assert!(head.headers.has_token("Upgrade", "websocket"));
        assert!(!head.headers.has_token("Connection", "keep"));
        assert_eq!(head.headers.joined("x").as_deref(), Some("1, 2"));
        assert_eq!(head.headers.joined("y"), None);
    }

    #[test]
    fn responses_and_bare_line_feeds() {
        let (head, used) = whole(Kind::Response, b"HTTP/1.1 101 Switching\nA: b\n\nrest");
        assert_eq!((head.start, used), (StartLine::Response(101), 29));
    }

    #[test]
    fn a_head_that_never_ends_is_refused() {
        let mut collector = Collector::new(Kind::Request);
        let endless = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; MAX_HEAD_LEN]].concat();
        let results: Vec<_> = endless.chunks(1000).map(|chunk| collector.feed(chunk)).collect();
        assert!(results[..60].iter().all(|result| *result == Ok(None)));
        assert_eq!(results.last(), Some(&Err(NotAHead::TooLong)));
    }

    #[test]
    fn other_protocols_are_no_heads() {
        let feed = |bytes| Collector::new(Kind::Request).feed(bytes);
        assert_eq!(feed(b"\x16\x03\x01\x02\x00\x01"), Err(NotAHead::Malformed));
        assert_eq!(feed(b"SSH-2.0-x\r\n\r\n"), Err(NotAHead::Malformed));
    }

    #[test]
    fn beginnings() {
        assert_eq!(begins_like_http(Kind::Request, b"GE"), None);
        assert_eq!(begins_like_http(Kind::Request, b"GET /"), Some(true));
        assert_eq!(begins_like_http(Kind::Request, b"GEX"), Some(false));
        assert_eq!(begins_like_http(Kind::Response, b"HTTP/1.0 200"), Some(true));
        assert_eq!(begins_like_http(Kind::Response, b"\x81"), Some(false));
    }
}
