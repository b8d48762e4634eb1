//! A compiler from rustup: a pinned nightly with the source of `core`.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::shell;

/// The pinned nightly. It has LLVM 22, the newest that a bpf-linker can borrow from the compiler
/// (see `linker`), and is tried with the versions of aya in Cargo.lock.
const NIGHTLY: &str = "nightly-2026-05-20";

/// Installs the nightly. Gives its sysroot.
pub(crate) fn install() -> Result<PathBuf> {
    eprintln!("setup: installing {NIGHTLY} for eBPF through rustup");
    let mut rustup = Command::new("rustup");
    rustup.args(["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
    rustup.args(["--component", "rust-src", "--no-self-update"]);
    shell::run(rustup.stdout(std::io::stderr())).context("rustup cannot fetch it")?;
    let sysroot = shell::output(
        Command::new("rustup").args(["run", NIGHTLY, "rustc", "--print", "sysroot"]),
    )?;
    Ok(sysroot.trim().into())
}
