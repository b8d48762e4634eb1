//! What a Rust compiler says of itself, as far as eBPF depends on it.

use std::{ffi::OsStr, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::shell;

/// A Rust compiler.
#[derive(Debug, PartialEq)]
pub(crate) struct Compiler {
    /// As in `1.96.0` or `1.97.0-nightly`.
    pub(crate) release: String,
    /// Major version of its LLVM, whose bitcode the linker has to read.
    pub(crate) llvm: u32,
}

impl Compiler {
    /// Asks a compiler.
    pub(crate) fn ask(rustc: impl AsRef<OsStr>) -> Result<Self> {
        let answer = shell::output(Command::new(rustc).arg("-vV"))?;
        Self::parse(&answer).with_context(|| format!("rustc -vV gives no version: {answer}"))
    }

    fn parse(answer: &str) -> Option<Self> {
        let field = |name: &str| {
            answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let llvm = field("LLVM version")?.split('.').next()?.parse().ok()?;
        Some(Self { release: field("release")?.to_owned(), llvm })
    }

    /// Whether it takes unstable features without being told to.
    pub(crate) fn is_nightly(&self) -> bool {
        self.release.ends_with("-nightly")
    }

    /// Where `core` for BPF lies under `lib/rustlib`. aya-build compiles it with a nightly; of
    /// other compilers it expects it ready.
    pub(crate) fn core(&self) -> &'static str {
        if self.is_nightly() {
            "src/rust/library/core"
        } else if cfg!(target_endian = "big") {
            "bpfeb-unknown-none"
        } else {
            "bpfel-unknown-none"
        }
    }
}

/// Refuses a version (as in `1.96.0+dfsg1-1`) that is too old for this workspace.
pub(crate) fn ensure_recent(version: &str) -> Result<()> {
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    ensure!(
        minor(version)? >= minor(wanted)?,
        "Rust {wanted} or later is needed, and this is {version}"
    );
    Ok(())
}

fn minor(version: &str) -> Result<(u32, u32)> {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => anyhow::bail!("`{version}` is not a version of Rust"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_known_by_its_answer() {
        let answer = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\n\
                      host: x86_64-unknown-linux-gnu\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";
        let compiler = Compiler::parse(answer).expect("a whole answer");
        assert_eq!(compiler, Compiler { release: "1.97.0-nightly".into(), llvm: 22 });
        assert!(compiler.is_nightly());
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(Compiler::parse("release: 1.96.0\n"), None);
        assert_eq!(Compiler::parse("release: 1.96.0\nLLVM version: unknown\n"), None);
    }

    #[test]
    fn an_old_compiler_is_refused() {
        assert!(ensure_recent("1.96.0+dfsg1-1~deb12u2").is_ok());
        assert!(ensure_recent(env!("CARGO_PKG_RUST_VERSION")).is_ok());
        assert!(ensure_recent("1.85.0+dfsg3-1").is_err());
        assert!(ensure_recent("newest").is_err());
    }
}
