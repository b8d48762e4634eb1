//! `cargo xtask lint`: what must hold of every line, checked with warnings denied.

use anyhow::Result;

use crate::{setup, shell};

/// Runs all checks; the first that fails ends it.
pub(crate) fn command() -> Result<()> {
    setup::toolchain()?;
    cargo("fmt --all --check")?;
    cargo("clippy --workspace --all-targets -- -D warnings")?;
    // What a reader gets who has no eBPF toolchain.
    cargo("clippy --package tracer --no-default-features --lib --bins -- -D warnings")?;
    if setup::has_libpcap() {
        cargo("clippy --package tracer --all-features --all-targets -- -D warnings")?;
    } else {
        cargo("clippy --package tracer --features ebpf-log -- -D warnings")?;
        eprintln!("note: --source libpcap was not checked: libpcap-dev is missing");
    }
    let documentation = "doc --workspace --no-deps".split_whitespace();
    shell::run(shell::cargo().env("RUSTDOCFLAGS", "-Dwarnings").args(documentation))?;
    dependencies()
}

fn dependencies() -> Result<()> {
    if shell::find("cargo-deny").is_some() {
        return cargo("deny check bans licenses sources");
    }
    eprintln!(
        "note: licences and sources of dependencies were not checked: cargo-deny is missing \
         (`cargo install --locked cargo-deny` installs it)"
    );
    Ok(())
}

fn cargo(line: &str) -> Result<()> {
    shell::run(shell::cargo().args(line.split_whitespace()))
}
