//! A file that lines are appended to: whole events go in, and as it grows large or old it gives way to
//! a new one, never within an event.

use ::tracing::warn;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use super::{batch::Portion, rotation, target::Rotation, worker::Place};

/// Events may have secrets.
const MODE: u32 = 0o640;
/// Where a file could not be given another name, it grows on for so long.
const RETRY: Duration = Duration::from_mins(1);

/// The file, and when it gives way.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    rotation: Rotation,
    /// When its first event came.
    born: Instant,
    /// Devices do not grow.
    is_regular: bool,
    /// Not before then.
    next_attempt: Option<Instant>,
}

impl LogFile {
    /// Opens it, or makes it. What is in it already counts.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let is_pipe = |of: fs::Metadata| of.file_type().is_fifo() || of.file_type().is_socket();
        if fs::metadata(path).is_ok_and(is_pipe) {
            // Opening one waits for its reader, writing to one ends with its reader.
            return Err(io::Error::other(
                "it is no file; write to a pipe with `--output - > PIPE`, to a socket with \
                 `--output unix:PATH`",
            ));
        }
        let file = append(path)?;
        let metadata = file.metadata()?;
        let is_regular = metadata.is_file();
        let born = since(&metadata);
        Ok(Self { path: path.to_owned(), file, rotation, born, is_regular, next_attempt: None })
    }

    /// How many bytes the file takes before it gives way, or all.
    fn room(&mut self, next: usize) -> io::Result<u64> {
        if !self.is_regular {
            return Ok(u64::MAX);
        }
        // Asked for each time: logrotate's `copytruncate` makes it short again.
        let len = self.file.metadata()?.len();
        if len == 0 {
            self.born = Instant::now();
        } else if self.is_due(len + next as u64) && self.rotate() {
            return Ok(self.rotation.size.unwrap_or(u64::MAX));
        }
        Ok(self.rotation.size.map_or(u64::MAX, |size| size.saturating_sub(len)))
    }

    fn is_due(&self, len: u64) -> bool {
        let Rotation { size, age, .. } = self.rotation;
        let is_large = size.is_some_and(|size| len > size);
        let is_old = age.is_some_and(|age| self.born.elapsed() >= age);
        let is_time = self.next_attempt.is_none_or(|next| Instant::now() >= next);
        (is_large || is_old) && is_time
    }

    /// Makes a new file. Where that fails, the old one serves on, rather than that events are lost.
    fn rotate(&mut self) -> bool {
        match rotation::rotate(&self.path, self.rotation.keep, append) {
            Ok(file) => {
                self.file = file;
                self.born = Instant::now();
                self.next_attempt = None;
                true
            }
            Err(error) => {
                let path = self.path.display();
                warn!("cannot rotate {path}: {error}; it grows on");
                self.next_attempt = Some(Instant::now() + RETRY);
                false
            }
        }
    }
}

impl Place for LogFile {
    fn write(&mut self, portion: &mut Portion) -> io::Result<()> {
        let room = match portion.is_between_events() {
            true => self.room(portion.event().len())?,
            // The disk was full in its midst: the rest goes where its beginning is.
            false => 0,
        };
        let count = self.file.write(portion.at_most(room))?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        portion.advance(count);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<bool> {
        let opened = Self::open(&self.path, self.rotation)?;
        let [old, new] = [&self.file, &opened.file].map(File::metadata);
        let (old, new) = (old?, new?);
        let is_another = (old.dev(), old.ino()) != (new.dev(), new.ino());
        if is_another {
            *self = opened;
        }
        Ok(is_another)
    }
}

/// Opens a file, or makes it, to write at its end, wherever that is by then.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}

/// When a file's first event came, which the file system may know, or its last, which it does.
fn since(file: &fs::Metadata) -> Instant {
    let now = Instant::now();
    let born = file.created().or_else(|_| file.modified());
    let age = born.ok().and_then(|born| SystemTime::now().duration_since(born).ok());
    age.filter(|_| file.len() > 0).and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

#[cfg(test)]
mod tests;
