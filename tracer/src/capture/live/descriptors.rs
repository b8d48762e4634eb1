//! How many files this process may open: as many as it is allowed to, and a refusal where that is
//! too few to begin.

use anyhow::{Context as _, Result};
use rustix::{
    event::{EventfdFlags, eventfd},
    io,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// The program, its maps and we ourselves take about 30, each interface two.
const NEEDED: usize = 64;

/// Raises the limit as far as it goes: the usual 1,024 are enough for 500 interfaces only.
pub fn provide() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Up to the maximum this is allowed to everybody; the check below tells if it was not.
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
    let open = |_| eventfd(0, EventfdFlags::CLOEXEC);
    let opened: io::Result<Vec<_>> = (0..NEEDED).map(open).collect();
    opened.map(drop).with_context(|| {
        format!("tracing needs {NEEDED} open files or more: allow them with `ulimit -Hn 4096`")
    })
}
