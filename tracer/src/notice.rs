//! What the program says about itself, on stderr, apart from the events. Nobody has to read it: what
//! cannot be written within a moment is left out.

use std::{
    fmt,
    io::{self, Write},
};

/// Writes a line, the program's name before it. A stderr that nobody reads is no reason to stop, or to
/// panic, as `eprintln!` does.
pub fn notice(what: fmt::Arguments<'_>) {
    Impatient.write_all(format!("tracer: {what}\n").as_bytes()).ok();
}

/// Standard error, which does not wait long for a reader: `tracer 2>&1 | less` has to heed signals
/// when its pipe is full.
pub struct Impatient;

impl Write for Impatient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        wait(&stderr)?;
        // So much goes into a pipe that has room, as one (pipe(7)).
        stderr.write(&bytes[..bytes.len().min(4096)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for a reader, until one has let us wait too long.
#[cfg(feature = "live")]
fn wait(stderr: &io::StderrLock<'_>) -> io::Result<()> {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    /// Seconds.
    const PATIENCE: i64 = 2;
    static IS_STUCK: AtomicBool = AtomicBool::new(false);
    let patience = if IS_STUCK.load(Relaxed) { 0 } else { PATIENCE };
    let has_room = crate::writable::has_room(stderr, Some(patience))?;
    IS_STUCK.store(!has_room, Relaxed);
    if has_room { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

/// Without live runs no signal that ends us is ours to handle.
#[cfg(not(feature = "live"))]
fn wait(_: &io::StderrLock<'_>) -> io::Result<()> {
    Ok(())
}
