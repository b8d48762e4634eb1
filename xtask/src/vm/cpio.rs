//! Archives in cpio's "newc" format, of which the kernel makes its first file system: paths, modes
//! and contents come in, bytes go out. Written here because device nodes come without root.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{major, minor};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// What an entry is, besides its name and its contents.
#[derive(Clone, Copy)]
struct Kind {
    mode: u32,
    owner: (u32, u32),
    /// Of a device: major and minor.
    numbers: (u32, u32),
}

impl Kind {
    fn of_root(mode: u32) -> Self {
        Self { mode, owner: (0, 0), numbers: (0, 0) }
    }
}

/// An archive that grows.
#[derive(Clone, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<PathBuf>,
}

impl Archive {
    /// A directory, with those above it. Paths are absolute; a second time does nothing.
    pub(super) fn directory(&mut self, path: &Path) {
        for directory in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let is_root = directory.parent().is_none();
            if !is_root && self.directories.insert(directory.to_owned()) {
                self.entry(&name(directory), Kind::of_root(DIRECTORY), &[]);
            }
        }
    }

    /// A file with these permissions, and the directories above it.
    pub(super) fn file(&mut self, path: &Path, permissions: u32, contents: &[u8]) {
        self.below_its_directory(path);
        self.entry(&name(path), Kind::of_root(FILE | permissions), contents);
    }

    /// A character device with its major and minor number.
    pub(super) fn character_device(&mut self, path: &Path, numbers: (u32, u32)) {
        self.below_its_directory(path);
        let kind = Kind { numbers, ..Kind::of_root(CHARACTER_DEVICE) };
        self.entry(&name(path), kind, &[]);
    }

    /// All that is in a directory, as it is there, but for what these paths name.
    pub(super) fn tree(&mut self, root: &Path, left_out: &[&str]) -> io::Result<()> {
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            let mut entries = fs::read_dir(&directory)?.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for path in entries.iter().map(fs::DirEntry::path) {
                let inside = path.strip_prefix(root).map_err(io::Error::other)?;
                if left_out.iter().any(|other| Path::new(other) == inside) {
                    continue;
                }
                self.copy(&path, inside)?;
                if path.symlink_metadata()?.is_dir() {
                    directories.push(path);
                }
            }
        }
        Ok(())
    }

    fn copy(&mut self, path: &Path, inside: &Path) -> io::Result<()> {
        let metadata = path.symlink_metadata()?;
        let kind = Kind {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            numbers: (major(metadata.rdev()), minor(metadata.rdev())),
        };
        let contents = match metadata.file_type() {
            kind if kind.is_symlink() => fs::read_link(path)?.as_os_str().as_bytes().to_vec(),
            kind if kind.is_file() => fs::read(path)?,
            // Nobody is there to answer.
            kind if kind.is_socket() => return Ok(()),
            _ => Vec::new(),
        };
        self.entry(&name(inside), kind, &contents);
        Ok(())
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, Kind::of_root(0), &[]);
        self.bytes
    }

    fn below_its_directory(&mut self, path: &Path) {
        if let Some(directory) = path.parent() {
            self.directory(directory);
        }
    }

    /// See the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
    fn entry(&mut self, name: &str, kind: Kind, contents: &[u8]) {
        let Kind { mode, owner: (owner, group), numbers: (major, minor) } = kind;
        self.entries += 1;
        let size = u32::try_from(contents.len()).expect("files of less than 4 GiB");
        let name_size = name.len() as u32 + 1;
        // inode, mode, owner, group, links, time, size, device, device that it is, name, checksum
        let fields =
            [self.entries, mode, owner, group, 1, 0, size, 0, 0, major, minor, name_size, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(contents);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Names are relative to the root.
fn name(path: &Path) -> String {
    path.strip_prefix("/").unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::{env, os::unix::fs::symlink, process};

    use super::*;

    #[test]
    fn an_entry_is_its_header_its_name_and_its_contents_each_padded() {
        let mut archive = Archive::default();
        archive.file(Path::new("/init"), 0o755, b"hello");
        let expected = b"0707010000000100\
            0081ed0000000000000000000000010000000000000005000000000000000000000000000000000000000500000000\
            init\0\0hello\0\0\0";
        assert_eq!(archive.bytes.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_once() {
        let mut archive = Archive::default();
        archive.file(Path::new("/a/b/c"), 0o644, b"");
        archive.character_device(Path::new("/a/b/d"), (5, 1));
        let bytes = archive.finish();
        let text = String::from_utf8_lossy(&bytes);
        let places = ["a\0", "a/b\0", "a/b/c\0", "a/b/d\0", TRAILER].map(|name| {
            assert_eq!(text.matches(&format!("00000000{name}")).count(), 1, "{name}");
            text.find(&format!("00000000{name}"))
        });
        assert!(places.is_sorted(), "{places:?}");
        assert!(text.contains("0000000500000001"), "the device's numbers");
    }

    #[test]
    fn a_tree_is_archived_as_it_is() {
        let root = env::temp_dir().join(format!("tree-{}", process::id()));
        fs::create_dir_all(root.join("kept")).expect("there is room");
        fs::create_dir_all(root.join("left/out")).expect("there is room");
        fs::write(root.join("kept/file"), "contents").expect("there is room");
        symlink("file", root.join("kept/link")).expect("there is room");
        let mut archive = Archive::default();
        let archived = archive.tree(&root, &["left/out"]);
        fs::remove_dir_all(&root).expect("it is there");
        archived.expect("it can be read");
        let text = String::from_utf8_lossy(&archive.bytes);
        for present in ["kept\0", "kept/file\0", "contents", "kept/link\0", "left\0"] {
            assert!(text.contains(present), "{present}: {text}");
        }
        assert!(!text.contains("left/out"), "{text}");
        // A link, for all, and of the length of "file".
        let link =
            text.split("070701").find(|entry| entry.contains("kept/link")).expect("it is there");
        assert_eq!((&link[8..16], &link[48..56]), ("0000a1ff", "00000004"), "{link}");
    }
}
