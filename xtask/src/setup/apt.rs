//! Debian's package manager: what it could install, and installing it.

use std::{io, process::Command};

use anyhow::{Context as _, Error, Result, ensure};

use crate::shell;

/// The version of a package that would be installed; `check` refuses one that will not do. What
/// fresh lists offer decides, but they are fetched only when the ones at hand will not do.
pub(crate) fn candidate(package: &str, check: impl Fn(&str) -> Result<()>) -> Result<String> {
    ensure!(shell::find("apt-get").is_some(), "there is no apt-get");
    let acceptable = || {
        let candidate = Policy::of(package)?.candidate;
        let version = candidate.with_context(|| format!("there is no package {package}"))?;
        check(&version).with_context(|| format!("{package} {version} will not do"))?;
        Ok(version)
    };
    acceptable().or_else(|_: Error| {
        refresh();
        acceptable()
    })
}

/// Installs those packages that are missing or old, and never at the price of removing others.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    ensure!(shell::find("apt-get").is_some(), "there is no apt-get");
    let mut wanted = Vec::new();
    for package in packages {
        if !Policy::of(package)?.is_satisfied() {
            wanted.push(*package);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    if !shell::is_root() {
        eprintln!("setup: installing packages needs root: asking sudo");
    }
    fetch(&wanted).or_else(|_| {
        // Old lists name files that the mirrors no longer have.
        refresh();
        fetch(&wanted)
    })
}

fn fetch(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["install", "--no-install-recommends", "--no-remove"];
    arguments.extend(packages);
    get(&arguments)
}

/// Refreshes the package lists. A source that fails need not be the one that counts.
pub(crate) fn refresh() {
    if let Err(error) = get(&["update"]) {
        eprintln!("setup: going on with the package lists as they are: {error:#}");
    }
}

fn get(arguments: &[&str]) -> Result<()> {
    let mut command = shell::privileged("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]).args(arguments);
    // Standard output belongs to the command that we were asked for.
    shell::run(command.stdout(io::stderr()))
}

/// Which version of a package is there, and which would be installed.
#[derive(Debug, Default, PartialEq)]
struct Policy {
    installed: Option<String>,
    candidate: Option<String>,
}

impl Policy {
    fn of(package: &str) -> Result<Self> {
        let mut query = Command::new("apt-cache");
        shell::output(query.env("LC_ALL", "C").args(["policy", package])).map(|it| Self::parse(&it))
    }

    fn parse(text: &str) -> Self {
        let version = |field: &str| {
            let value = text.lines().find_map(|line| line.trim().strip_prefix(field))?;
            (value != "(none)").then(|| value.to_owned())
        };
        Self { installed: version("Installed: "), candidate: version("Candidate: ") }
    }

    fn is_satisfied(&self) -> bool {
        self.installed.is_some() && self.installed == self.candidate
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;

    #[test]
    fn a_missing_package_has_a_candidate() {
        let policy = Policy::parse(
            "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1\n  Version table:\n",
        );
        assert_eq!(policy.candidate.as_deref(), Some("1.96.0+dfsg1-1"));
        assert!(!policy.is_satisfied());
    }

    #[test]
    fn an_installed_package_is_left_alone_unless_old() {
        assert!(Policy::parse("p:\n  Installed: 2\n  Candidate: 2\n").is_satisfied());
        assert!(!Policy::parse("p:\n  Installed: 1\n  Candidate: 2\n").is_satisfied());
    }

    #[test]
    fn an_unknown_package_has_nothing() {
        assert_eq!(Policy::parse(""), Policy::default());
        let policy = Policy::parse("p:\n  Installed: (none)\n  Candidate: (none)\n");
        assert_eq!(policy, Policy::default());
        assert!(!policy.is_satisfied());
    }
}
