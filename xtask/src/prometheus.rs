//! Prometheus for the tests of metrics, out of Debian's package: fetched and unpacked once, and not
//! installed. The directory with its programs goes out.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{setup::Packages, shell};

/// Where tests look for the directory; whoever sets it has one already.
pub(crate) const VARIABLE: &str = "TRACER_PROMETHEUS";

/// The directory with `prometheus` and `promtool`, which start here.
pub(crate) fn programs() -> Result<PathBuf> {
    let programs = match env::var_os(VARIABLE) {
        Some(programs) => PathBuf::from(programs),
        None => unpacked()?,
    };
    for program in ["prometheus", "promtool"] {
        // They are linked with nothing but the C library, which may be older than theirs.
        shell::output(Command::new(programs.join(program)).arg("--version"))
            .context("Debian's Prometheus does not run here")?;
    }
    Ok(programs)
}

fn unpacked() -> Result<PathBuf> {
    let packages = Packages::native(shell::workspace().join("target/prometheus"))?;
    Ok(packages.unpacked("prometheus")?.join("usr/bin"))
}
