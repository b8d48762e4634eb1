//! The tarball: the program in it is to run where there is nothing else at all.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{CAPTURE, Products, is_decoded, is_our_version, passed};
use crate::{
    dist::{directory, emptied, tarball},
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
    let needs = elf::needs(&fs::read(tree.join("tracer"))?)?;
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
