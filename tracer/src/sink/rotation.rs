//! Makes room for a new file: `events.jsonl` becomes `events.jsonl.1`, that `events.jsonl.2`, and so on.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Gives the file and the old ones their next names, forgets the oldest, and opens a new one. When that
/// fails, the file still has its name, or the first of the others.
pub(super) fn rotate(
    path: &Path,
    keep: u32,
    open: impl Fn(&Path) -> io::Result<File>,
) -> io::Result<File> {
    // First of all, because it is what may fail: on a full disk, or without the right to.
    let new = with_suffix(path, "new");
    let file = open(&new)?;
    // Where one is missing, those behind it can stay.
    let last = (1..keep).find(|&number| !numbered(path, number).exists()).unwrap_or(keep);
    for number in (1..last).rev() {
        move_on(&numbered(path, number), &numbered(path, number + 1))?;
    }
    move_on(path, &numbered(path, 1))?;
    fs::rename(&new, path)?;
    Ok(file)
}

/// An old file may be gone: somebody has tidied up.
fn move_on(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    with_suffix(path, &number.to_string())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(suffix);
    name.into()
}
