//! The tracer as it is packed: sources come in; it goes out twice, linked with the system's C library and
//! with none, and what its command line says of itself. Where the sources lie leaves no trace in it.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    emptied,
    moment::{Moment, VARIABLE},
};
use crate::{setup, shell};

/// The tracer, with its symbols.
pub(super) struct Programs {
    /// Linked with the system's C library.
    pub(super) dynamic: PathBuf,
    /// Linked with all that it needs.
    pub(super) standalone: PathBuf,
}

/// Whether a variable makes builds differ without being part of the sources.
fn is_unwanted(name: &str) -> bool {
    name.ends_with("RUSTFLAGS") || name.starts_with("CARGO_PROFILE_")
}

/// Builds both below this directory.
pub(super) fn build(directory: &Path, moment: &Moment) -> Result<Programs> {
    let wrapper = wrapper(directory)?;
    let target = directory.join("build");
    let build = |command: &str, linking: &[&str], name: &str| -> Result<PathBuf> {
        let mut cargo = shell::cargo();
        let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        names.filter(|name| is_unwanted(name)).for_each(|name| {
            cargo.env_remove(name);
        });
        cargo.env("RUSTC_WRAPPER", &wrapper).env(VARIABLE, moment.0.to_string());
        cargo.args([command, "--release", "--locked", "--package", "tracer", "--bin", "tracer"]);
        shell::run(cargo.arg("--target-dir").arg(&target).args(linking))?;
        // The next one takes its place.
        let program = directory.join(name);
        fs::copy(target.join("release/tracer"), &program)
            .with_context(|| format!("cannot write {}", program.display()))?;
        Ok(program)
    };
    Ok(Programs {
        dynamic: build("build", &[], "tracer-dynamic")?,
        // Only the last step is another one: the standard library decides then which C library it wants.
        standalone: build("rustc", &["--", "-C", "target-feature=+crt-static"], "tracer-static")?,
    })
}

/// Manual pages, default configuration and completions, in a directory.
pub(super) fn manual(directory: &Path) -> Result<PathBuf> {
    let manual = directory.join("manual");
    emptied(&manual)?;
    let mut cargo = shell::cargo();
    cargo.args(["run", "--quiet", "--locked", "--package", "tracer-manual", "--"]);
    shell::run(cargo.arg(&manual))?;
    Ok(manual)
}

/// Strips a program of what only debuggers want.
pub(super) fn strip(program: &Path, into: &Path) -> Result<()> {
    let mut strip = Command::new("strip");
    strip.arg("--strip-all").arg("-o").arg(into).arg(program);
    shell::output(&mut strip).map(drop)
}

/// A program between cargo and the compilers that has them write down other paths than those here. It
/// reaches the compiler of the eBPF program, too, which flags for cargo do not; and cargo does not take it
/// for a reason to name things differently.
fn wrapper(directory: &Path) -> Result<PathBuf> {
    let wrapper = directory.join("rustc");
    let mut script = "#!/bin/sh\n# Written by `cargo xtask dist`.\nexec \"$@\"".to_owned();
    for (from, to) in renamed()? {
        let from = from.to_str().with_context(|| format!("{} is not UTF-8", from.display()))?;
        ensure!(!from.contains('\''), "{from} has a quote in its name: build elsewhere");
        script += &format!(" '--remap-path-prefix={from}={to}'");
    }
    script.push('\n');
    // Cargo builds all anew when it is newer.
    if fs::read_to_string(&wrapper).is_ok_and(|old| old == script) {
        return Ok(wrapper);
    }
    let write = fs::write(&wrapper, script)
        .and_then(|()| fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)));
    write.with_context(|| format!("cannot write {}", wrapper.display()))?;
    Ok(wrapper)
}

/// Where cargo keeps the crates that it has fetched.
pub(super) fn cargo_home() -> Result<PathBuf> {
    match env::var_os("CARGO_HOME") {
        Some(home) => Ok(home.into()),
        None => Ok(env::home_dir().context("there is no home directory: set HOME")?.join(".cargo")),
    }
}

/// Where sources lie here, and what is written in place of that.
fn renamed() -> Result<Vec<(PathBuf, &'static str)>> {
    let registries = cargo_home()?.join("registry/src");
    let listed = fs::read_dir(&registries)
        .with_context(|| format!("there are no crates in {}", registries.display()))?;
    let mut renamed = Vec::new();
    for registry in listed {
        let registry = registry?.path();
        // Compilers are given one, and find the other when they ask where they are.
        renamed.push((registry.canonicalize()?, "/usr/src/crates"));
        renamed.push((registry, "/usr/src/crates"));
    }
    renamed.sort();
    renamed.dedup();
    let mut rustc = Command::new("rustc");
    let ours = shell::output(rustc.current_dir(shell::workspace()).args(["--print", "sysroot"]))?;
    let compilers = [PathBuf::from(ours.trim_end()), setup::ebpf_sysroot()?];
    renamed
        .extend(compilers.map(|sysroot| (sysroot.join("lib/rustlib/src/rust"), "/usr/src/rust")));
    renamed.push((shell::workspace().to_owned(), "/usr/src/tracer"));
    Ok(renamed)
}
