//! Debian's packages as archives of files: names come in, directories with what was in them go
//! out. Nothing is installed, nothing needs root.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::Mirror;
use crate::shell;

/// The packages of one architecture, and where they are unpacked.
pub(crate) struct Packages {
    mirror: Mirror,
    cache: PathBuf,
}

impl Packages {
    /// Those of this machine's architecture, in a directory of their own.
    pub(crate) fn native(cache: PathBuf) -> Result<Self> {
        make(&cache)?;
        Ok(Self { mirror: Mirror::native(), cache })
    }

    /// Those of any architecture, as Debian calls it, as if nothing were installed.
    pub(crate) fn apart(architecture: &str, cache: PathBuf) -> Result<Self> {
        make(&cache)?;
        Ok(Self { mirror: Mirror::apart(architecture, &cache.join("apt"))?, cache })
    }

    /// The package with this prefix that the first of these metapackages depends on that depends on
    /// one.
    pub(crate) fn dependency(&self, metapackages: &[String], prefix: &str) -> Result<String> {
        let find = || {
            metapackages.iter().find_map(|name| {
                // Unknown packages are errors, too, and the next one may be known.
                let described = self.mirror.described(name).ok()?;
                dependency_in(&described, prefix).map(str::to_owned)
            })
        };
        find().map_or_else(
            || {
                self.mirror.refresh();
                find().with_context(|| format!("no package depends on a {prefix}*"))
            },
            Ok,
        )
    }

    /// The directory with the files of the newest version of a package.
    pub(crate) fn unpacked(&self, package: &str) -> Result<PathBuf> {
        self.version(package, &self.mirror.newest(package)?)
    }

    /// The same of a certain version.
    pub(crate) fn version(&self, package: &str, version: &str) -> Result<PathBuf> {
        // Epochs have a colon, which some programs take for a separator.
        let name = format!("{package}_{}", version.replace(':', "-"));
        let get =
            || self.complete(&name, |files| self.unpack(&[format!("{package}={version}")], files));
        self.or_with_fresh_lists(get)
    }

    /// The directory with the files of the newest version of a package and of all that it needs.
    pub(crate) fn tree(&self, package: &str) -> Result<PathBuf> {
        self.or_with_fresh_lists(|| {
            let name = format!("{package}_{}-tree", self.mirror.newest(package)?.replace(':', "-"));
            self.complete(&name, |files| {
                self.unpack(&self.mirror.with_dependencies(package)?, files)
            })
        })
    }

    /// Old lists name files that the mirrors no longer have.
    fn or_with_fresh_lists(&self, get: impl Fn() -> Result<PathBuf>) -> Result<PathBuf> {
        get().or_else(|_| {
            self.mirror.refresh();
            get()
        })
    }

    /// A directory of the cache, filled if it is not there. Only what is complete gets its name.
    fn complete(&self, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let directory = self.cache.join(name);
        if directory.is_dir() {
            return Ok(directory);
        }
        let incoming = self.cache.join("incoming");
        remove(&incoming)?;
        fill(&incoming)?;
        fs::rename(&incoming, &directory)?;
        Ok(directory)
    }

    fn unpack(&self, packages: &[String], files: &Path) -> Result<()> {
        let download = self.cache.join("download");
        remove(&download)?;
        make(&download)?;
        for archive in self.mirror.download(packages, &download)? {
            shell::run(Command::new("dpkg").arg("-x").arg(&archive).arg(files))?;
        }
        remove(&download)
    }
}

fn make(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

fn remove(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
}

/// The first dependency with this prefix, of `Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)`.
fn dependency_in<'a>(described: &'a str, prefix: &str) -> Option<&'a str> {
    let mut fields = described.lines().filter_map(|line| line.strip_prefix("Depends: "));
    let names = fields.next()?.split(',').filter_map(|one| one.split_whitespace().next());
    names.into_iter().find(|name| name.starts_with(prefix))
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
