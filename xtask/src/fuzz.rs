//! `cargo xtask fuzz`: builds the fuzz targets, runs each for a while, and says what came of it.
//!
//! Without cargo-fuzz and without a nightly compiler: libFuzzer needs only coverage counters, which
//! stable rustc's LLVM puts in when told so. `AddressSanitizer`, which is for nightly only, would
//! look for errors that safe code cannot have, and blur how much memory the code really takes.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Every target, with what it is fed.
const TARGETS: [&str; 8] =
    ["record", "tcp", "http", "frame", "deflate", "file", "follow", "session"];

/// What libFuzzer looks at: edges, compared values, and where they are in the program; the flags
/// are those of cargo-fuzz.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Memory that a target may take in all, and the longest that one input may.
const BOUNDS: [&str; 2] = ["-rss_limit_mb=512", "-timeout=10"];

/// Fuzzes `targets`, or all, each for so many seconds; an error when one has crashed.
pub(crate) fn command(seconds: u64, targets: &[String]) -> Result<()> {
    let targets = chosen(targets)?;
    let folder = target_directory()?;
    let binaries = build(&folder)?;
    let mut rows = Vec::new();
    for target in targets {
        rows.push(fuzz(target, seconds, &binaries, &folder)?);
    }
    println!("{:10} {:>12} {:>9} {:>9}  result", "target", "executions", "coverage", "memory");
    rows.iter().for_each(Row::print);
    let failed = rows.iter().filter(|row| row.failed).count();
    if failed > 0 {
        bail!("{failed} of {} targets failed; fuzz/README.md says how to look into it", rows.len());
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static str>> {
    if names.is_empty() {
        return Ok(TARGETS.to_vec());
    }
    let find = |name: &String| TARGETS.iter().copied().find(|target| target == name);
    let unknown =
        |name: &String| format!("there is no fuzz target {name}; there are {}", TARGETS.join(", "));
    names.iter().map(|name| find(name).with_context(|| unknown(name))).collect()
}

/// Everything goes here, next to what cargo builds else: never into the source tree.
fn target_directory() -> Result<PathBuf> {
    let us = env::current_exe().context("cannot tell where this program lies")?;
    let target = us.ancestors().nth(2).context("this program lies outside a target directory")?;
    Ok(target.join("fuzz"))
}

/// Builds all targets; returns the folder that they are in.
fn build(folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut cargo = shell::cargo();
    cargo.current_dir(shell::workspace().join("fuzz"));
    // Naming the host as the target keeps the flags from build scripts and procedural macros.
    cargo.args(["build", "--release", "--bins", "--target", &host, "--target-dir"]).arg(folder);
    cargo.env("RUSTFLAGS", COVERAGE.join(" "));
    shell::run(&mut cargo).context("the fuzz targets need a C++ compiler for libFuzzer: g++")?;
    Ok(folder.join(host).join("release"))
}

fn host() -> Result<String> {
    let version = shell::output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// Runs one target. New inputs are kept in the target directory, and go on from there next time;
/// the committed seeds are only read.
fn fuzz(target: &str, seconds: u64, binaries: &Path, folder: &Path) -> Result<Row> {
    let corpus = folder.join("corpus").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let log = folder.join(target).with_extension("log");
    let to = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let mut fuzzer = Command::new(binaries.join(target));
    fuzzer.arg(&corpus).arg(shell::workspace().join("fuzz/seeds").join(target)).args(BOUNDS);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1");
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display())).stderr(to);
    shell::announce(&fuzzer);
    let status = fuzzer.status().with_context(|| format!("cannot start {target}"))?;
    let said = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(Row::new(target, status.success(), &String::from_utf8_lossy(&said), &log))
}

/// What came of one target.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    target: String,
    executions: String,
    coverage: String,
    memory: String,
    result: String,
    failed: bool,
}

impl Row {
    /// From what libFuzzer said.
    fn new(target: &str, success: bool, said: &str, log: &Path) -> Self {
        let last = |before: &str| {
            said.rsplit_once(before).and_then(|(_, after)| after.split_whitespace().next())
        };
        let artifact = said.lines().find_map(|line| line.split_once("Test unit written to "));
        let result = match artifact {
            _ if success => "ok".to_owned(),
            Some((_, input)) => format!("failed on {input}"),
            None => format!("failed, see {}", log.display()),
        };
        let shown = |number: Option<&str>| number.unwrap_or("?").to_owned();
        Self {
            target: target.to_owned(),
            executions: shown(last("stat::number_of_executed_units:")),
            coverage: shown(last(" cov:")),
            memory: format!("{} MB", shown(last("stat::peak_rss_mb:"))),
            result,
            failed: !success,
        }
    }

    fn print(&self) {
        let Self { target, executions, coverage, memory, result, failed: _ } = self;
        println!("{target:10} {executions:>12} {coverage:>9} {memory:>9}  {result}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "#2\tINITED cov: 7 ft: 7 corp: 1/1b exec/s: 0 rss: 27Mb\n\
        #99\tDONE   cov: 198 ft: 383 corp: 217/25Kb\nDone 99 runs in 9 second(s)\n\
        stat::number_of_executed_units: 1633786\nstat::peak_rss_mb:              27\n";

    #[test]
    fn a_run_is_read_from_what_the_fuzzer_said() {
        let row = Row::new("tcp", true, SAID, Path::new("tcp.log"));
        assert_eq!((&*row.executions, &*row.coverage, &*row.memory), ("1633786", "198", "27 MB"));
        assert_eq!((&*row.result, row.failed), ("ok", false));
    }

    #[test]
    fn a_crash_names_its_input() {
        let said = "thread panicked\nartifact_prefix='/a/'; Test unit written to /a/crash-12\n";
        let row = Row::new("tcp", false, said, Path::new("tcp.log"));
        assert_eq!((&*row.result, row.failed), ("failed on /a/crash-12", true));
        let row = Row::new("tcp", false, "killed", Path::new("tcp.log"));
        assert_eq!((&*row.result, &*row.executions), ("failed, see tcp.log", "?"));
    }

    #[test]
    fn an_unknown_target_is_refused_with_those_that_there_are() {
        let error = chosen(&["tpc".to_owned()]).expect_err("no such target");
        assert!(
            format!("{error}").contains("no fuzz target tpc; there are record, tcp"),
            "{error}"
        );
        assert_eq!(chosen(&["tcp".to_owned()]).expect("a target"), ["tcp"]);
    }
}
