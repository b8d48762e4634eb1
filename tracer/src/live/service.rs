//! What a service manager is told (`sd_notify(3)`): that we are ready, what we are doing, that we are not
//! stuck. Where nobody listens, nothing is said.

use std::{env, time::Duration};

use ::tracing::warn;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::event::Stats;

/// How often the status line is written.
const STATUS: Duration = Duration::from_secs(10);

/// A service manager that listens, or nobody.
pub(super) struct Service {
    /// When to say what we are doing.
    due: Option<Interval>,
    /// It wants to hear that we are not stuck.
    has_watchdog: bool,
}

impl Service {
    /// Finds out who listens.
    pub(super) fn new() -> Self {
        let watchdog = watchdog_enabled();
        let is_heard = env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        let due = is_heard.then(|| {
            // Half of the time that it gives us, as sd_watchdog_enabled(3) recommends.
            let mut due = interval(watchdog.map_or(STATUS, |time| STATUS.min(time / 2)));
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            due
        });
        Self { due, has_watchdog: watchdog.is_some() }
    }

    /// Whether we are run by one: then nobody sits and waits for a first message.
    pub(super) fn is_managed(&self) -> bool {
        self.due.is_some()
    }

    /// Ends when there is something to say.
    pub(super) async fn due(&mut self) {
        match &mut self.due {
            Some(due) => drop(due.tick().await),
            None => std::future::pending().await,
        }
    }

    /// Everything is attached, or configured anew.
    pub(super) fn ready(&self, what: &str) {
        self.say(&[NotifyState::Ready, NotifyState::Status(what)]);
    }

    /// Threads have answered that they are at work.
    pub(super) fn alive(&self, what: &str, counted: &Stats) {
        let status = status(what, counted);
        let all = [NotifyState::Status(&status), NotifyState::Watchdog];
        self.say(if self.has_watchdog { &all } else { &all[..1] });
    }

    /// The configuration is about to change.
    pub(super) fn reloading(&self) {
        // The time tells this reload from others (sd_notify(3), RELOADING=1).
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.say(&[NotifyState::Reloading, now]),
            Err(error) => warn!("cannot tell the time: {error}"),
        }
    }

    /// The run is about to end.
    pub(super) fn stopping(&self) {
        self.say(&[NotifyState::Stopping]);
    }

    fn say(&self, what: &[NotifyState<'_>]) {
        if self.is_managed()
            && let Err(error) = notify(what)
        {
            warn!("cannot tell the service manager: {error}");
        }
    }
}

/// `tracing port 7272 on eth0 (TCX): 3 connections, 120 messages, nothing lost`
fn status(what: &str, counted: &Stats) -> String {
    let Stats { flows, messages, lost, dropped, .. } = *counted;
    let missed = match (lost, dropped) {
        (0, 0) => "nothing lost".to_owned(),
        (_, 0) => format!("{lost} segments lost"),
        _ => format!("{lost} segments lost, {dropped} events dropped"),
    };
    format!("{what}: {flows} connections, {messages} messages, {missed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_was_missed() {
        let told = |lost, dropped| {
            let counted = Stats { flows: 3, messages: 120, lost, dropped, ..Stats::default() };
            status("tracing", &counted)
        };
        assert_eq!(told(0, 0), "tracing: 3 connections, 120 messages, nothing lost");
        assert_eq!(told(5, 0), "tracing: 3 connections, 120 messages, 5 segments lost");
        assert!(told(0, 7).ends_with("0 segments lost, 7 events dropped"));
    }
}
