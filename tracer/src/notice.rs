//! What the program says about itself, on stderr, apart from the events.

use std::{fmt, io::Write as _};

/// Writes a line, the program's name before it. A stderr that nobody reads is no reason to stop, or to
/// panic, as `eprintln!` does.
pub fn notice(what: fmt::Arguments<'_>) {
    writeln!(std::io::stderr().lock(), "tracer: {what}").ok();
}
