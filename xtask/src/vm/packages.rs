//! Debian's packages as archives of files: names come in, directories with what was in them go
//! out. Nothing is installed, nothing needs root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{setup, shell};

/// The package with this prefix that the first of these metapackages depends on that depends on
/// one.
pub(super) fn dependency(metapackages: &[String], prefix: &str) -> Result<String> {
    let find = || {
        metapackages.iter().find_map(|name| {
            // Unknown packages are errors, too, and the next one may be known.
            let described = setup::described(name).ok()?;
            dependency_in(&described, prefix).map(str::to_owned)
        })
    };
    find().map_or_else(
        || {
            setup::refresh();
            find().with_context(|| format!("no package depends on a {prefix}*"))
        },
        Ok,
    )
}

/// The first dependency with this prefix, of `Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)`.
fn dependency_in<'a>(described: &'a str, prefix: &str) -> Option<&'a str> {
    let mut fields = described.lines().filter_map(|line| line.strip_prefix("Depends: "));
    let names = fields.next()?.split(',').filter_map(|one| one.split_whitespace().next());
    names.into_iter().find(|name| name.starts_with(prefix))
}

/// The directory with the files of the newest version of a package.
pub(super) fn unpacked(package: &str, cache: &Path) -> Result<PathBuf> {
    let version = setup::newest(package)?;
    // Epochs have a colon, which some programs take for a separator.
    let directory = cache.join(format!("{package}_{}", version.replace(':', "-")));
    if directory.is_dir() {
        return Ok(directory);
    }
    let incoming = cache.join(format!("{package}.incoming"));
    if incoming.exists() {
        fs::remove_dir_all(&incoming)
            .with_context(|| format!("cannot remove {}", incoming.display()))?;
    }
    fs::create_dir_all(&incoming).with_context(|| format!("cannot make {}", incoming.display()))?;
    let archive = setup::download(package, &incoming)?;
    let files = incoming.join("files");
    shell::run(Command::new("dpkg").arg("-x").arg(&archive).arg(&files))?;
    // Only what is complete gets the final name.
    fs::rename(&files, &directory)?;
    fs::remove_dir_all(&incoming)?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::dependency_in;

    #[test]
    fn a_metapackage_names_the_kernel_of_today() {
        let text = "Package: linux-image-amd64\nDepends: a (>= 1), linux-image-6.1.0-56-amd64 (= \
                    6.1.192-2)\nDescription: x\n";
        let kernel = "linux-image-6.1.0-56-amd64";
        assert_eq!(dependency_in(text, "linux-image-6.1."), Some(kernel));
        assert_eq!(dependency_in(text, "linux-image-6.12."), None);
        assert_eq!(dependency_in("Package: p\n", "linux-image-6.1."), None);
    }
}
