//! What an observer says of itself at its end: how much it saw, showed, and lost. Comes in as what
//! it printed, in the words of each program.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::Program;

/// How the tracer's lines of messages begin; the time before it has always the same length.
const MESSAGE: &str = r#""event":"ws.message""#;
const HEAD: usize = 96;

/// Numbers that an observer gives; `None`: it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::bench) struct Account {
    /// Packets or segments that came to it, lost ones not among them.
    pub(in crate::bench) seen: Option<u64>,
    /// Packets or segments that the kernel dropped before it got them.
    pub(in crate::bench) lost: Option<u64>,
    /// Messages that it showed.
    pub(in crate::bench) messages: Option<u64>,
    /// Holes in streams that it found.
    pub(in crate::bench) gaps: Option<u64>,
    /// Broken rules that it found; in these loads there are none.
    pub(in crate::bench) violations: Option<u64>,
}

impl Account {
    /// From what a program said on standard error, and the file that it wrote.
    pub(super) fn read(program: Program, said: &str, output: Option<&Path>) -> Result<Self> {
        match (program, output) {
            (Program::Nobody | Program::Tcpflow, _) => Ok(Self::default()),
            (Program::Tcpdump, _) => Ok(Self::tcpdump(said)),
            (Program::Tshark, None) => Ok(Self::tshark(said)),
            (Program::Tshark, Some(output)) => {
                let messages = count(output, |line| opcodes(line).count() as u64)?;
                Ok(Self { messages: Some(messages), ..Self::tshark(said) })
            }
            (Program::Tracer, None) => Ok(Self::tracer_summary(said)),
            (Program::Tracer, Some(output)) => Self::tracer_events(output),
        }
    }

    /// `12 packets captured`, `15 packets received by filter`, `3 packets dropped by kernel`
    fn tcpdump(said: &str) -> Self {
        let lost = number_before(said, &["packet dropped by kernel", "packets dropped by kernel"]);
        let received =
            number_before(said, &["packet received by filter", "packets received by filter"]);
        // What was dropped had passed the filter too.
        let seen = received.map(|received| received.saturating_sub(lost.unwrap_or(0)));
        Self { seen, lost, ..Self::default() }
    }

    /// `12 packets captured`, and only if there are any, `3 packets dropped from lo`
    fn tshark(said: &str) -> Self {
        let seen = number_before(said, &["packet captured", "packets captured"]);
        let lost = number_before(said, &["packet dropped from lo", "packets dropped from lo"]);
        Self { seen, lost: lost.or(seen.map(|_| 0)), ..Self::default() }
    }

    /// What the tracer writes for people when it ends.
    fn tracer_summary(said: &str) -> Self {
        let or_none = |number: Option<u64>, known: Option<u64>| number.or(known.map(|_| 0));
        let sums = said.lines().find(|line| line.contains(" connection") && line.contains(", "));
        let seen = number_before(said, &["segment (", "segments ("]);
        let messages = sums
            .and_then(|line| line.rsplit(", ").next())
            .and_then(|last| last.split(' ').next()?.parse().ok());
        Self {
            seen,
            lost: number_before(said, &["segment lost", "segments lost"]),
            messages,
            gaps: or_none(number_before(said, &["gap in streams", "gaps in streams"]), seen),
            violations: or_none(number_before(said, &["violation of", "violations of"]), seen),
        }
    }

    /// The lines of messages, counted, and the last line, which is a `stats` event.
    fn tracer_events(output: &Path) -> Result<Self> {
        let mut last = Vec::new();
        let messages = count(output, |line| {
            last.clear();
            last.extend_from_slice(line);
            u64::from(is_message(line))
        })?;
        let stats = serde_json::from_slice(&last).context("the last line is not a stats event")?;
        Ok(Self { messages: Some(messages), ..Self::tracer_stats(&stats) })
    }

    fn tracer_stats(stats: &serde_json::Value) -> Self {
        let field = |name: &str| stats.get(name)?.as_u64();
        Self {
            seen: field("segments"),
            lost: field("lost"),
            messages: field("messages"),
            gaps: field("gaps"),
            violations: field("violations"),
        }
    }
}

fn is_message(line: &[u8]) -> bool {
    let head = line.get(..HEAD).unwrap_or(line);
    head.windows(MESSAGE.len()).any(|window| window == MESSAGE.as_bytes())
}

/// The opcodes of data messages in a line of tshark's, which has them in its third field.
fn opcodes(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let field = line.split(|&byte| byte == b'\t').nth(2).unwrap_or_default();
    field.split(|&byte| byte == b',').filter(|&opcode| matches!(opcode, b"1" | b"2"))
}

fn count(output: &Path, mut count: impl FnMut(&[u8]) -> u64) -> Result<u64> {
    let cannot = || format!("cannot read {}", output.display());
    let mut reader = BufReader::with_capacity(1 << 20, File::open(output).with_context(cannot)?);
    let mut line = Vec::new();
    let mut sum = 0;
    while reader.read_until(b'\n', &mut line).with_context(cannot)? > 0 {
        sum += count(&line);
        line.clear();
    }
    Ok(sum)
}

/// The number at the beginning of a line that goes on with one of `words`.
fn number_before(said: &str, words: &[&str]) -> Option<u64> {
    said.lines().find_map(|line| {
        let (number, rest) = line.trim().split_once(' ')?;
        words.iter().any(|words| rest.starts_with(words)).then(|| number.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcpdump_says_what_was_dropped() {
        let said = "tcpdump: listening on lo, link-type EN10MB (Ethernet)\n\
            ^C1290 packets captured\n3000 packets received by filter\n\
            410 packets dropped by kernel\n";
        let account = Account::tcpdump(said);
        assert_eq!((account.seen, account.lost), (Some(2590), Some(410)));
        assert_eq!(Account::tcpdump("tcpdump: no such device"), Account::default());
    }

    #[test]
    fn tshark_says_nothing_when_nothing_was_dropped() {
        let account = Account::tshark("Capturing on 'Loopback: lo'\n1 packet captured\n");
        assert_eq!((account.seen, account.lost), (Some(1), Some(0)));
        let account = Account::tshark("12 packets dropped from lo\n7 packets captured\n");
        assert_eq!((account.seen, account.lost), (Some(7), Some(12)));
    }

    #[test]
    fn the_tracer_sums_up() {
        let said = "tracer: tracing port 7272 on lo (TCX); Ctrl-C ends\n\n\
            #1 127.0.0.1:5 ⇄ 127.0.0.1:7272  1.2 s: 2 messages (819 B) →, 3 messages (42 B) ←\n\
            and 63 more connections\n\
            9 segments (900 bytes) in 64 connections, 5 messages\n1 segment lost (100 bytes)\n";
        let account = Account::tracer_summary(said);
        assert_eq!((account.seen, account.lost, account.messages), (Some(9), Some(1), Some(5)));
        assert_eq!((account.gaps, account.violations), (Some(0), Some(0)));
    }

    #[test]
    fn a_line_is_a_message_if_its_event_is_one() {
        let message = br#"{"ts":"2026-11-22T06:41:35.841539000Z","event":"ws.message","conn":1}"#;
        assert!(is_message(message));
        assert!(!is_message(br#"{"ts":"2026-11-22T06:41:35.841539000Z","event":"ws.ping"}"#));
    }

    #[test]
    fn tshark_may_have_several_messages_in_a_line() {
        assert_eq!(opcodes(b"1.5\t0\t1,2,8\thi\n").count(), 2);
        assert_eq!(opcodes(b"1.5\t0\t9\t\n").count(), 0);
    }
}
