//! The tarball for every Linux: the tracer that needs no other file comes in; an archive goes out.

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    VERSION, copyright,
    layout::{self, Parts},
    moment::Moment,
    program,
};
use crate::shell;

/// The archive, in this directory.
pub(super) fn make(
    directory: &Path,
    parts: &Parts,
    copyright: &str,
    moment: &Moment,
) -> Result<PathBuf> {
    let name = name();
    let tree = directory.join("tarball").join(&name);
    layout::lay_out(&tree, parts, copyright)?;
    program::strip(parts.program, &tree.join("tracer"))?;
    let licence = fs::read(copyright::LGPL)
        .with_context(|| format!("{} is missing: make packages on Debian", copyright::LGPL))?;
    fs::write(tree.join("LICENSE-LGPL2.1"), licence)?;
    let archive = directory.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    // What depends on who packs, and when, and in which order a directory is read.
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"]);
    tar.args(["--mode=u=rwX,go=rX", &format!("--mtime=@{}", moment.0)]);
    // Without name and time, which gzip would keep.
    tar.args(["--use-compress-program", "gzip -9 --no-name", "--create", "--file"]);
    tar.arg(&archive).arg("--directory").arg(directory.join("tarball")).arg(&name);
    shell::run(tar.env("LC_ALL", "C"))?;
    Ok(archive)
}

/// The directory that is in it.
pub(super) fn name() -> String {
    format!("tracer-{VERSION}-{ARCH}-linux")
}
