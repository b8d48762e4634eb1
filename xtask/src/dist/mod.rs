//! `cargo xtask dist`: the sources come in; a Debian package and a static tarball go out, to target/dist,
//! the same bytes wherever they are made.

mod changelog;
mod check;
mod copyright;
mod crates;
mod debian;
mod layout;
mod moment;
mod program;
mod tarball;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use check::Machines;
use layout::Parts;
use moment::Moment;

use crate::{setup, shell};

/// The version that is packed: all of the workspace have one.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The files that were made.
struct Products {
    package: PathBuf,
    tarball: PathBuf,
    moment: Moment,
}

/// The options of the command.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Check them, too: Debian's rules, installing and purging, running alone, and a second build
    #[arg(long)]
    check: bool,
}

/// Makes both, and prints where they are.
pub(crate) fn command(options: &Options) -> Result<()> {
    let products = make()?;
    println!("{}\n{}", products.package.display(), products.tarball.display());
    if options.check { check::everything(&products, Machines::Run) } else { Ok(()) }
}

/// Makes both and checks them, as `cargo xtask test` does.
pub(crate) fn test(no_vm: bool) -> Result<()> {
    check::everything(&make()?, if no_vm { Machines::LeftOut } else { Machines::Run })
}

fn make() -> Result<Products> {
    setup::toolchain()?;
    setup::program("dh", "debhelper", "which makes Debian packages")?;
    let directory = directory();
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let moment = Moment::of_the_sources()?;
    let programs = program::build(&directory, &moment)?;
    let manual = program::manual(&directory)?;
    let crates = crates::linked()?;
    let parts = |program| Parts { program, manual: &manual };
    let package =
        debian::package(&directory, &parts(&programs.dynamic), &copyright::of(&crates)?, &moment)?;
    let copyright = copyright::of_static(&crates)?;
    let tarball = tarball::make(&directory, &parts(&programs.standalone), &copyright, &moment)?;
    Ok(Products { package, tarball, moment })
}

/// Where all of it is made.
fn directory() -> PathBuf {
    shell::workspace().join("target/dist")
}

/// An empty directory in place of whatever was there.
fn emptied(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}
