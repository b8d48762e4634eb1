//! What the classifier costs a packet: the kernel's own statistics of BPF programs, which are
//! switched on for it and off again.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::shell;

/// The names of our programs begin like this.
const PREFIX: &str = "tracer_";

/// How often programs ran, and how long in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Runs {
    pub(super) time_ns: u64,
    pub(super) count: u64,
}

impl Runs {
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            time_ns: self.time_ns.saturating_sub(earlier.time_ns),
            count: self.count.saturating_sub(earlier.count),
        }
    }
}

/// Of all classifiers of tracers so far.
pub(super) fn runs() -> Result<Runs> {
    let bpftool = shell::find("bpftool").context("bpftool is missing")?;
    parse(&shell::output(Command::new(bpftool).args(["prog", "show", "-j"]))?)
}

fn parse(programs: &str) -> Result<Runs> {
    let programs: Vec<Program> = serde_json::from_str(programs).context("bpftool is odd")?;
    let ours = programs.iter().filter(|program| program.name.starts_with(PREFIX));
    Ok(ours.fold(Runs::default(), |sum, program| Runs {
        time_ns: sum.time_ns + program.run_time_ns,
        count: sum.count + program.run_cnt,
    }))
}

/// A program as bpftool shows it. It leaves out numbers that are 0.
#[derive(Deserialize)]
struct Program {
    #[serde(default)]
    name: String,
    #[serde(default)]
    run_time_ns: u64,
    #[serde(default)]
    run_cnt: u64,
}

/// Keeps the statistics on for as long as it lives.
pub(super) struct Statistics {
    keeper: Child,
}

/// A shell puts back what was there once its standard input ends: that it does, however we end.
const KEEPER: &str = "f=/proc/sys/kernel/bpf_stats_enabled; old=$(cat $f) && echo 1 >$f && echo on \
                      && read -r _; echo $old >$f";

impl Statistics {
    pub(super) fn on() -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER]).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for us, not for the keeper.
        let mut keeper = command.process_group(0).spawn().context("cannot start sh")?;
        let stdout = keeper.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.trim() == "on", "the kernel's BPF statistics cannot be switched on");
        Ok(Self { keeper })
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_programs_count() {
        let programs = r#"[{"id":1,"name":"other","run_time_ns":9,"run_cnt":9},{"id":2},
            {"id":3,"name":"tracer_ether","run_time_ns":700,"run_cnt":2},
            {"id":4,"name":"tracer_ip"}]"#;
        assert_eq!(parse(programs).expect("JSON"), Runs { time_ns: 700, count: 2 });
    }
}
