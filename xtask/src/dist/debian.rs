//! The Debian package: the tracer and what was generated come in, contrib/debian says what goes where, and
//! debhelper makes a package of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    VERSION, changelog,
    layout::{self, Parts},
    moment::{Moment, VARIABLE},
};
use crate::shell;

/// The package, in this directory.
pub(super) fn package(
    directory: &Path,
    parts: &Parts,
    copyright: &str,
    moment: &Moment,
) -> Result<PathBuf> {
    let tree = directory.join(format!("debian/tracer-{VERSION}"));
    layout::lay_out(&tree, parts, copyright)?;
    describe(&tree, copyright, moment)?;
    let mut build = Command::new("dpkg-buildpackage");
    build.args(["--build=binary", "--no-sign", "--no-check-builddeps"]).current_dir(&tree);
    build.env(VARIABLE, moment.0.to_string()).env("LC_ALL", "C").env("TZ", "UTC");
    // Its own account goes where ours go.
    shell::run(build.stdout(std::io::stderr()))?;
    let made = format!("tracer_{VERSION}-1_{}.deb", architecture()?);
    let package = directory.join(&made);
    layout::copy(&directory.join("debian").join(made), &package)?;
    Ok(package)
}

/// What Debian's tools read of a package.
fn describe(tree: &Path, copyright: &str, moment: &Moment) -> Result<()> {
    let sources = shell::workspace();
    let debian = tree.join("debian");
    layout::copy(&sources.join("contrib/debian"), &debian)?;
    for unit in ["tracer.service", "tracer.sysusers"] {
        layout::copy(&sources.join("contrib/systemd").join(unit), &debian.join(unit))?;
    }
    let read = |path: PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let control = read(debian.join("control"))?;
    let maintainer = control.lines().find_map(|line| line.strip_prefix("Maintainer: "));
    let maintainer = maintainer.context("contrib/debian/control names no maintainer")?;
    let changelog =
        changelog::for_debian(&read(sources.join("CHANGELOG.md"))?, maintainer, moment)?;
    let write = fs::write(debian.join("changelog"), changelog)
        .and_then(|()| fs::write(debian.join("copyright"), copyright));
    write.with_context(|| format!("cannot write {}", debian.display()))
}

/// This machine's, as Debian calls it.
fn architecture() -> Result<String> {
    let architecture = shell::output(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(architecture.trim_end().to_owned())
}
