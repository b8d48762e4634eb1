//! `cargo xtask build`: the toolchain is made sure of, cargo builds, and the path of the tracer
//! goes out.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{setup, shell};

/// Builds and prints the path, which alone goes to standard output.
pub(crate) fn command(debug: bool) -> Result<()> {
    let tracer = if debug { build("dev", "debug")? } else { release()? };
    println!("{}", tracer.display());
    Ok(())
}

/// The tracer, built for speed.
pub(crate) fn release() -> Result<PathBuf> {
    build("release", "release")
}

fn build(profile: &str, directory: &str) -> Result<PathBuf> {
    setup::toolchain()?;
    shell::run(shell::cargo().args(["build", "--package", "tracer", "--profile", profile]))?;
    Ok(target_directory()?.join(directory).join("tracer"))
}

/// Cargo's target directory. We lie in its `debug`, wherever cargo was told to put it.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let us = env::current_exe().context("cannot tell where this program lies")?;
    let target = us.ancestors().nth(2).context("this program lies outside a target directory")?;
    Ok(target.to_owned())
}
