//! Whether the packages are what docs/packages.md says: both come in; one sentence a check goes out, or what
//! is wrong. What needs root is left out without it, aloud.

mod booted;
mod everywhere;
mod installed;
mod snapshot;
mod twice;

use std::process::Command;

use anyhow::{Result, ensure};

use super::{Products, VERSION};
use crate::{setup, shell};

/// A capture with two messages each way, and more.
const CAPTURE: &str = "tracer/tests/captures/ws-ipv6.pcap";

/// Whether virtual machines are wanted.
#[derive(Clone, Copy)]
pub(super) enum Machines {
    Run,
    LeftOut,
}

/// All checks, the quick ones first.
pub(super) fn everything(products: &Products, machines: Machines) -> Result<()> {
    lintian(products)?;
    everywhere::check(products)?;
    if shell::is_root() {
        installed::check(products)?;
        match machines {
            Machines::Run => booted::check(products)?,
            Machines::LeftOut => eprintln!("note: the service is not started in a virtual machine"),
        }
    } else {
        eprintln!(
            "note: without root, the package is not installed in a Debian system, nor booted, and the tarball's \
                   program does not run in an empty directory"
        );
    }
    twice::check(products)
}

/// Debian's own rules, none of them broken but for the reasons in contrib/debian.
fn lintian(products: &Products) -> Result<()> {
    setup::program("lintian", "lintian", "which knows Debian's rules for packages")?;
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(&products.package);
    shell::run(&mut lintian)?;
    passed("Debian's rules are kept")
}

/// Whether the output of a run over [`CAPTURE`] is the tracer's.
fn is_decoded(output: &str) -> Result<()> {
    let messages = output.matches(r#""event":"ws.message""#).count();
    ensure!(messages == 18, "the tracer has shown {messages} messages of 18: {output}");
    Ok(())
}

fn is_our_version(output: &str) -> Result<()> {
    ensure!(output.trim_end() == format!("tracer {VERSION}"), "the tracer says it is {output}");
    Ok(())
}

fn passed(what: &str) -> Result<()> {
    eprintln!("dist: {what}");
    Ok(())
}
