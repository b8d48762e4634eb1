//! The close frame (RFC 6455 section 7.4; later codes from the IANA WebSocket close code registry).

/// What a close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The status code; `None` for an empty payload.
    pub code: Option<u16>,
    /// The reason, as bytes: it should be UTF-8.
    pub reason: &'a [u8],
}

impl<'a> Close<'a> {
    /// Reads a close frame's payload. `None` for one byte, which is neither empty nor a code.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        match payload {
            [] => Some(Self { code: None, reason: &[] }),
            [high, low, reason @ ..] => {
                Some(Self { code: Some(u16::from_be_bytes([*high, *low])), reason })
            }
            [_] => None,
        }
    }
}

/// The code that stands for "no code was sent" (RFC 6455 section 7.4.1).
pub const NO_STATUS: u16 = 1005;
/// The code that stands for "no close frame was sent".
pub const ABNORMAL: u16 = 1006;

/// Whether a code may stand in a close frame.
pub fn is_valid_on_wire(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A name for the code.
pub fn name(code: u16) -> &'static str {
    match code {
        1000 => "normal closure",
        1001 => "going away",
        1002 => "protocol error",
        1003 => "unsupported data",
        1005 => "no status received",
        1006 => "abnormal closure",
        1007 => "invalid frame payload data",
        1008 => "policy violation",
        1009 => "message too big",
        1010 => "mandatory extension",
        1011 => "internal error",
        1012 => "service restart",
        1013 => "try again later",
        1014 => "bad gateway",
        1015 => "TLS handshake",
        3000..=3999 => "registered",
        4000..=4999 => "private",
        _ => "reserved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads() {
        assert_eq!(Close::parse(b""), Some(Close { code: None, reason: b"" }));
        assert_eq!(Close::parse(b"\x03\xe8ok"), Some(Close { code: Some(1000), reason: b"ok" }));
        assert_eq!(Close::parse(b"\x03"), None);
    }

    #[test]
    fn codes_valid_on_the_wire() {
        let valid: Vec<u16> = (0..=1100).filter(|&code| is_valid_on_wire(code)).collect();
        let expected = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
        assert_eq!(valid, expected);
        assert!(!is_valid_on_wire(2999) && is_valid_on_wire(3000));
        assert!(is_valid_on_wire(4999) && !is_valid_on_wire(5000));
    }
}
