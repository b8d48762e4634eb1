//! What both packages have in common: programs and generated files come in; a directory in which
//! everything has its place goes out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::emptied;
use crate::shell;

/// What was built for a package.
pub(super) struct Parts<'a> {
    /// The tracer.
    pub(super) program: &'a Path,
    /// Where manual pages, default configuration and completions are.
    pub(super) manual: &'a Path,
}

/// For people, out of the sources.
const DOCUMENTS: [&str; 6] =
    ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "docs", "contrib/systemd"];

/// What contrib/ has that is no example.
const NO_EXAMPLES: [&str; 2] = ["debian", "systemd"];

/// Lays everything out in an emptied directory.
pub(super) fn lay_out(directory: &Path, parts: &Parts, copyright: &str) -> Result<()> {
    emptied(directory)?;
    copy(parts.program, &directory.join("tracer"))?;
    copy_all(parts.manual, directory)?;
    let sources = shell::workspace();
    for document in DOCUMENTS {
        let name = Path::new(document).file_name().context("a document has a name")?;
        copy(&sources.join(document), &directory.join(name))?;
    }
    // What the report there was made of.
    let figures = directory.join("docs/bench/results.json");
    fs::remove_file(&figures).with_context(|| format!("cannot remove {}", figures.display()))?;
    copy(&sources.join("tracer-ebpf/LICENSE-GPL2"), &directory.join("LICENSE-GPL2"))?;
    for example in listed(&sources.join("contrib"))? {
        let name = example.file_name().context("an example has a name")?;
        if !NO_EXAMPLES.iter().any(|other| *other == name) {
            copy(&example, &directory.join("examples").join(name))?;
        }
    }
    let file = directory.join("COPYRIGHT");
    fs::write(&file, copyright).with_context(|| format!("cannot write {}", file.display()))
}

/// Copies a file, or a directory with all that is in it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        return copy_all(from, to);
    }
    let make = to.parent().map_or(Ok(()), fs::create_dir_all);
    let copy = make.and_then(|()| fs::copy(from, to));
    copy.map(drop).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for path in listed(from)? {
        let name = path.file_name().context("a file has a name")?;
        copy(&path, &to.join(name))?;
    }
    Ok(())
}

fn listed(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}
