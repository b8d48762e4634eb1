//! Tells TLS from other streams, and reads the server name that a client asks for.

/// The longest ClientHello waited for: one record (RFC 8446 section 5.1).
pub(super) const MAX_RECORD: usize = 5 + (1 << 14);

/// Whether a stream that goes on with these bytes can be TLS: a handshake, alert, or application
/// data record of version 3.x (RFC 8446 section 5.1). `None` while they are too few.
pub(super) fn is_record(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [] | [0x14..=0x17] | [0x14..=0x17, 3] => None,
        [0x14..=0x17, 3, 0..=4, rest @ ..] => match rest {
            [high, _, ..] => Some(*high <= 0x41),
            _ => None,
        },
        _ => Some(false),
    }
}

/// The first record of a stream, when all of it is there.
pub(super) fn has_whole_record(bytes: &[u8]) -> bool {
    bytes
        .get(3..5)
        .is_some_and(|len| bytes.len() >= 5 + usize::from(u16::from_be_bytes([len[0], len[1]])))
}

/// The server name in a ClientHello record (RFC 8446 section 4.1.2, RFC 6066 section 3).
pub(super) fn server_name(record: &[u8]) -> Option<&str> {
    let mut record = Reader(record);
    let hello = match record.array()? {
        [22, 3, _] => Reader(record.prefixed(2)?),
        _ => return None,
    };
    let mut hello = hello;
    let [1] = hello.array()? else { return None };
    let mut hello = Reader(hello.prefixed(3)?);
    let _version_and_random: [u8; 34] = hello.array()?;
    let _session_id = hello.prefixed(1)?;
    let _cipher_suites = hello.prefixed(2)?;
    let _compression_methods = hello.prefixed(1)?;
    let mut extensions = Reader(hello.prefixed(2)?);
    loop {
        let kind: [u8; 2] = extensions.array()?;
        let body = extensions.prefixed(2)?;
        if kind == [0, 0] {
            let mut names = Reader(Reader(body).prefixed(2)?);
            let [0] = names.array()? else { return None };
            return std::str::from_utf8(names.prefixed(2)?).ok();
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// A vector with its length before it, in so many bytes.
    fn prefixed(&mut self, len_bytes: usize) -> Option<&'a [u8]> {
        let (len, rest) = self.0.split_at_checked(len_bytes)?;
        let len = len.iter().fold(0usize, |len, &byte| len << 8 | usize::from(byte));
        let (vector, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(vector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_hello(name: &str) -> Vec<u8> {
        let vector = |len_bytes: usize, body: &[u8]| {
            [&body.len().to_be_bytes()[8 - len_bytes..], body].concat()
        };
        let sni = vector(2, &[&[0][..], &vector(2, name.as_bytes())].concat());
        let extensions = [&[0, 23][..], &vector(2, &[]), &[0, 0], &vector(2, &sni)].concat();
        let hello = [
            &[3; 34][..],
            &vector(1, &[7; 32]),
            &vector(2, &[0x13, 1]),
            &vector(1, &[0]),
            &vector(2, &extensions),
        ]
        .concat();
        [&[22, 3, 1][..], &vector(2, &[&[1][..], &vector(3, &hello)].concat())].concat()
    }

    #[test]
    fn the_server_name_is_found() {
        let hello = client_hello("chat.example.com");
        assert_eq!(is_record(&hello), Some(true));
        assert!(has_whole_record(&hello) && !has_whole_record(&hello[..hello.len() - 1]));
        assert_eq!(server_name(&hello), Some("chat.example.com"));
    }

    #[test]
    fn a_cut_hello_has_none() {
        let hello = client_hello("chat.example.com");
        for len in 0..hello.len() {
            assert_eq!(server_name(&hello[..len]), None);
        }
    }

    #[test]
    fn frames_and_http_are_no_records() {
        assert_eq!(is_record(b"GET / HTTP/1.1"), Some(false));
        assert_eq!(is_record(b"\x81\x05Hello"), Some(false));
        assert_eq!(is_record(b"\x17\x03"), None);
        assert_eq!(is_record(b"\x17\x03\x03\xff\xff"), Some(false));
    }
}
