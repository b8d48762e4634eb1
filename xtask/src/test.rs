//! `cargo xtask test`: every test of the workspace in one `cargo test`, which starts each test
//! program through [`runner`], so that only those that need root get it.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{dist, prometheus, setup, shell, vm};

/// The test targets that trace the running kernel; the file names of their programs begin like this.
const LIVE: [&str; 2] = ["live-", "live_"];

/// Runs the tests. One profile for all: the live tests want full speed, and compiling everything
/// twice would cost more than it saves.
pub(crate) fn command(no_live: bool, no_vm: bool, no_dist: bool, args: &[OsString]) -> Result<()> {
    setup::everything()?;
    if no_vm {
        eprintln!("note: --no-vm: the tests inside virtual machines are left out");
    }
    if no_dist {
        eprintln!(
            "note: --no-dist: the packages are neither made nor tested, nor what is in them for \
             Prometheus"
        );
    }
    if no_live {
        eprintln!("note: --no-live: the tests that trace the running kernel are left out");
    }
    let mut cargo = shell::cargo();
    // A failure in one place must not hide one in another.
    cargo.args(["test", "--release", "--no-fail-fast"]);
    if !names_package(args) {
        cargo.arg("--workspace");
    }
    cargo.arg("--config").arg(runner_setting(no_live)?).args(args);
    if !no_dist {
        let programs = prometheus::programs();
        let programs = programs.context("--no-dist leaves out what needs Prometheus")?;
        cargo.env(prometheus::VARIABLE, programs);
    }
    shell::run(&mut cargo)?;
    if !args.is_empty() {
        return Ok(());
    }
    if !no_dist {
        dist::test(no_vm)?;
    }
    // Before the program is built with another feature. Machines have a root of their own, so that
    // --no-live is not about them.
    if !no_vm {
        vm::everything()?;
    }
    if no_live { Ok(()) } else { libpcap() }
}

/// The tests of `--source libpcap`, which is not built by default.
fn libpcap() -> Result<()> {
    if let Err(error) = setup::libpcap() {
        eprintln!("note: the tests of --source libpcap are left out: {error:#}");
        return Ok(());
    }
    let mut cargo = shell::cargo();
    cargo.args(["test", "--release", "-p", "tracer", "--features", "libpcap"]);
    cargo.args(["--lib", "--test", "live", "--config"]).arg(runner_setting(false)?);
    shell::run(cargo.args(["--", "libpcap"]))
}

/// Becomes a test program.
pub(crate) fn runner(no_live: bool, command: &[OsString]) -> Result<()> {
    let (program, args) = command.split_first().context("there is no test program to start")?;
    let program = Path::new(program);
    let live = program.file_name().is_some_and(is_live);
    if live && no_live {
        eprintln!("note: left out, because of --no-live: {}", program.display());
        return Ok(());
    }
    let mut command = if live { shell::privileged(program) } else { Command::new(program) };
    shell::replace(command.args(args))
}

fn is_live(program: &OsStr) -> bool {
    let program = program.to_string_lossy();
    LIVE.iter().any(|begin| program.starts_with(begin))
}

fn names_package(args: &[OsString]) -> bool {
    let is_package =
        |arg: &str| arg.starts_with("-p") || arg == "--package" || arg.starts_with("--package=");
    args.iter().take_while(|arg| *arg != "--").any(|arg| is_package(&arg.to_string_lossy()))
}

/// Cargo's setting that makes it start test programs through us. A list, not one string, so that
/// spaces in our path do no harm.
fn runner_setting(no_live: bool) -> Result<String> {
    let us = env::current_exe().context("cannot tell where this program lies")?;
    let us = us.to_str().context("the path of the target directory is not UTF-8")?;
    let mut runner = vec![us, "test-runner"];
    if no_live {
        runner.push("--no-live");
    }
    // JSON's strings and lists are TOML's, too.
    Ok(format!("target.'cfg(all())'.runner={}", serde_json::to_string(&runner)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_live_tests_get_root() {
        assert!(is_live(OsStr::new("live-0123456789abcdef")));
        assert!(is_live(OsStr::new("live_autobahn-0123456789abcdef")));
        assert!(!is_live(OsStr::new("golden-0123456789abcdef")));
        assert!(!is_live(OsStr::new("tracer-0123456789abcdef")));
    }

    #[test]
    fn a_named_package_replaces_the_workspace() {
        let named = |line: &str| {
            names_package(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
        };
        assert!(named("-p tracer --test golden"));
        assert!(named("--package=tracer"));
        assert!(!named("--test golden -- -p"));
        assert!(!named(""));
    }
}
