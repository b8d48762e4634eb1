//! What changes while a live run goes on: interfaces come, go and are renamed, attaching fails and is
//! tried again.

use std::time::Duration;

use ::tracing::{info, warn};
use anyhow::Result;
use tokio::time::interval;

use super::{Tracing, consumers::Consumers, signals::Signals};
use crate::{
    capture::live::{
        attach::Attachment,
        interface::{Change, Interface},
    },
    config::Live,
};

/// How long until an interface that could not be attached to is tried again.
const RETRY: Duration = Duration::from_secs(5);

impl Tracing {
    /// Follows interfaces until a signal comes, or a consumer has ended.
    pub(super) async fn follow(
        &mut self,
        consumers: &mut Consumers,
        signals: &mut Signals,
        live: &Live,
    ) -> Result<()> {
        let mut is_connected = true;
        let mut retry = interval(RETRY);
        loop {
            tokio::select! {
                () = signals.next() => return Ok(()),
                ended = consumers.next_to_end() => return ended.map(drop),
                () = self.watch.next() => self.look_after().await,
                change = self.interfaces.next_change(), if is_connected => match change {
                    Some(change) => self.change(change, live).await,
                    None => {
                        is_connected = false;
                        warn!("no more news about interfaces: new ones are not traced");
                    }
                },
                _ = retry.tick(), if !self.refused.is_empty() => self.try_again().await,
            }
            self.note_standing();
        }
    }

    async fn change(&mut self, change: Change, live: &Live) {
        match change {
            Change::Present(interface) => self.appeared(&interface, live).await,
            Change::Gone(index) => {
                self.is_gone(index);
                // Old news, where more of them were missed: it may have come back since.
                if let Some(interface) = self.present(index).await {
                    self.appeared(&interface, live).await;
                }
            }
            Change::Missed => match self.interfaces.list().await {
                Ok(present) => self.compare(&present, live).await,
                Err(error) => warn!("{error:#}: some may not be traced"),
            },
        }
    }

    /// Makes up for news that were missed.
    async fn compare(&mut self, present: &[Interface], live: &Live) {
        for (index, _) in self.attachments.interfaces() {
            if present.iter().all(|interface| interface.index != index) {
                self.is_gone(index);
            }
        }
        self.refused.retain(|index, _| present.iter().any(|interface| interface.index == *index));
        for interface in present {
            self.appeared(interface, live).await;
        }
    }

    fn is_gone(&mut self, index: u32) {
        self.refused.remove(&index);
        self.untraceable.remove(&index);
        if let Some(name) = self.attachments.forget(&mut self.classifier, index) {
            info!("{name} is gone");
        }
    }

    async fn appeared(&mut self, interface: &Interface, live: &Live) {
        if let Some(old) = self.attachments.rename(interface.index, &interface.name) {
            info!("{old} is {} now", interface.name);
        }
        let names = live.interfaces.as_ref();
        if names.is_some_and(|names| !names.contains(&interface.name)) {
            return;
        }
        match self.attachments.attach(&mut self.classifier, interface) {
            Ok(Attachment::New) => {
                self.refused.remove(&interface.index);
                self.welcome(interface).await;
            }
            Ok(Attachment::Known) => {}
            Ok(Attachment::Unsupported) => self.leave_out(interface),
            Err(error) => self.refused(interface, &error),
        }
    }

    /// Says so, once, and tries again later: descriptors or memory may be there then.
    pub(super) fn refused(&mut self, interface: &Interface, error: &anyhow::Error) {
        if self.refused.insert(interface.index, interface.clone()).is_none() {
            warn!("{error:#}; trying again");
        }
    }

    async fn try_again(&mut self) {
        for (index, interface) in self.refused.clone() {
            if let Ok(Attachment::New) = self.attachments.attach(&mut self.classifier, &interface) {
                self.refused.remove(&index);
                self.welcome(&interface).await;
            }
        }
    }

    /// Says, once, that an interface is not traced, if anything could be seen on it.
    pub(super) fn leave_out(&mut self, interface: &Interface) {
        let Interface { index, name, is_up, .. } = interface;
        if *is_up && self.untraceable.insert(*index) {
            warn!("{name} is not traced: its packets begin with other headers");
        }
    }

    async fn welcome(&mut self, interface: &Interface) {
        match self.check(false).await {
            Ok(()) if self.attachments.place(interface.index).is_some() => {
                info!("tracing {} too", interface.name);
            }
            Ok(()) => {}
            Err(error) => warn!("{error:#}"),
        }
    }
}
