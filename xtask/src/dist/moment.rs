//! The moment that everything in a package is of: the sources come in, the time of their last change goes
//! out. No clock has a say, or no two builds would be equal.

use std::{env, process::Command};

use anyhow::{Context as _, Result};

use crate::shell;

/// What tools that make files ask for (reproducible-builds.org/specs/source-date-epoch).
pub(super) const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// Seconds since 1970.
pub(super) struct Moment(pub(super) u64);

impl Moment {
    /// Of the last commit, unless the environment says otherwise.
    pub(super) fn of_the_sources() -> Result<Self> {
        let seconds = match env::var(VARIABLE) {
            Ok(seconds) => seconds,
            Err(_) => last_commit().with_context(|| {
                format!("cannot tell of when these sources are: set {VARIABLE}, in seconds")
            })?,
        };
        let seconds = seconds.trim().parse();
        seconds.map(Self).with_context(|| format!("{VARIABLE} is a number of seconds since 1970"))
    }

    /// As Debian's changelogs have it.
    pub(super) fn for_changelogs(&self) -> Result<String> {
        date(&format!("@{}", self.0))
    }
}

/// Any date, such as 2026-11-22, as Debian's changelogs have it.
pub(super) fn date(when: &str) -> Result<String> {
    let mut date = Command::new("date");
    let date =
        shell::output(date.env("LC_ALL", "C").args(["--utc", "--rfc-email", "--date", when]));
    date.map(|date| date.trim_end().to_owned())
}

fn last_commit() -> Result<String> {
    let mut git = Command::new("git");
    shell::output(git.current_dir(shell::workspace()).args(["log", "-1", "--format=%ct"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_changelogs_have_it() {
        let moment = Moment(1_795_379_341);
        assert_eq!(moment.for_changelogs().unwrap(), "Sun, 22 Nov 2026 20:29:01 +0000");
        assert_eq!(date("2026-11-22").unwrap(), "Sun, 22 Nov 2026 00:00:00 +0000");
        assert!(date("soon").is_err());
    }
}
