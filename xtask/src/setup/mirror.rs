//! Debian's packages as files: names come in, archives go out, and nothing is installed, which needs
//! no root. Also those of any architecture where nothing is installed, with package lists of their own.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::apt;
use crate::shell;

/// The packages of one architecture.
pub(crate) struct Mirror {
    /// What differs from this machine's settings (apt.conf(5)).
    config: Option<PathBuf>,
}

impl Mirror {
    /// Those of this machine's architecture.
    pub(crate) fn native() -> Self {
        Self { config: None }
    }

    /// Those of any one, as Debian calls it, as if nothing were installed: `directory` is for that state,
    /// and for the package lists.
    pub(crate) fn apart(architecture: &str, directory: &Path) -> Result<Self> {
        let make = || -> io::Result<PathBuf> {
            for part in ["lists/partial", "cache/archives/partial"] {
                fs::create_dir_all(directory.join(part))?;
            }
            fs::write(directory.join("status"), "")?;
            let config = directory.join("apt.conf");
            fs::write(&config, settings(architecture, directory))?;
            Ok(config)
        };
        let config = make().with_context(|| format!("cannot write {}", directory.display()))?;
        Ok(Self { config: Some(config) })
    }

    /// What the lists say of a package's newest version, field by field.
    pub(crate) fn described(&self, package: &str) -> Result<String> {
        shell::output(self.command("apt-cache").args(["show", "--no-all-versions", package]))
    }

    /// The newest version of a package. Lists are fetched when those at hand do not have it.
    pub(crate) fn newest(&self, package: &str) -> Result<String> {
        let described = self.described(package).or_else(|_| {
            self.refresh();
            self.described(package)
        })?;
        let version = described.lines().find_map(|line| line.strip_prefix("Version: "));
        version.map(str::to_owned).with_context(|| format!("there is no package {package}"))
    }

    /// A package and all that it depends on: what would be installed where nothing is.
    pub(crate) fn with_dependencies(&self, package: &str) -> Result<Vec<String>> {
        let mut simulation = self.command("apt-get");
        simulation.args(["-s", "--no-install-recommends", "install", package]);
        Ok(to_install(&shell::output(&mut simulation)?))
    }

    /// Fetches packages, with or without `=VERSION`, into an empty directory. Gives the files.
    pub(crate) fn download(&self, packages: &[String], into: &Path) -> Result<Vec<PathBuf>> {
        let mut command = self.command("apt-get");
        command.args(["-q", "download"]).args(packages);
        shell::run(command.current_dir(into).stdout(io::stderr()))?;
        let files = fs::read_dir(into)?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_package = |path: &PathBuf| path.extension().is_some_and(|e| e == "deb");
        let files: Vec<_> = files.filter(is_package).collect();
        ensure!(files.len() == packages.len(), "not all were downloaded: {}", packages.join(", "));
        Ok(files)
    }

    /// Refreshes the package lists.
    pub(crate) fn refresh(&self) {
        if self.config.is_none() {
            return apt::refresh();
        }
        let mut update = self.command("apt-get");
        if let Err(error) = shell::run(update.args(["-q", "update"]).stdout(io::stderr())) {
            eprintln!("setup: going on with the package lists as they are: {error:#}");
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C");
        if let Some(config) = &self.config {
            command.env("APT_CONFIG", config);
        }
        command
    }
}

/// The same mirrors and keys, other lists.
fn settings(architecture: &str, directory: &Path) -> String {
    let directory = directory.display();
    format!(
        "APT::Architecture \"{architecture}\";\nAPT::Architectures {{ \"{architecture}\"; }};\n\
         Dir::State::lists \"{directory}/lists\";\nDir::State::status \"{directory}/status\";\n\
         Dir::Cache \"{directory}/cache\";\n"
    )
}

/// The packages of lines like `Inst libc6 (2.36-9 Debian:12 [arm64])`.
fn to_install(simulation: &str) -> Vec<String> {
    let lines = simulation.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines.filter_map(|line| line.split([' ', ':']).next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulation_tells_what_would_be_installed() {
        let simulation = "Reading package lists...\nInst libc6 (2.36-9 Debian:12 [arm64]) []\n\
                          Inst tzdata:all (1 x)\nConf libc6 (2.36-9)\n";
        assert_eq!(to_install(simulation), ["libc6", "tzdata"]);
        assert!(to_install("").is_empty());
    }
}
