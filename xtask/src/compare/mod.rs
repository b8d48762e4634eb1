//! `cargo xtask compare`: the tracer and tshark read the same captures, what each shows is held
//! against what the peers themselves logged, and a table in Markdown goes to standard output.

mod cases;
mod dissection;
mod node;
mod pcap;
mod said;
mod score;
mod tracer;
mod truth;
mod tshark;
mod whole;

use std::{cmp::Reverse, path::Path, time::Duration};

use anyhow::Result;

use crate::build;
use cases::Ready;
use said::{Group, Said};
use score::{Score, score};
use tshark::{SETTINGS, Setting};

/// Compares, and prints the table.
pub(crate) fn command() -> Result<()> {
    let version = tshark::ensure()?;
    let tracer = build::release()?;
    let folder = build::target_directory()?.join("compare");
    let rows = cases::prepare(&folder)?;
    let rows: Result<Vec<_>> = rows.iter().map(|case| Row::measure(case, &tracer)).collect();
    print(&version, &rows?);
    Ok(())
}

/// What one tool made of one capture.
struct Outcome {
    messages: Score,
    control: Score,
    time: Duration,
}

impl Outcome {
    fn new(truth: &Said, mut shown: Said, time: Duration) -> Self {
        shown.0.retain(|(sender, group), _| {
            *group != Group::Closes || !truth::is_unlogged_close(*sender)
        });
        let (messages, control) = score(truth, &shown);
        Self { messages, control, time }
    }

    /// More is better: right above all, then what is not wrong.
    fn merit(&self) -> (usize, Reverse<usize>) {
        let both = self.messages + self.control;
        (both.right, Reverse(both.wrong))
    }
}

/// A line of the table.
struct Row {
    name: String,
    messages: usize,
    control: usize,
    tshark: Outcome,
    /// The way to ask tshark that did best.
    setting: &'static str,
    tracer: Outcome,
}

impl Row {
    fn measure(case: &Ready, tracer: &Path) -> Result<Self> {
        let Ready { name, file, truth } = case;
        let ask = |setting: &Setting| {
            let (shown, time) = setting.read(file)?;
            Ok((Outcome::new(truth, shown, time), setting.name))
        };
        let mut asked = SETTINGS.iter().map(ask).collect::<Result<Vec<_>>>()?;
        // The first of equals: a stable sort.
        asked.sort_by_key(|(outcome, _)| Reverse(outcome.merit()));
        let (tshark, setting) = asked.swap_remove(0);
        let (shown, time) = tracer::read(tracer, file)?;
        let count = |messages| {
            let groups =
                truth.0.iter().filter(|((_, group), _)| (*group == Group::Messages) == messages);
            groups.map(|(_, items)| items.len()).sum()
        };
        Ok(Self {
            name: name.clone(),
            messages: count(true),
            control: count(false),
            tshark,
            setting,
            tracer: Outcome::new(truth, shown, time),
        })
    }

    fn cells(&self) -> [String; 9] {
        let Self { name, messages, control, tshark, setting, tracer } = self;
        let time = |outcome: &Outcome| format!("{:.2} s", outcome.time.as_secs_f64());
        [
            name.clone(),
            messages.to_string(),
            tshark.messages.to_string(),
            tracer.messages.to_string(),
            control.to_string(),
            tshark.control.to_string(),
            tracer.control.to_string(),
            format!("{} ({setting})", time(tshark)),
            time(tracer),
        ]
    }
}

const HEAD: [&str; 9] = [
    "capture",
    "messages",
    "tshark",
    "tracer",
    "control frames",
    "tshark",
    "tracer",
    "tshark's time",
    "tracer's time",
];

fn print(version: &str, rows: &[Row]) {
    println!("{version} and the tracer: right / wrong / missing\n");
    println!("| {} |", HEAD.join(" | "));
    println!("|{}", " --- |".repeat(HEAD.len()));
    for row in rows {
        println!("| {} |", row.cells().join(" | "));
    }
    let sum = |part: fn(&Row) -> Score| rows.iter().map(part).sum::<Score>();
    println!(
        "| **all** | {} | {} | {} | {} | {} | {} | | |",
        rows.iter().map(|row| row.messages).sum::<usize>(),
        sum(|row| row.tshark.messages),
        sum(|row| row.tracer.messages),
        rows.iter().map(|row| row.control).sum::<usize>(),
        sum(|row| row.tshark.control),
        sum(|row| row.tracer.control),
    );
    println!(
        "\nMessages and control frames: those of which every byte was captured. Right: shown as it \
         was sent, in its place. Wrong: shown as if whole, but different, or never sent. Times are \
         of one run each, start and printing included.\n\ntshark is asked in three ways, and the \
         best one counts:\n"
    );
    for setting in &SETTINGS {
        println!("- {}: `{}`", setting.name, setting.describe());
    }
    println!("\nand always with `{}`.", tshark::describe_common());
}
