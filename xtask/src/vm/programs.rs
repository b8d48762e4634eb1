//! The programs that run inside a machine: builds the live tests as `cargo xtask test` does, and
//! says where they are.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{arch::Arch, cross::Cross};
use crate::shell;

/// The test programs, in the order in which they run.
pub(super) const TESTS: [&str; 2] = ["live", "live_autobahn"];

/// What was built.
pub(super) struct Programs {
    /// The tracer. The tests start it by this path.
    pub(super) tracer: PathBuf,
    /// Of each of [`TESTS`].
    pub(super) tests: Vec<(&'static str, PathBuf)>,
}

/// A line that cargo prints of something that it has built.
#[derive(Deserialize)]
struct Built {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds them: as part of the whole workspace, as `cargo xtask test` does, because crates have
/// other features when fewer are built, and everything would be compiled twice.
pub(super) fn build() -> Result<Programs> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace"]);
    build_by(cargo)
}

/// Builds them for another architecture.
pub(super) fn build_for(cross: &Cross, directory: &Path) -> Result<Programs> {
    let mut cargo = cross.cargo();
    cargo.args(["test", "--package", "tracer"]).arg("--target-dir").arg(directory);
    build_by(cargo)
}

fn build_by(mut cargo: Command) -> Result<Programs> {
    cargo.args(["--release", "--no-run", "--message-format=json"]);
    TESTS.iter().for_each(|test| {
        cargo.args(["--test", test]);
    });
    shell::announce(&cargo);
    let output = shell::output_with_errors(&mut cargo)?;
    find(&output)
}

fn find(output: &str) -> Result<Programs> {
    let built: Vec<Built> =
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let find = |kind: &str, name: &str| {
        let is_it = |target: &Target| target.name == name && target.kind.iter().any(|k| k == kind);
        let found = built.iter().find(|built| built.target.as_ref().is_some_and(is_it));
        let path = found.and_then(|built| built.executable.clone());
        path.with_context(|| format!("cargo has not built the {kind} {name}"))
    };
    let tests = TESTS.iter().map(|name| Ok((*name, find("test", name)?)));
    Ok(Programs { tracer: find("bin", "tracer")?, tests: tests.collect::<Result<_>>()? })
}

/// A program's bytes without what only debuggers want, which is most of them.
pub(super) fn stripped(arch: &Arch, program: &Path, directory: &Path) -> Result<Vec<u8>> {
    let name = program.file_name().context("a program has a name")?;
    let copy = directory.join(name);
    let strip = if arch.is_ours() { "strip".to_owned() } else { format!("{}-strip", arch.gnu) };
    let status =
        Command::new(&strip).arg("-o").arg(&copy).arg(program).stdin(Stdio::null()).status();
    let status = status
        .with_context(|| format!("cannot start {strip}, which comes with the package binutils"))?;
    ensure!(status.success(), "cannot strip {}", program.display());
    std::fs::read(&copy).with_context(|| format!("cannot read {}", copy.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = r#"{"reason":"compiler-artifact","target":{"name":"tracer","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"tracer","kind":["bin"]},"executable":"/t/tracer"}
{"reason":"build-script-executed","package_id":"x"}
{"reason":"compiler-artifact","target":{"name":"live","kind":["test"]},"executable":"/t/live-1"}
not json
{"reason":"compiler-artifact","target":{"name":"live_autobahn","kind":["test"]},"executable":"/t/live_autobahn-2"}"#;

    #[test]
    fn what_cargo_has_built_is_found_by_kind_and_name() {
        let programs = find(OUTPUT).expect("all are there");
        assert_eq!(programs.tracer, Path::new("/t/tracer"));
        assert_eq!(programs.tests[1], ("live_autobahn", "/t/live_autobahn-2".into()));
        let error = find("").map(|_| ()).expect_err("none is there");
        assert_eq!(error.to_string(), "cargo has not built the bin tracer");
    }
}
