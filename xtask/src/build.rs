//! `cargo xtask build`: the toolchain is made sure of, cargo builds, and the path of the tracer
//! goes out.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{setup, shell};

/// Builds and prints the path, which alone goes to standard output.
pub(crate) fn command(debug: bool) -> Result<()> {
    let tracer = if debug { build("dev", "debug", &[])? } else { release()? };
    println!("{}", tracer.display());
    Ok(())
}

/// The tracer, built for speed.
pub(crate) fn release() -> Result<PathBuf> {
    release_with(&[])
}

/// The same with features that it has not by default.
pub(crate) fn release_with(features: &[&str]) -> Result<PathBuf> {
    build("release", "release", features)
}

fn build(profile: &str, directory: &str, features: &[&str]) -> Result<PathBuf> {
    setup::toolchain()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", "tracer", "--profile", profile]);
    for feature in features {
        cargo.args(["--features", feature]);
    }
    shell::run(&mut cargo)?;
    Ok(target_directory()?.join(directory).join("tracer"))
}

/// Cargo's target directory. We lie in its `debug` or `release`, wherever cargo was told to put it.
pub(crate) fn target_directory() -> Result<PathBuf> {
    let us = env::current_exe().context("cannot tell where this program lies")?;
    let target = us.ancestors().nth(2).context("this program lies outside a target directory")?;
    Ok(target.to_owned())
}
