//! bpf-linker, made for a compiler's LLVM: it reads that compiler's bitcode, so it must bring the
//! same version of LLVM, or borrow the compiler's own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::compiler::Compiler;
use crate::shell;

/// One build of bpf-linker.
#[derive(Debug, PartialEq)]
pub(crate) struct Linker {
    version: &'static str,
    llvm: u32,
    /// Whether it loads the LLVM that came with the compiler, instead of the system's.
    borrows_llvm: bool,
}

impl Linker {
    /// The build that suits a compiler.
    pub(crate) fn suiting(compiler: &Compiler) -> Result<Self> {
        let (version, borrows_llvm, known) = if compiler.is_nightly() {
            // The last that can load rustup's LLVM; later ones want one with headers.
            ("0.10.3", true, 20..=22)
        } else {
            ("0.13.0", false, 21..=23)
        };
        let llvm = compiler.llvm;
        if !known.contains(&llvm) {
            bail!("no bpf-linker is known for Rust {} with LLVM {llvm}", compiler.release);
        }
        Ok(Self { version, llvm, borrows_llvm })
    }

    /// Where it lies in a toolchain. The path says what it was made for, so that another compiler
    /// finds no linker, rather than a wrong one.
    pub(crate) fn path(&self, toolchain: &Path) -> PathBuf {
        self.root(toolchain).join("bin/bpf-linker")
    }

    /// Whether it is there and starts, with the libraries it was linked to.
    pub(crate) fn check(&self, toolchain: &Path) -> Result<()> {
        let path = self.path(toolchain);
        if !path.is_file() {
            bail!("{self} is missing");
        }
        let version = shell::output(Command::new(path).arg("--version"))?;
        if !version.contains(self.version) {
            bail!("instead of {self} there is {}", version.trim());
        }
        Ok(())
    }

    /// Builds it from source.
    pub(crate) fn install(&self, toolchain: &Path) -> Result<()> {
        eprintln!("setup: building {self}, which takes a few minutes");
        let root = self.root(toolchain);
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        shell::run(&mut self.installation(&root))
            .with_context(|| format!("cannot build {self}"))?;
        eprintln!("setup: your PATH can stay as it is: the toolchain brings its linker along");
        Ok(())
    }

    fn installation(&self, root: &Path) -> Command {
        let feature = format!("llvm-{}", self.llvm);
        let mut cargo = shell::cargo();
        // Away from the workspace, whose settings and target directory are not for others.
        cargo.current_dir(root).env_remove("CARGO_TARGET_DIR");
        cargo.args(["install", "bpf-linker", "--version", self.version, "--locked", "--force"]);
        cargo.arg("--root").arg(root).args(["--no-default-features", "--features"]);
        if self.borrows_llvm {
            cargo.arg(format!("{feature},rust-{feature}"));
        } else {
            cargo.arg(feature).env("LLVM_PREFIX", llvm_prefix(self.llvm));
        }
        cargo
    }

    fn root(&self, toolchain: &Path) -> PathBuf {
        let Self { version, llvm, borrows_llvm: _ } = self;
        toolchain.join(format!("bpf-linker-{version}-llvm-{llvm}"))
    }
}

impl std::fmt::Display for Linker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bpf-linker {} for LLVM {}", self.version, self.llvm)
    }
}

/// Where Debian puts a version of LLVM.
pub(crate) fn llvm_prefix(version: u32) -> String {
    format!("/usr/lib/llvm-{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suiting(release: &str, llvm: u32) -> Result<Linker> {
        Linker::suiting(&Compiler { release: release.to_owned(), llvm })
    }

    #[test]
    fn each_compiler_gets_the_linker_for_its_llvm() {
        let debian = suiting("1.96.0", 22).expect("Debian's");
        assert_eq!(debian, Linker { version: "0.13.0", llvm: 22, borrows_llvm: false });
        let nightly = suiting("1.97.0-nightly", 22).expect("rustup's");
        assert_eq!(nightly, Linker { version: "0.10.3", llvm: 22, borrows_llvm: true });
    }

    #[test]
    fn an_unknown_llvm_is_refused() {
        assert!(suiting("1.99.0", 24).is_err());
        assert!(suiting("1.99.0-nightly", 23).is_err());
    }

    #[test]
    fn the_path_tells_builds_apart() {
        let path = |llvm| suiting("1.96.0", llvm).expect("known").path(Path::new("/t"));
        assert_eq!(path(22), Path::new("/t/bpf-linker-0.13.0-llvm-22/bin/bpf-linker"));
        assert_ne!(path(22), path(23));
    }
}
