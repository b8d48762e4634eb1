//! The signals of a live run: those that ask for something come out, one that would kill it does no harm.

use std::{
    fs,
    future::poll_fn,
    task::{Context, Poll, Waker},
};

use anyhow::{Context as _, Result};
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end.
    End,
    /// To read the configuration file again.
    Reload,
}

/// The signals that ask for something.
pub(super) struct Signals {
    heard: Vec<(Signal, Asked)>,
    /// The kernel sends it with the error of a write beyond `RLIMIT_FSIZE`. The error says what is
    /// wrong; the signal, unless somebody listens, would kill us with filters attached.
    _file_size: Signal,
}

impl Signals {
    /// SIGHUP is for reading the configuration file again, where there is one.
    pub(super) fn new(has_file: bool) -> Result<Self> {
        let mut heard =
            vec![(listen(Number::INT)?, Asked::End), (listen(Number::TERM)?, Asked::End)];
        if has_file {
            heard.push((listen(Number::HUP)?, Asked::Reload));
        } else if !is_ignored(Number::HUP) {
            // A terminal that was closed ends the run as Ctrl-C does. Not under nohup(1).
            heard.push((listen(Number::HUP)?, Asked::End));
        }
        Ok(Self { heard, _file_size: listen(Number::XFSZ)? })
    }

    /// Forgets the signals that have come so far.
    pub(super) fn forget(&mut self) {
        while self.poll(&mut Context::from_waker(Waker::noop())).is_ready() {}
    }

    /// What the next one asks for.
    pub(super) async fn next(&mut self) -> Asked {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Asked> {
        let mut heard = self.heard.iter_mut();
        match heard
            .find_map(|(signal, asked)| signal.poll_recv(context).is_ready().then_some(*asked))
        {
            Some(asked) => Poll::Ready(asked),
            None => Poll::Pending,
        }
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
