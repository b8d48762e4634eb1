//! Standard output, shared by threads: whole lines go in and come out whole, also where a write is
//! refused for the moment.

use std::io::{self, Write};

use rustix::io::Errno;

use super::{batch::Portion, worker::Place};
use crate::writable;

/// Writes at once what it is given: the caller collects lines.
pub(super) struct StandardOutput;

impl StandardOutput {
    /// Whoever shares a pipe or terminal with us may have made it non-blocking. Then a write can be
    /// refused in the middle of a line, and the rest has to follow later.
    fn write_some(stdout: &io::StdoutLock<'_>, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::io::write(stdout, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => drop(writable::has_room(stdout, None)?),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::write_some(&io::stdout().lock(), bytes)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // Held until all is written, so that no other thread writes into a line.
        let stdout = io::stdout().lock();
        while !bytes.is_empty() {
            bytes = &bytes[Self::write_some(&stdout, bytes)?..];
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One of several outputs: then one thread has it for itself.
impl Place for StandardOutput {
    fn write(&mut self, portion: &mut Portion) -> io::Result<()> {
        let count = Write::write(self, portion.rest())?;
        portion.advance(count);
        Ok(())
    }

    /// The reader has left, as of `tracer | head`.
    fn is_over(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Whether a short write would not have to wait for a reader.
#[cfg(feature = "live")]
pub(crate) fn has_room() -> bool {
    writable::has_room(io::stdout(), Some(0)).unwrap_or(true)
}
