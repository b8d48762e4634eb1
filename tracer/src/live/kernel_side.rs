//! What a live run has in the kernel: from loading the classifier and attaching it to taking it out
//! again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ::tracing::{info, warn};
use anyhow::{Result, bail};

use super::{
    Started,
    consumers::Consumers,
    figures::{Figures, Standing},
    rings::Rings,
};
use crate::{
    capture::live::{
        attach::{Attachment, Attachments},
        counters::KernelCounters,
        filters,
        interface::{Interface, Interfaces},
        level::RingLevel,
        place::Watch,
        program::{Classifier, Settings},
        ring::Records,
        ring_capture::RingCapture,
        wishes::{LeavesOut, Wishes},
    },
    config::{Config, Live},
    invocation::Reading,
    metrics::Board,
    sink::Outputs,
};

/// What is attached where.
pub(super) struct Tracing {
    /// What is configured now, and how it was read.
    pub(super) live: Live,
    pub(super) config: Config,
    pub(super) reading: Reading,
    pub(super) classifier: Classifier,
    pub(super) attachments: Attachments,
    pub(super) interfaces: Interfaces,
    /// Those that could not be attached to.
    pub(super) refused: BTreeMap<u32, Interface>,
    /// Those that are up, that the classifier cannot parse, and of which that was said.
    pub(super) untraceable: BTreeSet<u32>,
    pub(super) watch: Watch,
    /// What the classifier was told of flows, once somebody decodes.
    pub(super) wishes: Option<Wishes>,
    rings: Rings,
    /// The same numbers for who may ask while we are busy.
    standing: Arc<Standing>,
}

impl Tracing {
    /// Loads the classifier and attaches it.
    pub(super) async fn begin(
        live: Live,
        config: Config,
        reading: Reading,
        is_service: bool,
    ) -> Result<Self> {
        let interfaces = Interfaces::connect()?;
        let present = interfaces.list().await?;
        let chosen = choose(&present, &live, is_service)?;
        let swept = filters::sweep(&interfaces.handle, &present).await?;
        if swept > 0 {
            info!("removed {swept} filters that a killed tracer had left");
        }
        let rings = Rings::choose(&live, config.options.limits.payload)?;
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
        let standing = Arc::default();
        let mut tracing = Self {
            live,
            config,
            reading,
            classifier,
            attachments,
            interfaces,
            refused,
            untraceable,
            watch,
            wishes: None,
            rings,
            standing,
        };
        if let Err(error) = tracing.attach_and_check(&chosen).await {
            tracing.end().await;
            return Err(error);
        }
        Ok(tracing)
    }

    async fn attach_and_check(&mut self, chosen: &[&Interface]) -> Result<()> {
        self.attach(chosen)?;
        self.check(self.live.interfaces.is_some()).await?;
        self.look_after().await;
        self.note_standing();
        Ok(())
    }

    /// Attaches to the chosen interfaces. One that vanished meanwhile, or cannot be parsed, is an
    /// error only where it was named.
    fn attach(&mut self, chosen: &[&Interface]) -> Result<()> {
        let are_named = self.live.interfaces.is_some();
        for interface in chosen {
            match self.attachments.attach(&mut self.classifier, interface) {
                Ok(Attachment::New | Attachment::Known) => {}
                Ok(Attachment::Unsupported) if !are_named => {
                    self.leave_out(interface);
                }
                Ok(Attachment::Unsupported) => {
                    bail!("{} carries neither Ethernet nor IP: it cannot be traced", interface.name)
                }
                Err(error) if !are_named => self.refused(interface, &error),
                Err(error) => return Err(error),
            }
        }
        if !are_named && !chosen.is_empty() && self.attachments.names().is_empty() {
            bail!("could not attach to any interface");
        }
        Ok(())
    }

    /// Notes on how many interfaces we are.
    pub(super) fn note_standing(&self) {
        let attached = self.attachments.interfaces().len();
        self.standing.note(self.attachments.method(), attached, self.refused.len());
    }

    pub(super) fn start_consumers(&mut self, outputs: Outputs) -> Result<Started> {
        let leaves_out = leaves_out(&self.live);
        let counters = Arc::new(KernelCounters::new(self.classifier.take_counters()?));
        let wishes = Wishes::new(self.classifier.take_flows()?, leaves_out);
        let board = self.live.metrics.map(|_| Board::new(self.rings.count as usize, false));
        self.wishes = Some(wishes.clone());
        let size = self.rings.size as usize;
        let (mut captures, mut levels) = (Vec::new(), Vec::new());
        for ring in self.classifier.take_records()? {
            let level = board.as_ref().map(|_| RingLevel::of(&ring, size)).transpose()?;
            levels.extend(level);
            let (counters, wishes) = (Arc::clone(&counters), wishes.clone());
            captures.push(RingCapture {
                records: Records::new(ring, size),
                counters,
                wishes,
                level,
            });
        }
        let names = self.attachments.names();
        let watched = outputs.monitor();
        let consumers =
            Consumers::start(captures, "live", &names, &self.config, outputs, board.as_ref())?;
        let figures = board.map(|board| {
            let mut figures = Figures::new(board, &self.config, watched);
            figures.kernel = Some(counters);
            figures.rings = levels;
            figures.standing = Arc::clone(&self.standing);
            figures
        });
        Ok((consumers, figures))
    }

    /// `tracing port 7272 on lo, eth0 in the network namespace blue (TCX)`
    pub(super) fn describe(&self) -> String {
        let config = &self.config;
        let names = self.attachments.names();
        let on = if names.is_empty() { "no interface yet".to_owned() } else { names.join(", ") };
        let how = self.attachments.method().map_or_else(String::new, |how| format!(" ({how})"));
        let threads = match self.rings.count {
            1 => String::new(),
            count => format!(", {count} threads"),
        };
        let place = place(config);
        format!("tracing port {} on {on}{place}{how}{threads}", config.ports)
    }

    /// Takes everything out of the kernel again.
    pub(super) async fn end(&mut self) {
        self.attachments.detach_all(&mut self.classifier);
        self.remove_unused_qdiscs().await;
    }

    pub(super) async fn remove_unused_qdiscs(&mut self) {
        for interface in self.attachments.take_orphaned_qdiscs() {
            if let Err(error) =
                filters::remove_unused_qdisc(&self.interfaces.handle, interface).await
            {
                warn!("{error:#}");
            }
        }
    }
}

/// What is left out in the kernel. Where a body is cut by the snap length, its end cannot be followed.
fn leaves_out(live: &Live) -> LeavesOut {
    LeavesOut { flows: live.bypass, bodies: live.bypass && live.snaplen == u32::MAX }
}

/// ` in the network namespace blue`; nothing for our own.
pub(super) fn place(config: &Config) -> String {
    config.netns().map_or_else(String::new, |name| format!(" in the network namespace {name}"))
}

/// The interfaces to attach to. A name that does not exist is an error, but for a service: at boot it may be
/// there later.
fn choose<'i>(
    present: &'i [Interface],
    live: &Live,
    is_service: bool,
) -> Result<Vec<&'i Interface>> {
    let missing = live.missing(present.iter().map(|interface| interface.name.as_str()));
    if is_service {
        missing.for_each(say_missing);
    } else if let Some(name) = missing.into_iter().next() {
        let known: Vec<_> = present.iter().map(|known| known.name.as_str()).collect();
        bail!("there is no interface {name}; there are {}", known.join(", "));
    }
    Ok(present.iter().filter(|interface| live.wants(&interface.name)).collect())
}

/// Says that an interface is traced when it comes.
pub(super) fn say_missing(name: &str) {
    warn!("there is no interface {name} yet");
}
