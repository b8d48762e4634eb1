//! The values that labels can have: what an event says comes in, one of a fixed list comes out.
//! Whatever peers send, no other value ever becomes a label.

use crate::{
    event::{GapCause, How, Joined, LooksLike},
    ws::{frame::Opcode, message::Undecoded},
};

/// Label `from`, in the order of [`crate::ws::receiver::Sender`].
pub const SENDERS: [&str; 2] = ["client", "server"];

/// Label `opcode` of messages.
pub const MESSAGES: [&str; 3] = ["text", "binary", "continuation"];

/// The place of a message's opcode in [`MESSAGES`].
pub(super) fn message(opcode: Opcode) -> usize {
    match opcode {
        Opcode::TEXT => 0,
        Opcode::BINARY => 1,
        // Of a message whose beginning was not captured.
        _ => 2,
    }
}

/// Label `opcode` of control frames.
pub const CONTROLS: [&str; 3] = ["ping", "pong", "close"];
pub(super) const PING: usize = 0;
pub(super) const PONG: usize = 1;
pub(super) const CLOSE: usize = 2;

/// Label `code`: the codes of RFC 6455 section 7.4.1 and of the registry that continues it, the two
/// ranges that section 7.4.2 gives to others, and the rest.
pub const CODES: [&str; 20] = [
    "1000", "1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "1009", "1010", "1011",
    "1012", "1013", "1014", "1015", "3xxx", "4xxx", "other", "none",
];

/// The place of a status code in [`CODES`].
pub(super) fn code(code: Option<u16>) -> usize {
    match code {
        Some(code @ 1000..=1015) => usize::from(code - 1000),
        Some(3000..=3999) => 16,
        Some(4000..=4999) => 17,
        Some(_) => 18,
        None => 19,
    }
}

/// Label `class` of HTTP responses.
pub const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// The place of an HTTP status in [`STATUSES`].
pub(super) fn status(status: u16) -> usize {
    match status {
        100..=599 => usize::from(status / 100 - 1),
        _ => 5,
    }
}

/// Label `how` of ended connections, in the order of [`How`].
pub const ENDS: [How; 7] =
    [How::Fin, How::Rst, How::Refused, How::Timeout, How::Replaced, How::Evicted, How::Untraced];

/// Label `cause` of gaps, in the order of [`GapCause`].
pub const CAUSES: [GapCause; 3] = [GapCause::Lost, GapCause::Snaplen, GapCause::Midstream];

/// Label `looks_like`, in the order of [`LooksLike`].
pub const LOOKS: [LooksLike; 3] = [LooksLike::Tls, LooksLike::Http, LooksLike::Unknown];

/// Label `joined`, in the order of [`Joined`].
pub const JOINED: [&str; 2] = ["handshake", "midstream"];

/// The place of a way to join in [`JOINED`].
pub(super) fn joined(joined: Joined) -> usize {
    match joined {
        Joined::Handshake => 0,
        Joined::Midstream => 1,
    }
}

/// Label `why` of messages that could not be decoded, in the order of [`Undecoded`].
pub const UNDECODED: [Undecoded; 5] = [
    Undecoded::ContextLost,
    Undecoded::Corrupt,
    Undecoded::Gap,
    Undecoded::Limit,
    Undecoded::Midstream,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::{receiver::Sender, rule::Rule};

    #[test]
    fn lists_are_in_the_order_of_their_types() {
        assert!(ENDS.iter().enumerate().all(|(n, how)| *how as usize == n));
        assert!(CAUSES.iter().enumerate().all(|(n, cause)| *cause as usize == n));
        assert!(LOOKS.iter().enumerate().all(|(n, looks)| *looks as usize == n));
        assert!(UNDECODED.iter().enumerate().all(|(n, why)| *why as usize == n));
        assert!(Rule::ALL.iter().enumerate().all(|(n, rule)| *rule as usize == n));
        for sender in [Sender::Client, Sender::Server] {
            assert_eq!(SENDERS[sender as usize], sender.name());
        }
    }

    #[test]
    fn every_code_has_one_of_few_names() {
        assert_eq!(CODES[code(Some(1000))], "1000");
        assert_eq!(CODES[code(Some(1015))], "1015");
        assert_eq!(CODES[code(Some(1016))], "other");
        assert_eq!(CODES[code(Some(3000))], "3xxx");
        assert_eq!(CODES[code(Some(4999))], "4xxx");
        assert_eq!(CODES[code(None)], "none");
        assert!((0..=u16::MAX).all(|n| CODES[code(Some(n))] != "none"));
        for (n, name) in CODES.iter().enumerate().take(16) {
            assert_eq!(*name, (1000 + n).to_string());
        }
    }

    #[test]
    fn every_status_has_a_class() {
        for (given, class) in [(101, "1xx"), (599, "5xx"), (99, "other"), (600, "other")] {
            assert_eq!(STATUSES[status(given)], class);
        }
        assert!((0..=u16::MAX).all(|given| status(given) < STATUSES.len()));
    }
}
