//! The tarball: the program in it is to run where there is nothing else at all.

use std::{fs, os::unix::ffi::OsStrExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{CAPTURE, Products, is_decoded, is_our_version, passed};
use crate::{
    dist::{directory, emptied, program, tarball},
    shell,
    vm::elf,
};

/// Every file that is promised, beside the program.
const FILES: [&str; 11] = [
    "README.md",
    "COPYRIGHT",
    "LICENSE-MIT",
    "LICENSE-LGPL2.1",
    "tracer.toml",
    "man/tracer.1",
    "man/tracer.toml.5",
    "completions/bash/tracer",
    "completions/fish/tracer.fish",
    "completions/zsh/_tracer",
    "systemd/tracer.service",
];

pub(super) fn check(products: &Products) -> Result<()> {
    let root = directory().join("empty");
    emptied(&root)?;
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(&products.tarball).arg("--directory").arg(&root);
    shell::output(&mut tar)?;
    let tree = root.join(tarball::name());
    for file in FILES {
        ensure!(tree.join(file).is_file(), "there is no {file} in the tarball");
    }
    let program = fs::read(tree.join("tracer"))?;
    ensure_anonymous(&program)?;
    let needs = elf::needs(&program)?;
    ensure!(
        needs.interpreter.is_none() && needs.libraries.is_empty(),
        "the tarball's program needs {:?} and {:?}",
        needs.interpreter,
        needs.libraries
    );
    if shell::is_root() {
        run_alone(&root, &tree)?;
    }
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    passed("the tarball is complete, and its program needs no other file")
}

/// Nothing in a program says where it was built.
fn ensure_anonymous(program: &[u8]) -> Result<()> {
    for place in [shell::workspace(), &program::cargo_home()?] {
        let path = place.as_os_str().as_bytes();
        let is_in_it = program.windows(path.len()).any(|bytes| bytes == path);
        ensure!(!is_in_it, "the tarball's program has {} in it", place.display());
    }
    Ok(())
}

/// With no other file than a capture.
fn run_alone(root: &Path, tree: &Path) -> Result<()> {
    let alone = root.join("alone");
    fs::create_dir(&alone)?;
    fs::copy(tree.join("tracer"), alone.join("tracer"))?;
    fs::copy(shell::workspace().join(CAPTURE), alone.join("capture"))?;
    let run = |arguments: &[&str]| {
        shell::output(Command::new("chroot").arg(&alone).arg("/tracer").args(arguments))
    };
    is_our_version(&run(&["--version"])?)?;
    is_decoded(&run(&["--read", "/capture"])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_knows_its_place_is_told() {
        assert!(ensure_anonymous(b"\x7fELF /usr/src/tracer/tracer/src/main.rs").is_ok());
        let place = format!("\x7fELF {}/tracer/src/main.rs", shell::workspace().display());
        assert!(ensure_anonymous(place.as_bytes()).is_err());
    }
}
