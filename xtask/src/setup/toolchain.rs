//! The rustup toolchain `tracer-ebpf`: a compiler's sysroot comes in; a directory that joins its
//! compiler, its `core` for BPF and the matching linker goes out, linked under that name.
//!
//! tracer/build.rs asks rustup for it by name and needs to know nothing else, so plain
//! `cargo build` works: no environment variable, nothing on the user's `PATH`, and no bpf-linker
//! of another project is touched.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    compiler::{self, Compiler},
    linker::Linker,
};
use crate::shell;

/// The name that tracer/build.rs asks for.
pub(crate) const NAME: &str = "tracer-ebpf";

/// The compiler's own cargo, beside what stands in for it.
pub(crate) const PLAIN_CARGO: &str = "plain-cargo";

/// Stands in for the compiler's cargo. eBPF needs unstable features; allowing them here, and not
/// for the whole build, leaves stable Rust stable for everything else.
const CARGO: &str = r#"#!/bin/sh
# Written by `cargo xtask setup`.
here="${0%/*}"
export PATH="$here:$PATH" RUSTC_BOOTSTRAP=1
exec "$here/plain-cargo" "$@"
"#;

/// Tells what is there, or what is missing. Takes some tens of milliseconds.
pub(crate) fn check() -> Result<String> {
    let home = home()?;
    ensure!(is_linked(&home)?, "rustup has no toolchain named {NAME}");
    let compiler = Compiler::ask(home.join("bin/rustc"))?;
    compiler::ensure_recent(&compiler.release)?;
    let core = home.join("lib/rustlib").join(compiler.core());
    ensure!(core.is_dir(), "`core` for BPF is missing ({})", core.display());
    let linker = Linker::suiting(&compiler)?;
    linker.check(&home)?;
    ensure!(
        is_same(&home.join("bin/bpf-linker"), &linker.path(&home))
            && fs::read_to_string(home.join("bin/cargo")).is_ok_and(|script| script == CARGO),
        "the toolchain {NAME} is of an older making"
    );
    Ok(format!("Rust {} and {linker}, as rustup's toolchain {NAME}", compiler.release))
}

/// The compiler, wherever it really lies.
pub(crate) fn compiler() -> Result<PathBuf> {
    let path = home()?.join("bin/rustc");
    path.canonicalize().with_context(|| format!("there is no {}", path.display()))
}

/// Makes the toolchain from the compiler in `sysroot`, building the linker if it is not there yet.
pub(crate) fn assemble(sysroot: &Path) -> Result<()> {
    let home = home()?;
    let compiler = Compiler::ask(sysroot.join("bin/rustc"))?;
    let linker = Linker::suiting(&compiler)?;
    if linker.check(&home).is_err() {
        linker.install(&home)?;
    }
    join_parts(&home, sysroot, &linker)
        .with_context(|| format!("cannot write the toolchain in {}", home.display()))?;
    let mut rustup = Command::new("rustup");
    shell::run(rustup.args(["toolchain", "link", NAME]).arg(&home))
}

fn join_parts(home: &Path, sysroot: &Path, linker: &Linker) -> Result<()> {
    let bin = home.join("bin");
    fs::create_dir_all(&bin)?;
    for program in ["rustc", "rustdoc"] {
        link(&sysroot.join("bin").join(program), &bin.join(program))?;
    }
    link(&sysroot.join("bin/cargo"), &bin.join(PLAIN_CARGO))?;
    link(&linker.path(home), &bin.join("bpf-linker"))?;
    // rustup wants a `lib`, and a linker that borrows the compiler's LLVM looks for it there.
    link(&sysroot.join("lib"), &home.join("lib"))?;
    write_program(&bin.join("cargo"), CARGO)
}

/// Puts a symbolic link in place of whatever was there, at once: another build may be using it.
fn link(target: &Path, place: &Path) -> Result<()> {
    let new = beside(place);
    symlink(target, &new)?;
    Ok(fs::rename(new, place)?)
}

fn write_program(place: &Path, text: &str) -> Result<()> {
    let new = beside(place);
    fs::write(&new, text)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    Ok(fs::rename(new, place)?)
}

fn beside(place: &Path) -> PathBuf {
    place.with_extension(format!("new-{}", std::process::id()))
}

fn is_linked(home: &Path) -> Result<bool> {
    let rustup = directory("RUSTUP_HOME", ".rustup")?;
    Ok(is_same(&rustup.join("toolchains").join(NAME), home))
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Where the toolchain lies: with cargo's other files, so that `cargo clean` leaves it and all
/// checkouts share it.
fn home() -> Result<PathBuf> {
    Ok(directory("CARGO_HOME", ".cargo")?.join(NAME))
}

/// A directory as rustup and cargo find it.
fn directory(variable: &str, default: &str) -> Result<PathBuf> {
    match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => Ok(path.into()),
        None => {
            let user = env::home_dir().context("there is no home directory: set HOME")?;
            Ok(user.join(default))
        }
    }
}
