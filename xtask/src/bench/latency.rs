//! How long it takes from a message to its line: an observer's output comes in through a pipe, the
//! differences between the time that is in a probe and the time its line came go out.

use std::{
    collections::HashSet,
    io::{BufRead as _, BufReader},
    process::ChildStdout,
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};

use super::load::{PROBE, monotonic};

/// Reads lines as they come.
pub(super) struct Listener(JoinHandle<Vec<f64>>);

impl Listener {
    pub(super) fn new(stdout: ChildStdout) -> Self {
        Self(thread::spawn(move || listen(BufReader::with_capacity(1 << 20, stdout))))
    }

    /// Microseconds of every probe that was seen, once the observer has ended.
    pub(super) fn end(self) -> Result<Vec<f64>> {
        self.0.join().ok().context("the observer's lines could not be read")
    }
}

fn listen(mut stdout: BufReader<ChildStdout>) -> Vec<f64> {
    let mut latencies = Vec::new();
    // tcpdump shows a packet twice on `any`: the first time counts.
    let mut known = HashSet::new();
    let mut line = Vec::new();
    while let Ok(1..) = stdout.read_until(b'\n', &mut line) {
        let now = monotonic();
        if let Some(sent) = probe(&line)
            && known.insert(sent)
        {
            latencies.push(now.saturating_sub(sent) as f64 / 1e3);
        }
        line.clear();
    }
    latencies
}

/// The time that is in a line.
fn probe(line: &[u8]) -> Option<u64> {
    let at = line.windows(PROBE.len()).position(|window| window == PROBE.as_bytes())?;
    let digits = line[at + PROBE.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|&digit| char::from(digit)).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_found_in_any_line() {
        assert_eq!(probe(br#"{"text":"probe-123456"}"#), Some(123_456));
        assert_eq!(probe(b"..E..n.o@....probe-42\n"), Some(42));
        assert_eq!(probe(b"probe-"), None);
        assert_eq!(probe(b"nothing"), None);
    }
}
