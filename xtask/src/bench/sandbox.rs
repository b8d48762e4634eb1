//! What rounds are played in: namespaces of their own, for the network and for a file system in
//! memory. Both end with the last process in them, however it ends: nothing is left behind.

use std::{env, path::Path, process::Command};

use anyhow::{Context as _, Result};
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::shell;

/// Where files go. In the namespace it is another one than outside.
const MEMORY: &str = "/dev/shm";

/// One of our parts, as a process in new namespaces.
pub(super) fn part(name: &str) -> Result<Command> {
    let us = env::current_exe().context("cannot tell where this program lies")?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--"]).arg(us).args(["bench-part", name]);
    Ok(command)
}

/// Makes a loopback interface and an empty directory in memory; to be called in new namespaces.
pub(super) fn settle() -> Result<&'static Path> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let ip = shell::find("ip").context("the program `ip` is missing: run `cargo xtask setup`")?;
    shell::output(Command::new(ip).args(["link", "set", "lo", "up"]))?;
    shell::output(Command::new("mount").args(["-t", "tmpfs", "bench", MEMORY]))?;
    Ok(Path::new(MEMORY))
}
