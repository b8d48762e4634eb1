//! The crates that are in the tracer and in its eBPF program, not those that only took part in building:
//! cargo is asked; names, licences, and what their licence files say of copyright go out.

use std::{
    collections::BTreeSet,
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::shell;

/// A crate that is linked in.
#[derive(Debug)]
pub(super) struct Crate {
    /// Name and version, as in `anyhow-1.0.104`.
    pub(super) name: String,
    /// The licence that it is used under, where it offers several: one is enough.
    pub(super) licence: &'static str,
    /// Who has the copyright, as they say it.
    pub(super) copyright: Vec<String>,
    /// The text of its licence.
    pub(super) text: String,
}

/// Licences as SPDX names them, those first that ask for least. `deny.toml` has the list of what is allowed.
const LICENCES: [&str; 6] = ["MIT", "Zlib", "ISC", "BSD-3-Clause", "Apache-2.0", "Unicode-3.0"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
    authors: Vec<String>,
}

/// All of them, by name.
pub(super) fn linked() -> Result<Vec<Crate>> {
    let target = format!("{ARCH}-unknown-linux-gnu");
    let mut cargo = shell::cargo();
    cargo.args(["metadata", "--locked", "--format-version=1", "--filter-platform", &target]);
    let metadata: Metadata = serde_json::from_str(&shell::output(&mut cargo)?)?;
    let mut names = in_program("tracer", &target)?;
    names.extend(in_program("tracer-ebpf", &target)?);
    let find = |(name, version): &(String, String)| {
        let mut all = metadata.packages.iter();
        let package = all.find(|package| package.name == *name && package.version == *version);
        Crate::new(package.with_context(|| format!("cargo knows no crate {name} {version}"))?)
    };
    names.iter().map(find).collect()
}

/// Names and versions of what a member of the workspace is linked with.
fn in_program(member: &str, target: &str) -> Result<BTreeSet<(String, String)>> {
    let mut cargo = shell::cargo();
    cargo.args(["tree", "--locked", "--package", member, "--target", target]);
    cargo.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    Ok(in_tree(&shell::output(&mut cargo)?))
}

/// Lines such as `anyhow v1.0.104 (*)`; members have a path behind them.
fn in_tree(tree: &str) -> BTreeSet<(String, String)> {
    let foreign = tree.lines().filter(|line| !line.contains(" (/"));
    let names = foreign.filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    });
    names.collect()
}

impl Crate {
    fn new(package: &Package) -> Result<Self> {
        let name = format!("{}-{}", package.name, package.version);
        let expression = package.license.as_deref().unwrap_or_default();
        let licence = choose(expression).with_context(|| format!("{name} cannot be packed"))?;
        let directory = package.manifest_path.parent().context("a manifest is in a directory")?;
        let files = licence_files(directory)?;
        let texts: Vec<_> = files.iter().map(|(_, text)| text.as_str()).collect();
        let mut copyright = statements(&texts);
        if copyright.is_empty() {
            copyright.clone_from(&package.authors);
        }
        if copyright.is_empty() {
            copyright.push(format!("the authors of {}", package.name));
        }
        let text = text_of(licence, &files).unwrap_or_default().to_owned();
        Ok(Self { name, licence, copyright, text })
    }
}

/// One licence of a choice, which old manifests write with a slash.
fn choose(expression: &str) -> Result<&'static str> {
    let offered: Vec<_> = expression.split(" OR ").flat_map(|one| one.split('/')).collect();
    match LICENCES.iter().find(|licence| offered.iter().any(|one| one.trim() == **licence)) {
        Some(licence) => Ok(licence),
        None => bail!("its licence `{expression}` is new here: add it to xtask/src/dist/crates.rs"),
    }
}

/// Names and contents of what looks like a licence beside a manifest, in order.
fn licence_files(directory: &Path) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let begins = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
        if begins.iter().any(|begin| name.starts_with(begin)) && entry.path().is_file() {
            files.push((name, String::from_utf8_lossy(&fs::read(entry.path())?).into_owned()));
        }
    }
    files.sort();
    Ok(files)
}

/// The file that names the licence, or the only one.
fn text_of<'a>(licence: &str, files: &'a [(String, String)]) -> Option<&'a str> {
    let whole = licence.to_uppercase();
    let short = whole.split('-').next().unwrap_or(&whole);
    let named = files.iter().find(|(file, _)| file.ends_with(short) || file.ends_with(&whole));
    named.or(files.first()).map(|(_, text)| text.as_str())
}

/// Lines that say who has the copyright; not those of a licence's own text and its template.
fn statements(texts: &[&str]) -> Vec<String> {
    let mut statements = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let line = line.trim().trim_end_matches(" All rights reserved.");
        let lower = line.to_lowercase();
        let is_one = ["copyright (c)", "copyright ©", "copyright 1", "copyright 2", "(c) "];
        let says = is_one.iter().find(|begin| lower.starts_with(**begin));
        if says.is_some() && !line.contains("[yyyy]") && !line.contains("{yyyy}") {
            let who = line.trim_start_matches("Copyright").trim_start();
            let who = who.trim_start_matches("(c)").trim_start_matches("(C)").trim().to_owned();
            if !statements.contains(&who) {
                statements.push(who);
            }
        }
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_the_workspace_are_no_crates_of_others() {
        let tree = "tracer v0.1.0 (/src/tracer)\nanyhow v1.0.104\ntoml v1.2.1+spec-1.1.0\nanyhow v1.0.104 (*)\n";
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let expected = [pair("anyhow", "1.0.104"), pair("toml", "1.2.1+spec-1.1.0")];
        assert_eq!(in_tree(tree), expected.into());
    }

    #[test]
    fn of_a_choice_one_licence_is_taken() {
        assert_eq!(choose("Apache-2.0 OR MIT").unwrap(), "MIT");
        assert_eq!(choose("MIT/Apache-2.0").unwrap(), "MIT");
        assert_eq!(choose("Apache-2.0 WITH LLVM-exception OR Apache-2.0").unwrap(), "Apache-2.0");
        for all in ["(MIT OR Apache-2.0) AND Unicode-3.0", "GPL-3.0-only", ""] {
            assert!(choose(all).is_err(), "{all}");
        }
    }

    #[test]
    fn a_licence_file_says_whose_it_is() {
        let mit = "The MIT License\n\nCopyright (c) 2015 A. Author\nCopyright 2020, B\n\nThe above copyright \
                   notice shall be";
        let apache =
            "2. Grant of Copyright License\n   Copyright [yyyy] [name of copyright owner]\n";
        assert_eq!(statements(&[mit, apache]), ["2015 A. Author", "2020, B"]);
        assert_eq!(statements(&["(C) 2024 Foundation\n", mit])[0], "2024 Foundation");
    }

    #[test]
    fn the_text_is_the_chosen_licence_s() {
        let file = |name: &str| (name.to_owned(), name.to_lowercase());
        let files = ["LICENSE-APACHE", "LICENSE-BSD-3-CLAUSE", "LICENSE-MIT"].map(file);
        assert_eq!(text_of("Apache-2.0", &files), Some("license-apache"));
        assert_eq!(text_of("BSD-3-Clause", &files), Some("license-bsd-3-clause"));
        assert_eq!(text_of("MIT", &files), Some("license-mit"));
        assert_eq!(text_of("Zlib", &[file("COPYING")]), Some("copying"));
    }

    #[test]
    fn all_that_is_linked_can_be_packed() {
        let crates = linked().expect("each crate has a licence that is known");
        let named = |name: &str| {
            crates.iter().find(|one| one.name.starts_with(name)).expect("it is linked in")
        };
        assert_eq!(named("anyhow-").licence, "MIT");
        assert_eq!(named("zlib-rs-").licence, "Zlib");
        assert!(named("zlib-rs-").text.contains("as-is"));
        assert_eq!(named("sha1_smol-").licence, "BSD-3-Clause");
        assert_eq!(named("aya-ebpf-").licence, "MIT");
        // They generate code, and are not in it.
        assert!(!crates.iter().any(|one| one.name.starts_with("syn-")));
    }
}
