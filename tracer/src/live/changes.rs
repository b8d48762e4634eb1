//! What changes while a live run goes on: interfaces come, go and are renamed, attaching fails and is
//! tried again, signals come, and answers.

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use ::tracing::{info, warn};
use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Tracing,
    consumers::{Consumers, End},
    reload,
    service::Service,
    signals::{Asked, Signals},
};
use crate::{
    capture::live::{
        attach::Attachment,
        interface::{Change, Interface},
    },
    config::Config,
    event::Stats,
};

/// How long until an interface that could not be attached to is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Something that is being waited for.
pub(super) type Awaited<T> = Option<Pin<Box<dyn Future<Output = T>>>>;

/// What a run is in the hands of.
pub(super) struct Hands<'r> {
    pub(super) consumers: &'r mut Consumers,
    pub(super) signals: &'r mut Signals,
    pub(super) service: &'r mut Service,
}

impl Tracing {
    /// Follows interfaces and the configuration, until a signal ends it or a consumer has ended.
    pub(super) async fn follow(&mut self, hands: Hands<'_>) -> Result<End> {
        let Hands { consumers, signals, service } = hands;
        let mut is_connected = true;
        let mut retry = interval(RETRY);
        // Nobody looks at it while there is nothing to try.
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut counted: Awaited<Stats> = None;
        let mut changed: Awaited<Config> = None;
        let mut is_asked_to_reload = false;
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::End => return Ok(End::Asked),
                    Asked::Reload => is_asked_to_reload = true,
                },
                ended = consumers.ended() => return ended,
                config = once(&mut changed) => {
                    self.go_on_with(config).await;
                    service.ready(&self.describe());
                }
                counted = once(&mut counted) => service.alive(&self.describe(), &counted),
                () = service.due(), if counted.is_none() => {
                    counted = Some(Box::pin(consumers.ask()));
                }
                () = self.watch.next() => self.look_after().await,
                change = self.interfaces.next_change(), if is_connected => match change {
                    Some(change) => self.change(change).await,
                    None => {
                        is_connected = false;
                        warn!("no more news about interfaces: new ones are not traced");
                    }
                },
                _ = retry.tick(), if !self.refused.is_empty() => self.try_again().await,
            }
            if is_asked_to_reload && changed.is_none() {
                is_asked_to_reload = false;
                service.reloading();
                changed = reload::change(&self.reading, consumers);
                if changed.is_none() {
                    service.ready(&self.describe());
                }
            }
            self.note_standing();
        }
    }

    async fn change(&mut self, change: Change) {
        match change {
            Change::Present(interface) => self.appeared(&interface).await,
            Change::Gone(index) => {
                self.is_gone(index);
                // Old news, where more of them were missed: it may have come back since.
                if let Some(interface) = self.present(index).await {
                    self.appeared(&interface).await;
                }
            }
            Change::Missed => match self.interfaces.list().await {
                Ok(present) => self.compare(&present).await,
                Err(error) => warn!("{error:#}: some may not be traced"),
            },
        }
    }

    /// Makes up for news that were missed.
    pub(super) async fn compare(&mut self, present: &[Interface]) {
        for (index, _) in self.attachments.interfaces() {
            if present.iter().all(|interface| interface.index != index) {
                self.is_gone(index);
            }
        }
        self.refused.retain(|index, _| present.iter().any(|interface| interface.index == *index));
        for interface in present {
            self.appeared(interface).await;
        }
    }

    fn is_gone(&mut self, index: u32) {
        self.refused.remove(&index);
        self.untraceable.remove(&index);
        if let Some(name) = self.attachments.forget(&mut self.classifier, index) {
            info!("{name} is gone");
        }
    }

    async fn appeared(&mut self, interface: &Interface) {
        if let Some(old) = self.attachments.rename(interface.index, &interface.name) {
            info!("{old} is {} now", interface.name);
        }
        if !self.live.wants(&interface.name) {
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

/// Waits for it, and then for nothing more.
pub(super) async fn once<T>(awaited: &mut Awaited<T>) -> T {
    let Some(future) = awaited else { return pending().await };
    let result = future.await;
    *awaited = None;
    result
}
