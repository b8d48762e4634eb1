//! What can be wrong with a capture file, in sentences for the person who named it.

use std::{error::Error, fmt, io};

use super::link;

/// Why a capture file cannot be read, or not any further. Packets before the fault were delivered.
#[derive(Debug)]
pub enum FileError {
    /// Reading failed at byte `at`.
    Io {
        /// The system's error.
        source: io::Error,
        /// Offset into the file, in bytes.
        at: u64,
    },
    /// The first bytes are of no capture format.
    NotACapture(Found),
    /// The file ends inside something.
    Truncated {
        /// What is incomplete.
        what: &'static str,
        /// Where the file ends, in bytes.
        at: u64,
    },
    /// The file contradicts its format.
    Broken {
        /// What is wrong.
        what: &'static str,
        /// Where the broken packet or block begins, in bytes.
        at: u64,
    },
    /// Something claims to be longer than anything real.
    TooLong {
        /// What claims it.
        what: &'static str,
        /// The length that it claims, in bytes.
        len: u64,
        /// The longest that is read, in bytes.
        limit: u64,
        /// Where it begins, in bytes.
        at: u64,
    },
    /// No packet has a link type that can be decoded; this is the first one's.
    LinkType(u32),
}

/// What a file is that is not a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Not one byte.
    Nothing,
    /// Compressed with the program named.
    Compressed(&'static str),
    /// Something else.
    Unknown,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { source, at } => write!(f, "reading failed at byte {at}: {source}"),
            Self::NotACapture(found) => found.fmt(f),
            Self::Truncated { what, at } => write!(
                f,
                "the file ends in the middle of a {what} (at byte {at}): it was cut off, or is \
                 still being written"
            ),
            Self::Broken { what, at } => write!(
                f,
                "the file is damaged (at byte {at}): {what}; nothing after that can be read"
            ),
            Self::TooLong { what, len, limit, at } => write!(
                f,
                "the file is damaged (at byte {at}): a {what} claims to be {len} bytes long, more \
                 than the {limit} that are possible; nothing after that can be read"
            ),
            Self::LinkType(number) => unsupported(f, *number),
        }
    }
}

fn unsupported(f: &mut fmt::Formatter<'_>, number: u32) -> fmt::Result {
    write!(f, "the capture's link type is {number}")?;
    if let Some(name) = link::unsupported_name(number) {
        write!(f, " ({name})")?;
    }
    f.write_str(
        ", which cannot be decoded: capture on an Ethernet, loopback, tunnel or `any` interface \
         instead",
    )
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("the file is empty, not a pcap or pcapng capture"),
            Self::Compressed(with) => {
                write!(f, "the file is compressed with {with}: decompress it first")
            }
            Self::Unknown => f.write_str(
                "the file is not a pcap or pcapng capture: name one, such as `tcpdump -w` writes",
            ),
        }
    }
}

// No source: `Io`'s is in the sentence already, and a chain of errors would print it twice.
impl Error for FileError {}
