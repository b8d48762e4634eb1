//! Standard output, which whoever shares a pipe or terminal with us may have made non-blocking: then a write
//! can be refused in the middle of a line, and the rest follows later.

use std::io::{self, Write};

use rustix::io::Errno;

use super::{batch::Portion, worker::Place};
use crate::writable;

/// Writes at once what it is given: the caller collects lines.
pub(super) struct StandardOutput;

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stdout = io::stdout();
        loop {
            match rustix::io::write(&stdout, bytes) {
                Ok(count) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => drop(writable::has_room(&stdout, None)?),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Place for StandardOutput {
    fn write(&mut self, portion: &mut Portion) -> io::Result<()> {
        match Write::write(self, portion.rest())? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => {
                portion.advance(count);
                Ok(())
            }
        }
    }

    /// The reader has left, as of `tracer | head`.
    fn is_over(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::BrokenPipe
    }
}
