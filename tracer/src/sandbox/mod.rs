//! What the process may still do when everything is open: capabilities to keep come in; a process
//! that has no others, can get none back, and knows few system calls is left.

mod capabilities;
mod syscalls;

use anyhow::{Context as _, Result};
use rustix::thread::CapabilitySet;

/// Gives up, for good, what is not needed any more. Threads that begin later are bound as well, so there
/// must be no other yet.
pub fn enter(kept: CapabilitySet) -> Result<()> {
    capabilities::drop_all_but(kept).context("cannot give up privileges")?;
    syscalls::restrict().context("cannot restrict system calls")
}
