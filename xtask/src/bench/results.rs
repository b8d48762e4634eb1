//! Everything that was measured, as it is kept in a file.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{machine::Machine, offline::Offline, round::Round};

/// All raw figures of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    /// How long the measured part of a round was.
    pub(super) seconds: f64,
    /// In the order in which they were played.
    pub(super) rounds: Vec<Round>,
    /// Of rounds that could not be finished.
    pub(super) failures: Vec<String>,
    pub(super) offline: Vec<Offline>,
}

/// One thing that was measured.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Item {
    Round(Box<Round>),
    Failure(String),
    Offline(Offline),
}

impl Results {
    pub(super) fn add(&mut self, item: Item) {
        match item {
            Item::Round(round) => self.rounds.push(*round),
            Item::Failure(failure) => self.failures.push(failure),
            Item::Offline(offline) => self.offline.push(offline),
        }
    }

    /// What was measured earlier, if it was on the same machine with the same programs, goes before.
    pub(super) fn after(self, earlier: Self) -> Result<Self> {
        let (now, then) = (&self.machine, &earlier.machine);
        let is_same = now.kernel == then.kernel && now.commit == then.commit && now.cpu == then.cpu;
        ensure!(
            is_same,
            "the raw figures that are there are of commit {} on Linux {}: leave out --add",
            then.commit,
            then.kernel
        );
        Ok(Self {
            rounds: [earlier.rounds, self.rounds].concat(),
            failures: [earlier.failures, self.failures].concat(),
            offline: if self.offline.is_empty() { earlier.offline } else { self.offline },
            ..self
        })
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is odd", path.display()))
    }

    /// One round a line: that is large enough, and can be compared.
    pub(super) fn to_json(&self) -> Result<String> {
        let Self { machine, seconds, rounds, failures, offline } = self;
        let machine = serde_json::to_string_pretty(machine)?.replace('\n', "\n  ");
        let failures = serde_json::to_string(failures)?;
        Ok(format!(
            "{{\n  \"machine\": {machine},\n  \"seconds\": {seconds},\n  \"rounds\": {},\n  \
             \"failures\": {failures},\n  \"offline\": {}\n}}\n",
            lines(rounds)?,
            lines(offline)?,
        ))
    }
}

fn lines<T: Serialize>(items: &[T]) -> Result<String> {
    let lines: Vec<_> = items.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(format!("[\n    {}\n  ]", lines.join(",\n    ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_measured_with_the_same_is_added_to() {
        let of = |commit: &str, offline: usize| Results {
            machine: Machine { commit: commit.to_owned(), ..Machine::default() },
            rounds: vec![Round::default()],
            offline: vec![Offline::default(); offline],
            ..Results::default()
        };
        let both = of("a", 0).after(of("a", 3)).expect("the same");
        assert_eq!((both.rounds.len(), both.offline.len()), (2, 3));
        let error = of("b", 0).after(of("a", 0)).expect_err("another commit");
        assert!(error.to_string().contains("of commit a"), "{error}");
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut results = Results { seconds: 0.5, ..Results::default() };
        let round = Round { load: "echo64".to_owned(), busy_ms: 12.5, ..Round::default() };
        results.add(Item::Round(Box::new(round)));
        results.add(Item::Failure("no \"luck\"".to_owned()));
        let again: Results =
            serde_json::from_str(&results.to_json().expect("JSON")).expect("JSON again");
        assert_eq!(again.rounds[0].busy_ms, 12.5);
        assert_eq!(again.failures, ["no \"luck\""]);
    }
}
