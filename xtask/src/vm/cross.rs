//! Compiling for an architecture that is not this machine's: what can do that is made sure of, and
//! a cargo that does it goes out.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::arch::Arch;
use crate::{
    setup::{self, Packages},
    shell,
};

/// A compiler for another architecture.
pub(super) struct Cross {
    arch: &'static Arch,
    /// The sysroot with the standard library, where the compiler does not bring it along.
    sysroot: Option<PathBuf>,
}

impl Cross {
    /// Debian's compiler, with the standard library out of the package for the other architecture;
    /// where another compiler was set up, rustup's.
    pub(super) fn prepare(
        arch: &'static Arch,
        packages: &Packages,
        directory: &Path,
    ) -> Result<Self> {
        let linker = format!("gcc-{}", arch.gnu);
        setup::program(&linker_of(arch), &linker, "which links for another processor")?;
        provide_libc(arch)?;
        let Some(version) = setup::debian_compiler()? else {
            let mut rustup = Command::new("rustup");
            shell::run(rustup.args(["target", "add", &target(arch)]))?;
            return Ok(Self { arch, sysroot: None });
        };
        let package = packages.version("libstd-rust-web-dev", &version).with_context(|| {
            format!("there is no standard library for {}, of Rust {version}", arch.name)
        })?;
        let library = package.join("usr/lib/rustlib").join(target(arch));
        let sysroot = directory.join("sysroot");
        let place = sysroot.join("lib/rustlib").join(target(arch));
        fs::create_dir_all(place.parent().unwrap_or(&sysroot))?;
        if place.is_symlink() {
            fs::remove_file(&place)?;
        }
        symlink(&library, &place).with_context(|| format!("cannot make {}", place.display()))?;
        Ok(Self { arch, sysroot: Some(sysroot) })
    }

    /// Takes a command and options for compiling.
    pub(super) fn cargo(&self) -> Command {
        let mut cargo = if self.sysroot.is_some() { setup::cargo() } else { shell::cargo() };
        let setting = |name: &str| {
            let target = target(self.arch).to_uppercase().replace('-', "_");
            format!("CARGO_TARGET_{target}_{name}")
        };
        cargo.env(setting("LINKER"), linker_of(self.arch));
        if let Some(sysroot) = &self.sysroot {
            cargo.env(setting("RUSTFLAGS"), format!("--sysroot={}", sysroot.display()));
        }
        // After the command that is to come, cargo takes this as well.
        cargo.env("CARGO_BUILD_TARGET", target(self.arch));
        cargo
    }
}

/// What every program is linked with. The linker's package only recommends it.
fn provide_libc(arch: &Arch) -> Result<()> {
    let mut search = Command::new(linker_of(arch));
    // The name itself, where there is no such file.
    let found = shell::output(search.arg("-print-file-name=crti.o"))?;
    if Path::new(found.trim_end()).is_absolute() {
        return Ok(());
    }
    let package = format!("libc6-dev-{}-cross", arch.debian);
    eprintln!("setup: the C library for {} is missing", arch.name);
    setup::packages(&[&package]).with_context(|| format!("install {package} by hand"))
}

fn target(arch: &Arch) -> String {
    format!("{}-unknown-linux-gnu", arch.name)
}

fn linker_of(arch: &Arch) -> String {
    format!("{}-gcc", arch.gnu)
}
