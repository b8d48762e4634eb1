//! A live run: what happens to interfaces and signals in one thread, records to events in others.
//!
//! A consumer treats its ring as a network driver treats its device: it sleeps in poll(2) until
//! the kernel says that a record came into an empty ring, drains, and then naps instead of asking
//! to be woken, as long as naps find something.

mod consumer;
mod consumers;
#[cfg(feature = "libpcap")]
mod libpcap;
mod places;
mod rings;
mod signals;
mod standard_output;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, anyhow, bail};
use tokio::time::interval;

use crate::{
    capture::{
        live::{
            attach::{Attachment, Attachments},
            counters::KernelCounters,
            descriptors, filters,
            interface::{Change, Interface, Interfaces},
            place::Watch,
            privilege,
            program::{Classifier, Settings},
            ring::Records,
            ring_capture::RingCapture,
            wishes::{LeavesOut, Wishes},
        },
        netns,
    },
    cli::CaptureName,
    config::{Config, Live},
    notice::notice,
};
use consumers::{Consumers, report};
use rings::Rings;
use signals::Signals;

/// How long until an interface that could not be attached to is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Traces until a signal comes, or enough messages have.
pub fn run(live: &Live, config: &Config) -> Result<()> {
    descriptors::provide()?;
    if let Some(wanted) = &live.netns {
        // Before there are threads and sockets, which all are to be inside.
        netns::enter(wanted)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match live.capture {
        CaptureName::Bpf => runtime.block_on(trace(live, config)),
        #[cfg(feature = "libpcap")]
        CaptureName::Libpcap => runtime.block_on(libpcap::trace(live, config)),
        #[cfg(not(feature = "libpcap"))]
        CaptureName::Libpcap => bail!("this tracer was built without libpcap"),
    }
}

async fn trace(live: &Live, config: &Config) -> Result<()> {
    privilege::check(&privilege::FOR_BPF)?;
    let mut signals = Signals::new()?;
    let mut tracing = Tracing::begin(live, config).await?;
    let mut consumers = match tracing.start_consumers(live, config) {
        Ok(consumers) => consumers,
        Err(error) => {
            tracing.end().await;
            return Err(error);
        }
    };
    notice(format_args!("{}", tracing.describe(config)));
    let followed = tracing.follow(&mut consumers, &mut signals, live).await;
    tracing.look_at_the_end().await;
    // Detach first: what is in the rings by then still comes out.
    tracing.end().await;
    followed?;
    report(consumers.stop(&mut signals).await?, config)
}

/// What is left out in the kernel. Where a body is cut by the snap length, its end cannot be followed.
fn leaves_out(live: &Live) -> LeavesOut {
    LeavesOut { flows: live.bypass, bodies: live.bypass && live.snaplen == u32::MAX }
}

/// What is attached where.
struct Tracing {
    classifier: Classifier,
    attachments: Attachments,
    interfaces: Interfaces,
    /// Those that could not be attached to.
    refused: BTreeMap<u32, Interface>,
    /// Those that are up, that the classifier cannot parse, and of which that was said.
    untraceable: BTreeSet<u32>,
    watch: Watch,
    rings: Rings,
}

impl Tracing {
    /// Loads the classifier and attaches it.
    async fn begin(live: &Live, config: &Config) -> Result<Self> {
        let interfaces = Interfaces::connect()?;
        let present = interfaces.list().await?;
        let chosen = choose(&present, live)?;
        let swept = filters::sweep(&interfaces.handle, &present).await?;
        if swept > 0 {
            notice(format_args!("removed {swept} filters that a killed tracer had left"));
        }
        let rings = Rings::choose(live, config.options.limits.payload)?;
        let settings = Settings {
            rings: rings.count,
            ring_size: rings.size,
            snaplen: live.snaplen,
            pure_acks: config.options.segments,
            shown: live.shown,
        };
        #[cfg_attr(not(feature = "ebpf-log"), expect(unused_mut, reason = "for diagnostics"))]
        let mut classifier = Classifier::load(settings, &config.options.ports)?;
        #[cfg(feature = "ebpf-log")]
        crate::capture::live::diagnostics::follow(&mut classifier)?;
        let attachments = Attachments::new(live.attach);
        let (refused, untraceable) = (BTreeMap::new(), BTreeSet::new());
        let watch = Watch::connect()?;
        let mut tracing =
            Self { classifier, attachments, interfaces, refused, untraceable, watch, rings };
        if let Err(error) = tracing.attach_and_check(&chosen, live).await {
            tracing.end().await;
            return Err(error);
        }
        Ok(tracing)
    }

    async fn attach_and_check(&mut self, chosen: &[&Interface], live: &Live) -> Result<()> {
        self.attach(chosen, live)?;
        self.check(live.interfaces.is_some()).await?;
        self.look_after().await;
        Ok(())
    }

    /// Attaches to the chosen interfaces. One that vanished meanwhile, or cannot be parsed, is an
    /// error only where it was named.
    fn attach(&mut self, chosen: &[&Interface], live: &Live) -> Result<()> {
        for interface in chosen {
            match self.attachments.attach(&mut self.classifier, interface) {
                Ok(Attachment::New | Attachment::Known) => {}
                Ok(Attachment::Unsupported) if live.interfaces.is_none() => {
                    self.leave_out(interface);
                }
                Ok(Attachment::Unsupported) => {
                    bail!("{} carries neither Ethernet nor IP: it cannot be traced", interface.name)
                }
                Err(error) if live.interfaces.is_none() => self.refused(interface, &error),
                Err(error) => return Err(error),
            }
        }
        if live.interfaces.is_none() && !chosen.is_empty() && self.attachments.names().is_empty() {
            bail!("could not attach to any interface");
        }
        Ok(())
    }

    fn start_consumers(&mut self, live: &Live, config: &Config) -> Result<Consumers> {
        let counters = Arc::new(KernelCounters::new(self.classifier.take_counters()?));
        let wishes = Wishes::new(self.classifier.take_flows()?, leaves_out(live));
        let rings = self.classifier.take_records()?.into_iter();
        let captures = rings.map(|ring| RingCapture {
            records: Records::new(ring, self.rings.size as usize),
            counters: Arc::clone(&counters),
            wishes: wishes.clone(),
        });
        Consumers::start(captures.collect(), "live", &self.attachments.names(), config)
    }

    /// `tracing port 7272 on lo, eth0 in the network namespace blue (TCX)`
    fn describe(&self, config: &Config) -> String {
        let names = self.attachments.names();
        let on = if names.is_empty() { "no interface yet".to_owned() } else { names.join(", ") };
        let how = self.attachments.method().map_or_else(String::new, |how| format!(" ({how})"));
        let threads = match self.rings.count {
            1 => String::new(),
            count => format!(", {count} threads"),
        };
        let place = place(config);
        format!("tracing port {} on {on}{place}{how}{threads}; Ctrl-C ends", config.ports)
    }

    /// Follows interfaces until a signal comes, or a consumer has ended.
    async fn follow(
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
                        notice(format_args!("no more news about interfaces: new ones are not traced"));
                    }
                },
                _ = retry.tick(), if !self.refused.is_empty() => self.try_again().await,
            }
        }
    }

    async fn change(&mut self, change: Change, live: &Live) {
        match change {
            Change::Present(interface) => self.appeared(&interface, live).await,
            Change::Gone(index) => self.is_gone(index),
            Change::Missed => match self.interfaces.list().await {
                Ok(present) => self.compare(&present, live).await,
                Err(error) => notice(format_args!("{error:#}: some may not be traced")),
            },
        }
    }

    /// Makes up for news that were missed.
    async fn compare(&mut self, present: &[Interface], live: &Live) {
        for index in self.attachments.indices() {
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
            notice(format_args!("{name} is gone"));
        }
    }

    async fn appeared(&mut self, interface: &Interface, live: &Live) {
        if let Some(old) = self.attachments.rename(interface.index, &interface.name) {
            notice(format_args!("{old} is {} now", interface.name));
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
    fn refused(&mut self, interface: &Interface, error: &anyhow::Error) {
        if self.refused.insert(interface.index, interface.clone()).is_none() {
            notice(format_args!("{error:#}; trying again"));
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
    fn leave_out(&mut self, interface: &Interface) {
        let Interface { index, name, is_up, .. } = interface;
        if *is_up && self.untraceable.insert(*index) {
            notice(format_args!("{name} is not traced: its packets begin with other headers"));
        }
    }

    async fn welcome(&mut self, interface: &Interface) {
        match self.check(false).await {
            Ok(()) if self.attachments.place(interface.index).is_some() => {
                notice(format_args!("tracing {} too", interface.name));
            }
            Ok(()) => {}
            Err(error) => notice(format_args!("{error:#}")),
        }
    }

    /// Takes everything out of the kernel again.
    async fn end(&mut self) {
        for interface in self.attachments.detach_all(&mut self.classifier) {
            if let Err(error) =
                filters::remove_unused_qdisc(&self.interfaces.handle, interface).await
            {
                notice(format_args!("{error:#}"));
            }
        }
    }
}

/// ` in the network namespace blue`; nothing for our own.
fn place(config: &Config) -> String {
    config.netns().map_or_else(String::new, |name| format!(" in the network namespace {name}"))
}

/// The interfaces to attach to. A name that does not exist is an error.
fn choose<'i>(present: &'i [Interface], live: &Live) -> Result<Vec<&'i Interface>> {
    let Some(names) = &live.interfaces else { return Ok(present.iter().collect()) };
    names
        .iter()
        .map(|name| {
            present.iter().find(|interface| interface.name == *name).ok_or_else(|| {
                let known: Vec<_> = present.iter().map(|known| known.name.as_str()).collect();
                anyhow!("there is no interface {name}; there are {}", known.join(", "))
            })
        })
        .collect()
}
