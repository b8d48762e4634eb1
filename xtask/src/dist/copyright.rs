//! Who has the copyright of what is in a package, and the licences: crates come in; a file in Debian's
//! machine-readable format goes out.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::{Context as _, Result};

use super::crates::Crate;
use crate::shell;

const HEAD: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: tracer
Comment:
 The program is linked with parts of the Rust standard library, and with the
 crates that are listed as crates/NAME-VERSION. Of those that offer a choice of
 licences, the one is named here that they are used under.

Files: *
Copyright: 2026 The tracer authors
License: MIT or Apache-2.0

Files: tracer-ebpf/*
Copyright: 2026 The tracer authors
License: MIT or GPL-2

Files: rust/library/*
Copyright: The Rust Project contributors
License: MIT or Apache-2.0
";

const COMMON: &str = "\
License: Apache-2.0
 On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0.

License: GPL-2
 Version 2 only. On Debian systems, the text is in
 /usr/share/common-licenses/GPL-2.
";

/// The C library is in it, too.
const STATIC: &str = "\
Files: glibc/*
Copyright: 1991 Free Software Foundation, Inc., and others
License: LGPL-2.1+
 Linked statically: with the sources of the tracer (`cargo xtask dist`) it can
 be linked with another version. The text is in LICENSE-LGPL2.1.
";

/// Of a program that is linked with the system's C library.
pub(super) fn of(crates: &[Crate]) -> Result<String> {
    let mut file = HEAD.to_owned();
    for group in grouped(crates).values() {
        file += "\nFiles:";
        for one in group {
            write!(file, " crates/{}/*", one.name)?;
        }
        let first = group.first().context("a group has members")?;
        write!(file, "\nCopyright: {}\n", first.copyright.join("\n "))?;
        writeln!(file, "License: {}", first.licence)?;
        if !is_common(first.licence) {
            file += &indented(&first.text);
        }
    }
    let mit = fs::read_to_string(shell::workspace().join("LICENSE-MIT"))?;
    let (_, mit) = mit.split_once("authors\n").context("LICENSE-MIT says whose it is")?;
    write!(file, "\nLicense: MIT\n{}\n{COMMON}", indented(mit))?;
    Ok(file)
}

/// Of one that needs no other file.
pub(super) fn of_static(crates: &[Crate]) -> Result<String> {
    Ok(format!("{}\n{STATIC}", of(crates)?))
}

/// The text of the C library's licence, where Debian has it.
pub(super) const LGPL: &str = "/usr/share/common-licenses/LGPL-2.1";

/// Crates that say the same; many are one project's.
fn grouped(crates: &[Crate]) -> BTreeMap<(&str, &[String], &str), Vec<&Crate>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for one in crates {
        // Texts that everybody has are written once, others with their crate.
        let text = if is_common(one.licence) { "" } else { one.text.as_str() };
        groups.entry((one.licence, one.copyright.as_slice(), text)).or_default().push(one);
    }
    groups
}

/// Whether the text does not depend on the crate.
fn is_common(licence: &str) -> bool {
    ["MIT", "Apache-2.0"].contains(&licence)
}

/// As the body of a field: empty lines are dots.
fn indented(text: &str) -> String {
    let line = |line: &str| match line.trim() {
        "" => " .\n".to_owned(),
        text => format!(" {text}\n"),
    };
    text.trim().lines().map(line).collect()
}
