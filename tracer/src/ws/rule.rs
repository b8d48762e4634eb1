//! The rules that a peer can break, each with a stable name and where it is written.

/// A rule of RFC 6455 or RFC 7692.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The request is not a `GET`.
    HandshakeMethod,
    /// The request's `Sec-WebSocket-Version` is not 13.
    HandshakeVersion,
    /// The request's `Sec-WebSocket-Key` is missing or not 16 bytes in base64.
    HandshakeKey,
    /// A handshake header is missing or wrong: `Upgrade`, `Connection`, `Host`.
    HandshakeHeader,
    /// `Sec-WebSocket-Accept` does not answer the key.
    HandshakeAccept,
    /// The server chose a subprotocol that was not offered.
    HandshakeSubprotocol,
    /// The server chose an extension that was not offered.
    HandshakeExtension,
    /// The permessage-deflate parameters are not valid.
    DeflateParameters,
    /// A client's frame is not masked.
    MaskMissing,
    /// A server's frame is masked.
    MaskUnexpected,
    /// A reserved bit is set that no extension defined.
    ReservedBits,
    /// A reserved opcode.
    ReservedOpcode,
    /// A length not in its shortest form.
    LengthForm,
    /// A 64-bit length with the top bit set.
    LengthTooLarge,
    /// A fragmented control frame.
    ControlFragmented,
    /// A control frame of more than 125 bytes.
    ControlTooLong,
    /// A continuation frame outside a message.
    ContinuationUnexpected,
    /// A new data message before the last one has ended.
    ContinuationMissing,
    /// A text message, or a close reason, that is not UTF-8.
    InvalidUtf8,
    /// A close frame whose payload is one byte.
    CloseLength,
    /// A status code that must not be on the wire.
    CloseCode,
    /// A frame after the close frame.
    AfterClose,
    /// RSV1 on a control frame or on a continuation.
    CompressedBit,
    /// Compressed data that does not inflate.
    DeflateData,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 24] = [
        Self::HandshakeMethod,
        Self::HandshakeVersion,
        Self::HandshakeKey,
        Self::HandshakeHeader,
        Self::HandshakeAccept,
        Self::HandshakeSubprotocol,
        Self::HandshakeExtension,
        Self::DeflateParameters,
        Self::MaskMissing,
        Self::MaskUnexpected,
        Self::ReservedBits,
        Self::ReservedOpcode,
        Self::LengthForm,
        Self::LengthTooLarge,
        Self::ControlFragmented,
        Self::ControlTooLong,
        Self::ContinuationUnexpected,
        Self::ContinuationMissing,
        Self::InvalidUtf8,
        Self::CloseLength,
        Self::CloseCode,
        Self::AfterClose,
        Self::CompressedBit,
        Self::DeflateData,
    ];

    /// The stable name, and the section that the rule is from.
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::HandshakeMethod => ("handshake-method", "RFC 6455 section 4.1"),
            Self::HandshakeVersion => ("handshake-version", "RFC 6455 section 4.1"),
            Self::HandshakeKey => ("handshake-key", "RFC 6455 section 4.1"),
            Self::HandshakeHeader => ("handshake-header", "RFC 6455 sections 4.1 and 4.2"),
            Self::HandshakeAccept => ("handshake-accept", "RFC 6455 section 4.2.2"),
            Self::HandshakeSubprotocol => ("handshake-subprotocol", "RFC 6455 section 4.1"),
            Self::HandshakeExtension => ("handshake-extension", "RFC 6455 section 9.1"),
            Self::DeflateParameters => ("deflate-parameters", "RFC 7692 section 7.1"),
            Self::MaskMissing => ("mask-missing", "RFC 6455 section 5.1"),
            Self::MaskUnexpected => ("mask-unexpected", "RFC 6455 section 5.1"),
            Self::ReservedBits => ("reserved-bits", "RFC 6455 section 5.2"),
            Self::ReservedOpcode => ("reserved-opcode", "RFC 6455 section 5.2"),
            Self::LengthForm => ("length-form", "RFC 6455 section 5.2"),
            Self::LengthTooLarge => ("length-too-large", "RFC 6455 section 5.2"),
            Self::ControlFragmented => ("control-fragmented", "RFC 6455 section 5.5"),
            Self::ControlTooLong => ("control-too-long", "RFC 6455 section 5.5"),
            Self::ContinuationUnexpected => ("continuation-unexpected", "RFC 6455 section 5.4"),
            Self::ContinuationMissing => ("continuation-missing", "RFC 6455 section 5.4"),
            Self::InvalidUtf8 => ("invalid-utf8", "RFC 6455 section 8.1"),
            Self::CloseLength => ("close-length", "RFC 6455 section 5.5.1"),
            Self::CloseCode => ("close-code", "RFC 6455 section 7.4"),
            Self::AfterClose => ("after-close", "RFC 6455 section 5.5.1"),
            Self::CompressedBit => ("compressed-bit", "RFC 7692 section 6"),
            Self::DeflateData => ("deflate-data", "RFC 7692 section 7.2.2"),
        }
    }

    /// The stable name, as events and the documentation have it.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Where the rule is written.
    pub const fn reference(self) -> &'static str {
        self.row().1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_is_documented() {
        let table = include_str!("../../../docs/decoding.md");
        for rule in Rule::ALL {
            let (begin, end) =
                (format!("| `{}` |", rule.name()), format!("| {} |", rule.reference()));
            let is_row = |line: &str| line.starts_with(&begin) && line.ends_with(&end);
            assert!(table.lines().any(is_row), "docs/decoding.md has no row for {}", rule.name());
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
    }
}
