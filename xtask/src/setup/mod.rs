//! `cargo xtask setup`: makes sure of what the build and the tests need beyond stable Rust. Looks
//! first, installs only what is missing, and says what.

mod apt;
mod compiler;
mod debian;
mod linker;
mod mirror;
mod packages;
mod rustup;
mod toolchain;

pub(crate) use mirror::Mirror;
pub(crate) use packages::Packages;

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::shell;

/// Where a compiler that can target BPF comes from.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Way {
    /// Debian's packages rustc-web and llvm-dev: needs root
    Debian,
    /// A pinned nightly of rustup's, with the source of `core`
    Rustup,
}

impl Way {
    /// Debian first: it is the one that works behind a mirror, and whether it can work is known
    /// at once, while rustup has to run into a time-out.
    const ALL: [Self; 2] = [Self::Debian, Self::Rustup];

    fn install(self) -> Result<()> {
        let sysroot = match self {
            Self::Debian => debian::install()?,
            Self::Rustup => rustup::install()?,
        };
        toolchain::assemble(&sysroot)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian's packages",
            Self::Rustup => "rustup",
        }
    }
}

/// Makes sure of everything, and says what is there. Naming a way installs from there even if a
/// toolchain exists.
pub(crate) fn command(from: Option<Way>) -> Result<()> {
    match from {
        Some(way) => install(&[way])?,
        None => toolchain()?,
    }
    programs()?;
    eprintln!("ready: {}", toolchain::check()?);
    Ok(())
}

/// What building needs. Silent when it is there.
pub(crate) fn toolchain() -> Result<()> {
    let Err(missing) = toolchain::check() else { return Ok(()) };
    eprintln!("setup: {missing:#}; installing what is missing, once");
    install(&Way::ALL)
}

/// What building, the demo and the tests need. Silent when it is there.
pub(crate) fn everything() -> Result<()> {
    toolchain()?;
    programs()
}

/// Whether the tracer's feature `libpcap` can be built.
pub(crate) fn has_libpcap() -> bool {
    // Comes with the headers.
    shell::find("pcap-config").is_some()
}

/// What the tracer's feature `libpcap` needs.
pub(crate) fn libpcap() -> Result<()> {
    if has_libpcap() {
        return Ok(());
    }
    eprintln!("setup: libpcap-dev is missing, for --source libpcap");
    apt::install(&["libpcap-dev"])
        .context("cannot install libpcap-dev: install libpcap and its headers by hand")
}

/// What virtual machines need besides: programs that take packages apart. Silent when they are there.
pub(crate) fn virtual_machines() -> Result<()> {
    programs()?;
    program("xz", "xz-utils", "which unpacks the virtual machines' kernel modules")
}

/// Debian's packages of these names. Silent when they are there.
pub(crate) fn packages(names: &[&str]) -> Result<()> {
    apt::install(names)
}

/// The version of Debian's compiler, where that is the one that was set up.
pub(crate) fn debian_compiler() -> Result<Option<String>> {
    debian::version_of(&toolchain::compiler()?)
}

/// Where the compiler for BPF has its libraries, and their sources.
pub(crate) fn ebpf_sysroot() -> Result<PathBuf> {
    let mut rustc = Command::new("rustup");
    let sysroot =
        shell::output(rustc.args(["run", toolchain::NAME, "rustc", "--print", "sysroot"]))?;
    Ok(sysroot.trim_end().into())
}

/// The cargo of the toolchain that compiles for BPF, at the root of the workspace, for all else. It allows no
/// unstable features: aya-build would take that for a wish to compile `core` anew, which wants its source.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("rustup");
    cargo.args(["run", toolchain::NAME, toolchain::PLAIN_CARGO]).current_dir(shell::workspace());
    cargo
}

fn install(ways: &[Way]) -> Result<()> {
    if shell::find("rustup").is_none() {
        bail!(
            "rustup is missing: install it, and with it stable Rust; eBPF needs a second compiler"
        );
    }
    for way in ways {
        let Err(error) = way.install() else { return verify() };
        eprintln!("setup: {} will not do here: {error:#}", way.name());
    }
    bail!(
        "there is no compiler for eBPF here, and none could be installed (reasons above); reading \
         capture files works without: cargo build --release -p tracer --no-default-features"
    )
}

fn verify() -> Result<()> {
    toolchain::check().context("the toolchain was installed and does not work").map(drop)
}

/// The programs that set up network namespaces; `unshare` comes with every Linux.
fn programs() -> Result<()> {
    program("ip", "iproute2", "which the demo and the live tests use")
}

/// Makes sure of a program that comes with a Debian package. Silent when it is there.
pub(crate) fn program(name: &str, package: &str, purpose: &str) -> Result<()> {
    if shell::find(name).is_some() {
        return Ok(());
    }
    eprintln!("setup: the program `{name}` is missing, {purpose}");
    apt::install(&[package])
        .with_context(|| format!("cannot install {package}: install it by hand, then try again"))
}
