//! Standard output, shared by threads: whole lines go in and come out whole, also where a write is
//! refused for the moment.

use std::io::{self, Write};

use rustix::io::Errno;

use crate::writable;

/// Writes at once what it is given: the caller collects lines.
pub(super) struct StandardOutput;

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    /// Whoever shares a pipe or terminal with us may have made it non-blocking. Then a write can be
    /// refused in the middle of a line, and the rest has to follow later.
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // Held until all is written, so that no other thread writes into a line.
        let stdout = io::stdout().lock();
        while !bytes.is_empty() {
            match rustix::io::write(&stdout, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => drop(writable::has_room(&stdout, None)?),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a short write would not have to wait for a reader.
pub(super) fn has_room() -> bool {
    writable::has_room(io::stdout(), Some(0)).unwrap_or(true)
}
