//! What a machine's console says: its text comes in, exactly one verdict goes out, with what was
//! counted and measured on the way. The markers are those that `init.sh` prints.

use std::{collections::BTreeMap, fmt};

use super::machine::Ended;

/// How it went.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// All programs ended well, and some test ran.
    Passed,
    /// These tests failed; or a program ended without saying which.
    Failed(Vec<String>),
    /// The kernel said this, and gave up.
    Panic(String),
    /// It had to be stopped; why.
    Hung(String),
    /// Not one word came from user space.
    DidNotBoot,
    /// It ended, and did not say how the tests went; what is missing.
    Missing(&'static str),
}

/// All that a console says.
#[derive(Debug, PartialEq)]
pub(super) struct Report {
    pub(super) verdict: Verdict,
    pub(super) counts: Counts,
    /// Tests that had not what they need, and why.
    pub(super) left_out: Vec<String>,
    /// What tests measured, by what it is.
    pub(super) measured: BTreeMap<String, String>,
    /// What the kernel complained about and survived.
    pub(super) remarks: Vec<String>,
    /// Seconds of the machine's time until the tests began.
    pub(super) booted: Option<f64>,
}

/// How many tests did what, in all programs together.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) ignored: u32,
}

/// What `init.sh` begins its lines with.
const MARK: &str = "vm: ";

/// Reads a console.
pub(super) fn report(console: &str, ended: Ended) -> Report {
    let lines: Vec<&str> = console.lines().collect();
    let counts = counts(&lines);
    Report {
        verdict: verdict(&lines, ended, &counts),
        counts,
        left_out: marked(&lines, "left out: "),
        measured: measured(&lines),
        remarks: remarks(&lines),
        booted: value(&lines, "booted ").and_then(|seconds| seconds.parse().ok()),
    }
}

/// Whether user space was reached.
pub(super) fn is_up(console: &str) -> bool {
    console.lines().any(|line| line.starts_with("vm: booted "))
}

/// The worst that is there.
fn verdict(lines: &[&str], ended: Ended, counts: &Counts) -> Verdict {
    if let Some(message) = lines.iter().filter_map(|line| kernel_message(line)).find(is_fatal) {
        return Verdict::Panic(message.to_owned());
    }
    let is_done = value(lines, "done").is_some();
    if !is_done && let Some(why) = ended.hang() {
        let last = lines.iter().rfind(|line| !line.trim().is_empty()).unwrap_or(&"nothing");
        return Verdict::Hung(format!("{why}; the last line: {}", last.trim()));
    }
    if value(lines, "booted ").is_none() {
        return Verdict::DidNotBoot;
    }
    let failed = failures(lines);
    if !failed.is_empty() {
        return Verdict::Failed(failed);
    }
    if !is_done {
        return Verdict::Missing("it ended before the tests did");
    }
    if counts.passed == 0 {
        return Verdict::Missing("no test ran");
    }
    Verdict::Passed
}

/// The tests that failed, and the programs that did without saying so of a test.
fn failures(lines: &[&str]) -> Vec<String> {
    let mut failed = Vec::new();
    let mut of_this = 0;
    for line in lines {
        if let Some(test) = line.strip_prefix("test ").and_then(|l| l.strip_suffix(" ... FAILED")) {
            failed.push(test.to_owned());
            of_this += 1;
        } else if let Some(end) = line.strip_prefix(MARK).and_then(|l| l.strip_prefix("ended ")) {
            if of_this == 0 && !end.ends_with(" status 0") {
                failed.push(end.to_owned());
            }
            of_this = 0;
        }
    }
    failed
}

/// The sums of lines like `test result: ok. 57 passed; 0 failed; 0 ignored; 0 measured; …`.
fn counts(lines: &[&str]) -> Counts {
    let mut counts = Counts::default();
    for result in lines.iter().filter_map(|line| line.strip_prefix("test result: ")) {
        for part in result.split([';', '.']) {
            let number = |what| part.strip_suffix(what)?.trim().parse::<u32>().ok();
            counts.passed += number("passed").unwrap_or(0);
            counts.failed += number("failed").unwrap_or(0);
            counts.ignored += number("ignored").unwrap_or(0);
        }
    }
    counts
}

/// What follows a marker of `init.sh`.
fn value<'a>(lines: &[&'a str], marker: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(MARK)?.strip_prefix(marker))
}

/// What follows a word wherever it is: tests share the console, and libtest may have begun a line.
fn marked(lines: &[&str], word: &str) -> Vec<String> {
    let rests = lines.iter().filter_map(|line| line.split_once(word));
    rests.map(|(_, rest)| rest.trim().to_owned()).collect()
}

/// Lines like `measured: load time = 17 ms`.
fn measured(lines: &[&str]) -> BTreeMap<String, String> {
    let measured = marked(lines, "measured: ");
    let pairs = measured.iter().filter_map(|line| line.split_once(" = "));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The kernel's message in a line: what comes after its time, `[   12.345678] `, which may come
/// behind what a test has written.
fn kernel_message(line: &str) -> Option<&str> {
    let is_time = |text: &str| {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        text.split_once('.').is_some_and(|(s, us)| digits(s.trim_start()) && digits(us))
    };
    line.match_indices('[').find_map(|(at, _)| {
        let (time, message) = line[at + 1..].split_once("] ")?;
        is_time(time).then_some(message)
    })
}

/// Whether the kernel cannot go on after this. A lock-up is one of time, which an emulated machine
/// may lack.
fn is_fatal(message: &&str) -> bool {
    let words = ["Kernel panic", "Oops", "BUG: "];
    words.iter().any(|word| message.contains(word)) && !message.contains("lockup")
}

/// What the kernel complained about and survived, each once.
fn remarks(lines: &[&str]) -> Vec<String> {
    const WORDS: [&str; 6] = [
        "WARNING: ",
        "lockup",
        "detected stalls",
        "self-detected stall",
        "blocked for more than",
        "Out of memory",
    ];
    let messages = lines.iter().filter_map(|line| kernel_message(line));
    let mut remarks: Vec<_> = messages
        .filter(|message| WORDS.iter().any(|word| message.contains(word)))
        .map(str::to_owned)
        .collect();
    remarks.extend(marked(lines, "vm: note: "));
    remarks.dedup();
    remarks
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(tests) => write!(f, "{} failed: {}", tests.len(), tests.join(", ")),
            Self::Panic(message) => write!(f, "panic: {message}"),
            Self::Hung(why) => write!(f, "hung: {why}"),
            Self::DidNotBoot => f.write_str("did not boot"),
            Self::Missing(what) => write!(f, "verdict missing: {what}"),
        }
    }
}

#[cfg(test)]
mod tests;
