//! What is in a root directory, to be compared: a directory comes in; of every path what it is and whose, and
//! of some what is in them, goes out.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

/// What is written down of each installation, and copies that are left of accounts before they change.
const DIARIES: [&str; 6] = [
    "var/lib/dpkg/status-old",
    "var/log/dpkg.log",
    "etc/passwd-",
    "etc/shadow-",
    "etc/group-",
    "etc/gshadow-",
];

/// A root directory at some time.
pub(super) struct Snapshot(BTreeMap<PathBuf, String>);

impl Snapshot {
    pub(super) fn of(root: &Path) -> Result<Self> {
        let mut paths = BTreeMap::new();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            let entries = fs::read_dir(&directory)
                .with_context(|| format!("cannot list {}", directory.display()))?;
            for entry in entries {
                let path = entry?.path();
                let metadata = path.symlink_metadata()?;
                let name = path.strip_prefix(root)?.to_owned();
                if DIARIES.iter().any(|diary| Path::new(diary) == name) {
                    continue;
                }
                paths.insert(name.clone(), described(&path, &name, &metadata)?);
                if metadata.is_dir() {
                    directories.push(path);
                }
            }
        }
        Ok(Self(paths))
    }

    /// Refuses a later one that differs.
    pub(super) fn ensure_equal(&self, later: &Self) -> Result<()> {
        let lines = |from: &Self, other: &Self, sign| -> String {
            let changed = from.0.iter().filter(|(path, what)| other.0.get(*path) != Some(*what));
            changed.map(|(path, what)| format!("\n{sign} /{} {what}", path.display())).collect()
        };
        let (gone, new) = (lines(self, later, '-'), lines(later, self, '+'));
        ensure!(gone.is_empty() && new.is_empty(), "not as it was before:{gone}{new}");
        Ok(())
    }
}

fn described(path: &Path, name: &Path, metadata: &Metadata) -> Result<String> {
    let whose = format!("{:o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid());
    if metadata.is_symlink() {
        return Ok(format!("{whose} to {}", fs::read_link(path)?.display()));
    }
    if !metadata.is_file() {
        return Ok(whose);
    }
    let contents = fs::read(path)?;
    // Settings and accounts are told in full when they differ.
    if name.starts_with("etc") {
        return Ok(format!("{whose}: {}", String::from_utf8_lossy(&contents)));
    }
    Ok(format!("{whose}: {} bytes", contents.len()))
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn what_was_left_or_changed_is_told() {
        let root = env::temp_dir().join(format!("snapshot-{}", process::id()));
        fs::create_dir_all(root.join("etc")).expect("there is room");
        fs::write(root.join("etc/passwd"), "root:x\n").expect("there is room");
        let of = || Snapshot::of(&root).expect("it can be listed");
        let before = of();
        assert!(before.ensure_equal(&of()).is_ok());
        fs::write(root.join("etc/passwd"), "toor:x\n").expect("there is room");
        fs::write(root.join("left"), "").expect("there is room");
        let told = before.ensure_equal(&of()).expect_err("two things differ").to_string();
        fs::remove_dir_all(&root).expect("it is there");
        for expected in ["\n- /etc/passwd", "root:x", "\n+ /etc/passwd", "toor:x", "\n+ /left"] {
            assert!(told.contains(expected), "{told}");
        }
    }
}
