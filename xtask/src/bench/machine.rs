//! Where and with what was measured: figures without that mean nothing.

use std::{
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::process::Idle;
use crate::shell;

/// How long we look for others.
const LOOK: Duration = Duration::from_secs(2);

/// The machine, the kernel, and the programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Machine {
    pub(super) date: String,
    pub(super) cpu: String,
    pub(super) cpus: usize,
    pub(super) memory_mib: u64,
    pub(super) kernel: String,
    pub(super) distribution: String,
    /// The commit that was measured.
    pub(super) commit: String,
    /// CPU time that others used before anything was measured, of all CPU time.
    pub(super) background: f64,
    /// What each program says of its version.
    pub(super) programs: Vec<String>,
}

impl Machine {
    pub(super) fn this(tracer: &Path) -> Result<Self> {
        let uname = rustix::system::uname();
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let memory_kib: u64 = field(&memory, "MemTotal")
            .and_then(|value| value.strip_suffix(" kB")?.parse().ok())
            .unwrap_or(0);
        Ok(Self {
            date: shell::output(Command::new("date").args(["-u", "+%F %R UTC"]))?.trim().to_owned(),
            cpu: field(&cpu_info, "model name").unwrap_or("unknown").to_owned(),
            cpus: std::thread::available_parallelism()?.get(),
            memory_mib: memory_kib >> 10,
            kernel: uname.release().to_string_lossy().into_owned(),
            distribution: field(&release, "PRETTY_NAME").unwrap_or("unknown").to_owned(),
            commit: commit(),
            background: background()?,
            programs: programs(tracer),
        })
    }
}

/// Looks for a while at what others do.
fn background() -> Result<f64> {
    let (begin, before) = (Instant::now(), Idle::now()?);
    sleep(LOOK);
    let cpus = std::thread::available_parallelism()?.get() as f64;
    let idle = (Idle::now()?.idle_ms - before.idle_ms) as f64 / 1e3;
    Ok((1.0 - idle / (begin.elapsed().as_secs_f64() * cpus)).max(0.0))
}

/// The value behind `name` and `:` or `=`, without quotes.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?.trim_start();
        rest.strip_prefix([':', '='])
    })?;
    Some(value.trim().trim_matches('"'))
}

/// The commit, and whether there is more than it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        shell::output(git.current_dir(shell::workspace()).args(arguments))
    };
    let Ok(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    // The report of the run before is no change of what is measured.
    let changes = git(&["status", "--porcelain", "--", ".", ":!docs/bench"]).unwrap_or_default();
    let more = if changes.is_empty() { "" } else { " and changes" };
    format!("{}{more}", commit.trim())
}

/// The first line of what each says.
fn programs(tracer: &Path) -> Vec<String> {
    let version = |program: &Path| {
        let text = Command::new(program).arg("--version").env("LC_ALL", "C").output().ok()?;
        let text = [text.stdout, text.stderr].concat();
        // tshark warns root first.
        let line = String::from_utf8_lossy(&text)
            .lines()
            .map(str::to_owned)
            .find(|line| line.chars().any(|c| c.is_ascii_digit()))?;
        Some(line.trim_end_matches('.').to_owned())
    };
    ["tcpdump", "tshark", "tcpflow"]
        .iter()
        .map(Path::new)
        .chain([tracer])
        .filter_map(version)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_however_they_are_written() {
        assert_eq!(field("vendor\t: x\nmodel name\t: Some CPU\n", "model name"), Some("Some CPU"));
        assert_eq!(field("NAME=y\nPRETTY_NAME=\"Debian 12\"\n", "PRETTY_NAME"), Some("Debian 12"));
        assert_eq!(field("MemTotal:   16 kB\n", "MemFree"), None);
    }
}
