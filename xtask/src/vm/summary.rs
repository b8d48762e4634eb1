//! All machines in one table: what each came to comes in, Markdown goes out.

use std::time::Duration;

use super::{
    machine::Accelerator,
    verdict::{Report, Verdict},
};

/// What became of one machine.
pub(super) struct Outcome {
    pub(super) release: String,
    pub(super) arch: &'static str,
    pub(super) accelerator: Accelerator,
    pub(super) took: Duration,
    pub(super) report: Report,
}

impl Outcome {
    /// Whether all is well.
    pub(super) fn is_good(&self) -> bool {
        self.report.verdict == Verdict::Passed
    }
}

/// A column: its title, and what stands in it.
type Column = (&'static str, fn(&Outcome) -> String);

const COLUMNS: [Column; 13] = [
    ("kernel", |it| it.release.clone()),
    ("CPU", |it| format!("{}, {}", it.arch, it.accelerator.name())),
    ("attached by", |it| measured(it, "attach path")),
    ("passed", |it| it.report.counts.passed.to_string()),
    ("failed", |it| it.report.counts.failed.to_string()),
    ("ignored", |it| it.report.counts.ignored.to_string()),
    ("left out", |it| it.report.left_out.len().to_string()),
    ("instructions verified, of 1,000,000: Ethernet", |it| measured(it, "verified, Ethernet")),
    ("IP", |it| measured(it, "verified, IP")),
    ("bytes translated, jitted", |it| measured(it, "bytes")),
    ("loading", |it| measured(it, "load time")),
    ("boot, all", |it| {
        let boot = it.report.booted.map_or_else(|| "?".to_owned(), |s| format!("{s:.0} s"));
        format!("{boot}, {} s", it.took.as_secs())
    }),
    ("verdict", |it| it.report.verdict.to_string()),
];

fn measured(outcome: &Outcome, name: &str) -> String {
    outcome.report.measured.get(name).cloned().unwrap_or_else(|| "?".to_owned())
}

/// The table, and under it what needs more room than a cell has.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(COLUMNS.map(|(title, _)| title.to_owned()).to_vec());
    text += &line(vec!["---".to_owned(); COLUMNS.len()]);
    for outcome in outcomes {
        text += &line(COLUMNS.map(|(_, cell)| cell(outcome).replace('|', "\\|")).to_vec());
    }
    for outcome in outcomes {
        let Report { left_out, remarks, .. } = &outcome.report;
        for (what, list) in [("left out", left_out), ("the kernel said", remarks)] {
            for one in list {
                text += &format!("\n{}: {what}: {one}\n", outcome.release);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::{machine::Ended, verdict};

    #[test]
    fn a_machine_is_a_line_and_what_it_left_out_is_below() {
        let console = "vm: booted 4.1\nmeasured: attach path = tcx\nleft out: x: no vxlan here\n\
                       test result: ok. 2 passed; 0 failed; 1 ignored;\nvm: done 9\n";
        let outcome = Outcome {
            release: "6.12.1".to_owned(),
            arch: "x86_64",
            accelerator: Accelerator::Tcg,
            took: Duration::from_secs(99),
            report: verdict::report(console, Ended::Alone),
        };
        assert!(outcome.is_good());
        let table = table(&[outcome]);
        let lines: Vec<_> = table.lines().collect();
        assert!(lines.iter().take(3).all(|line| line.matches('|').count() == 14), "{table}");
        let expected =
            "| 6.12.1 | x86_64, TCG | tcx | 2 | 0 | 1 | 1 | ? | ? | ? | ? | 4 s, 99 s | passed |";
        assert_eq!(lines[2], expected);
        assert_eq!(lines[4], "6.12.1: left out: x: no vxlan here");
    }
}
