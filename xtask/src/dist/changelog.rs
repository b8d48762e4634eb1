//! The package's changelog: CHANGELOG.md comes in; what Debian's tools read the version from goes out.

use anyhow::{Context as _, Result, ensure};

use super::{
    VERSION,
    moment::{self, Moment},
};

/// How wide Debian has its changelogs.
const WIDTH: usize = 80;

/// A release in CHANGELOG.md.
#[derive(Debug, PartialEq)]
struct Release<'a> {
    /// `None`: to come, as the version that is packed.
    version: Option<&'a str>,
    date: Option<&'a str>,
    /// Headings and items, a line each of the file.
    lines: Vec<&'a str>,
}

/// In Debian's format, newest first.
pub(super) fn for_debian(markdown: &str, maintainer: &str, moment: &Moment) -> Result<String> {
    let releases = releases(markdown);
    let newest =
        releases.first().context("CHANGELOG.md has no release, and not what is to come")?;
    let version = newest.version.unwrap_or(VERSION);
    ensure!(version == VERSION, "CHANGELOG.md is of {version}, and this is {VERSION}");
    let entries = releases.iter().map(|release| {
        let date = match release.date {
            Some(date) => moment::date(date)?,
            None => moment.for_changelogs()?,
        };
        Ok(entry(release, maintainer, &date))
    });
    Ok(entries.collect::<Result<Vec<_>>>()?.join("\n"))
}

/// `## 0.2.0 - 2026-12-01` begins one, or `## Unreleased`.
fn releases(markdown: &str) -> Vec<Release<'_>> {
    let mut releases: Vec<Release<'_>> = Vec::new();
    for line in markdown.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let mut words = heading.split([' ', '[', ']']).filter(|word| !["", "-"].contains(word));
            let version = words.next().filter(|word| *word != "Unreleased");
            releases.push(Release { version, date: words.next(), lines: Vec::new() });
        } else if let Some(release) = releases.last_mut() {
            release.lines.push(line);
        }
    }
    releases
}

fn entry(release: &Release<'_>, maintainer: &str, date: &str) -> String {
    let version = release.version.unwrap_or(VERSION);
    let mut entry = format!("tracer ({version}-1) unstable; urgency=medium\n\n");
    for line in release.lines.iter().filter(|line| !line.trim().is_empty()) {
        match (line.strip_prefix("### "), line.strip_prefix("- ")) {
            (Some(heading), _) => entry += &format!("  [ {heading} ]"),
            (None, Some(item)) => add_words(&mut entry, "  *", item),
            // The item goes on, behind what it has on its last line.
            (None, None) => {
                entry.pop();
                add_words(&mut entry, "", line);
            }
        }
        entry.push('\n');
    }
    entry + &format!("\n -- {maintainer}  {date}\n")
}

/// Begins a line, and goes on in others before this one gets too wide.
fn add_words(entry: &mut String, beginning: &str, words: &str) {
    *entry += beginning;
    for word in words.split_whitespace() {
        let width = entry.lines().last().map_or(0, |line| line.chars().count());
        let between = if width + 1 + word.chars().count() > WIDTH { "\n    " } else { " " };
        *entry += between;
        *entry += word;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKDOWN: &str = "# Changelog\n\nWhat a user notices.\n\n## Unreleased\n\n### Added\n\n- One\n  and \
                            more, so much that it does not fit into one line of eighty\n  characters\n- Two\n\n## [0.0.1] - 2026-01-02\n\n- First\n";

    #[test]
    fn each_release_is_an_entry() {
        let moment = Moment(0);
        let expected = format!(
            "tracer ({VERSION}-1) unstable; urgency=medium\n\n  [ Added ]\n  * One and more, so much that it does not \
             fit into one line of eighty\n    characters\n  * Two\n\n \
             -- T <t@x>  Thu, 01 Jan 1970 00:00:00 +0000\n\n\
             tracer (0.0.1-1) unstable; urgency=medium\n\n  * First\n\n \
             -- T <t@x>  Fri, 02 Jan 2026 00:00:00 +0000\n"
        );
        assert_eq!(for_debian(MARKDOWN, "T <t@x>", &moment).unwrap(), expected);
    }

    #[test]
    fn a_changelog_of_another_version_is_refused() {
        let told = for_debian("## 77.0.0 - 2026-01-02\n", "T <t@x>", &Moment(0)).unwrap_err();
        assert!(told.to_string().starts_with("CHANGELOG.md is of 77.0.0"), "{told}");
        assert!(for_debian("# Changelog\n", "T <t@x>", &Moment(0)).is_err());
    }
}
