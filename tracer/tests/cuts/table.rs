//! Scores are added up by row and cut; a Markdown table and totals come out, or a panic where they
//! are worse than they have to be.

use std::{collections::BTreeMap, fmt};

use crate::{cut::Cut, packet::Direction, score::Score};

/// Scores of both senders, by row (what the traffic is like) and column.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<String, BTreeMap<Cut, [Score; 2]>>);

impl Table {
    pub(crate) fn add(&mut self, row: &str, cut: Cut, (_, from): Direction, score: Score) {
        let cells = self.0.entry(row.to_owned()).or_default();
        cells.entry(cut).or_default()[from as usize] += score;
    }

    /// The sum over the rows whose names end so, and a cut, or all of them.
    fn total(&self, rows: &str, wanted: Option<Cut>) -> Score {
        let mut total = Score::default();
        for (row, cells) in &self.0 {
            for (cut, scores) in cells {
                if row.ends_with(rows) && wanted.is_none_or(|wanted| wanted == *cut) {
                    scores.iter().for_each(|score| total += *score);
                }
            }
        }
        total
    }

    /// Nothing is told that is not true: no whole message in a hundred thousand, no damaged one or
    /// broken rule in a thousand. Once one message behind a hole is found, so are all.
    pub(crate) fn check_truth(&self) {
        let total = self.total("", None);
        assert!(total.false_whole <= total.complete / 100_000, "{total:?}");
        assert!(total.false_damaged + total.false_violations <= total.complete / 1000, "{total:?}");
        assert_eq!(total.missed_later, 0, "{total:?}");
    }

    /// At least `floor` percent of the complete messages are told of.
    pub(crate) fn check_share(&self, rows: &str, cut: Cut, floor: f64) {
        let score = self.total(rows, Some(cut));
        assert!(score.complete > 100, "{rows}, {cut}: {score:?}");
        let share = percent(score.exact + score.partly, score.complete);
        assert!(share >= floor, "{rows}, {cut}: {share:.2} %, {score:?}");
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| traffic | {} |", Cut::ALL.map(|cut| cut.to_string()).join(" | "))?;
        writeln!(f, "| --- |{}", " --- |".repeat(Cut::ALL.len()))?;
        for (row, cells) in &self.0 {
            let cell = |[client, server]: &[Score; 2]| format!("{client} / {server}");
            let cells: Vec<_> = cells.values().map(cell).collect();
            writeln!(f, "| {row} | {} |", cells.join(" | "))?;
        }
        writeln!(f, "{:?}", self.total("", None))
    }
}

impl fmt::Display for Score {
    /// The share told of in full, and what is told of without its content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", percent(self.exact, self.complete))?;
        let partly = percent(self.partly, self.complete);
        if partly >= 0.5 { write!(f, " + {partly:.1}") } else { Ok(()) }
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}
