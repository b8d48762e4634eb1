//! The signals of a live run: those that end it come out, one that would kill it does no harm.

use std::{
    fs,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use anyhow::{Context as _, Result};
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a run.
pub(super) struct Signals {
    ending: Vec<Signal>,
    /// The kernel sends it with the error of a write beyond `RLIMIT_FSIZE`. The error says what is
    /// wrong; the signal, unless somebody listens, would kill us with filters attached.
    _file_size: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self> {
        let mut ending = vec![listen(Number::INT)?, listen(Number::TERM)?];
        // A terminal that was closed ends the run as Ctrl-C does. Not under nohup(1).
        if !is_ignored(Number::HUP) {
            ending.push(listen(Number::HUP)?);
        }
        Ok(Self { ending, _file_size: listen(Number::XFSZ)? })
    }

    /// Forgets the signals that have come so far.
    pub(super) fn forget(&mut self) {
        while self.poll(&mut Context::from_waker(Waker::noop())).is_ready() {}
    }

    pub(super) async fn next(&mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let has_come = self.ending.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if has_come { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn listen(number: Number) -> Result<Signal> {
    signal(SignalKind::from_raw(number.as_raw())).context("cannot listen for signals")
}

/// Whether whoever started us wants us not to notice a signal (`SigIgn` of proc(5)).
fn is_ignored(number: Number) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (number.as_raw() - 1) & 1 != 0)
}
