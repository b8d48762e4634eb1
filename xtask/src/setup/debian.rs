//! A compiler from Debian's packages: rustc-web, which Debian keeps recent even in its stable
//! releases because browsers are built with it, with `core` for BPF prebuilt.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};

use super::{apt, compiler, compiler::Compiler, linker};
use crate::shell;

/// Installs the compiler, and the LLVM that the linker is built on. Gives the compiler's sysroot.
pub(crate) fn install() -> Result<PathBuf> {
    let version = apt::candidate("rustc-web", compiler::ensure_recent)?;
    eprintln!("setup: installing Rust {version} for eBPF from Debian's packages");
    apt::install(&["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"])?;
    let compiler = Compiler::ask("/usr/bin/rustc")?;
    install_llvm(compiler.llvm)?;
    Ok("/usr".into())
}

/// The version of the package that a compiler is of, if it is Debian's.
pub(crate) fn version_of(compiler: &Path) -> Result<Option<String>> {
    if compiler != Path::new("/usr/bin/rustc").canonicalize().unwrap_or_default() {
        return Ok(None);
    }
    let mut query = Command::new("dpkg-query");
    shell::output(query.args(["--show", "--showformat=${Version}", "rustc-web"])).map(Some)
}

/// The very LLVM that the compiler uses: bitcode has no compatibility between versions to rely on.
fn install_llvm(version: u32) -> Result<()> {
    // libpolly is linked by LLVM's own library; g++ brings the C++ library that both need.
    apt::install(&[&format!("llvm-{version}-dev"), &format!("libpolly-{version}-dev"), "g++"])?;
    let prefix = linker::llvm_prefix(version);
    ensure!(
        Path::new(&prefix).is_dir(),
        "llvm-{version}-dev was installed, but {prefix} is missing"
    );
    Ok(())
}
