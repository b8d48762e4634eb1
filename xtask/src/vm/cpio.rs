//! Archives in cpio's "newc" format, of which the kernel makes its first file system: paths, modes
//! and contents come in, bytes go out. Written here because device nodes come without root.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// The name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

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
                self.entry(&name(directory), DIRECTORY, (0, 0), &[]);
            }
        }
    }

    /// A file with these permissions, and the directories above it.
    pub(super) fn file(&mut self, path: &Path, permissions: u32, contents: &[u8]) {
        self.below_its_directory(path);
        self.entry(&name(path), FILE | permissions, (0, 0), contents);
    }

    /// A character device with its major and minor number.
    pub(super) fn character_device(&mut self, path: &Path, numbers: (u32, u32)) {
        self.below_its_directory(path);
        self.entry(&name(path), CHARACTER_DEVICE, numbers, &[]);
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]);
        self.bytes
    }

    fn below_its_directory(&mut self, path: &Path) {
        if let Some(directory) = path.parent() {
            self.directory(directory);
        }
    }

    /// See the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
    fn entry(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), contents: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(contents.len()).expect("files of less than 4 GiB");
        let name_size = name.len() as u32 + 1;
        // inode, mode, owner, group, links, time, size, device, device that it is, name, checksum
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
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
}
