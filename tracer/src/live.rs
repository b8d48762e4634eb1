//! A live run: what happens to interfaces and signals in one thread, records to events in another.
//!
//! The consumer treats the ring as a network driver treats its device: it sleeps in poll(2) until
//! the kernel says that a record came into an empty ring, drains, and then naps instead of asking
//! to be woken, as long as naps find something.

mod consumer;
#[cfg(feature = "libpcap")]
mod libpcap;
mod ring_size;

use std::{io, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::event::{EventfdFlags, eventfd};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{
    capture::{
        Capture, clock,
        live::{
            attach::{Attachment, Attachments},
            counters::KernelCounters,
            filters,
            interface::{Change, Interface, Interfaces},
            privilege,
            program::{Classifier, Settings},
            ring::Records,
            ring_capture::RingCapture,
            wishes::Wishes,
        },
    },
    cli::CaptureName,
    config::{Config, Live},
    notice::notice,
    output::write_summary,
    pipeline::{Listening, Pipeline},
};
use consumer::{Consumer, Ended};

/// Signals that come so close together are one.
const SAME_SIGNAL: Duration = Duration::from_millis(300);
/// How long a consumer that is stuck in a write may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Traces until a signal comes, or enough messages have.
pub fn run(live: &Live, config: &Config) -> Result<()> {
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
    let mut consumer = tracing.start_consumer(live, config)?;
    notice(format_args!("{}", tracing.describe(config)));
    let ended = tracing.follow(&mut consumer, &mut signals, live).await;
    // Detach first: what is in the ring by then still comes out.
    tracing.end().await;
    let ended = match ended {
        Some(ended) => ended.context("the decoder has failed")?,
        None => consumer.stop(&mut signals).await?,
    };
    report(ended, config)
}

/// The signals that end a run.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Forgets the signals that have come so far.
    fn forget(&mut self) {
        let mut nothing = std::task::Context::from_waker(std::task::Waker::noop());
        for signal in [&mut self.interrupt, &mut self.terminate] {
            while signal.poll_recv(&mut nothing).is_ready() {}
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What is attached where.
struct Tracing {
    classifier: Classifier,
    attachments: Attachments,
    interfaces: Interfaces,
    ring_size: u32,
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
        let ring_size = live
            .ring_size
            .unwrap_or_else(|| ring_size::for_this_machine(config.options.limits.payload));
        let settings = Settings {
            ring_size,
            snaplen: live.snaplen,
            pure_acks: config.options.segments,
            shown: live.shown,
        };
        #[cfg_attr(not(feature = "ebpf-log"), expect(unused_mut, reason = "for diagnostics"))]
        let mut classifier = Classifier::load(settings, &config.options.ports)?;
        #[cfg(feature = "ebpf-log")]
        crate::capture::live::diagnostics::follow(&mut classifier)?;
        let attachments = Attachments::new(live.attach);
        let mut tracing = Self { classifier, attachments, interfaces, ring_size };
        if let Err(error) = tracing.attach(&chosen, live) {
            tracing.end().await;
            return Err(error);
        }
        Ok(tracing)
    }

    /// Attaches to the chosen interfaces. One that vanished meanwhile, or cannot be parsed, is an
    /// error only where it was named.
    fn attach(&mut self, chosen: &[&Interface], live: &Live) -> Result<()> {
        for interface in chosen {
            match self.attachments.attach(&mut self.classifier, interface) {
                Ok(Attachment::New | Attachment::Known) => {}
                Ok(Attachment::Unsupported) if live.interfaces.is_none() => {}
                Ok(Attachment::Unsupported) => {
                    bail!("{} carries neither Ethernet nor IP: it cannot be traced", interface.name)
                }
                Err(error) if live.interfaces.is_none() => notice(format_args!("{error:#}")),
                Err(error) => return Err(error),
            }
        }
        if live.interfaces.is_none() && !chosen.is_empty() && self.attachments.names().is_empty() {
            bail!("could not attach to any interface");
        }
        Ok(())
    }

    fn start_consumer(&mut self, live: &Live, config: &Config) -> Result<Running> {
        let records = Records::new(self.classifier.take_records()?, self.ring_size as usize);
        let counters = KernelCounters::new(self.classifier.take_counters()?);
        let wishes = Wishes::new(self.classifier.take_flows()?, live.bypass);
        let capture = RingCapture { records, counters, wishes };
        start(capture, "live", &self.attachments.names(), config)
    }

    /// `tracing port 7272 on lo, eth0 (TCX)`
    fn describe(&self, config: &Config) -> String {
        let names = self.attachments.names();
        let on = if names.is_empty() { "no interface yet".to_owned() } else { names.join(", ") };
        let how = self.attachments.method().map_or_else(String::new, |how| format!(" ({how})"));
        format!("tracing port {} on {on}{how}; Ctrl-C ends", config.ports)
    }

    /// Follows interfaces until a signal comes, or the consumer has ended.
    async fn follow(
        &mut self,
        consumer: &mut Running,
        signals: &mut Signals,
        live: &Live,
    ) -> Option<Result<Ended, oneshot::error::RecvError>> {
        let mut is_connected = true;
        loop {
            tokio::select! {
                () = signals.next() => return None,
                ended = &mut consumer.ended => return Some(ended),
                change = self.interfaces.next_change(), if is_connected => match change {
                    Some(change) => self.change(change, live),
                    None => {
                        is_connected = false;
                        notice(format_args!("no more news about interfaces: new ones are not traced"));
                    }
                },
            }
        }
    }

    fn change(&mut self, change: Change, live: &Live) {
        match change {
            Change::Present(interface) => {
                let is_wanted =
                    live.interfaces.as_ref().is_none_or(|names| names.contains(&interface.name));
                if is_wanted {
                    self.appeared(&interface);
                }
            }
            Change::Gone(index) => {
                if let Some(name) = self.attachments.forget(&mut self.classifier, index) {
                    notice(format_args!("{name} is gone"));
                }
            }
        }
    }

    fn appeared(&mut self, interface: &Interface) {
        match self.attachments.attach(&mut self.classifier, interface) {
            Ok(Attachment::New) => notice(format_args!("tracing {} too", interface.name)),
            Ok(Attachment::Known | Attachment::Unsupported) => {}
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

/// Starts a consumer of what `capture` yields in a thread of its own.
fn start<C: Capture + Send + 'static>(
    capture: C,
    source: &str,
    interfaces: &[String],
    config: &Config,
) -> Result<Running> {
    let mut pipeline = Pipeline::new(config, Box::new(io::stdout()));
    let uname = rustix::system::uname();
    let listening = Listening {
        source,
        interfaces,
        host: &uname.nodename().to_string_lossy(),
        kernel: &uname.release().to_string_lossy(),
    };
    consumer::set_clock(&mut pipeline);
    pipeline.start(clock::monotonic(), &listening);
    pipeline.flush()?;
    let stop = eventfd(0, EventfdFlags::CLOEXEC).context("cannot make an eventfd")?;
    let wake = stop.try_clone()?;
    let (sender, ended) = oneshot::channel();
    let consumer = Consumer::new(capture, pipeline, stop, config.ports.to_string());
    std::thread::Builder::new().name("decode".to_owned()).spawn(move || {
        // Nobody listens any more when the run has lost its patience.
        sender.send(consumer.run()).ok();
    })?;
    Ok(Running { ended, wake })
}

/// A consumer at work in its thread.
struct Running {
    ended: oneshot::Receiver<Ended>,
    /// Written to, it ends the consumer.
    wake: std::os::fd::OwnedFd,
}

impl Running {
    /// Ends it and waits for what it has left to write. A second signal, or a reader that does not
    /// read, ends the wait.
    async fn stop(mut self, signals: &mut Signals) -> Result<Ended> {
        rustix::io::write(&self.wake, &1u64.to_ne_bytes()).context("cannot stop the decoder")?;
        let impatience = async {
            // timeout(1) and terminals signal a process and its group: that is one signal twice.
            tokio::time::sleep(SAME_SIGNAL).await;
            signals.forget();
            signals.next().await;
        };
        tokio::select! {
            ended = &mut self.ended => ended.context("the decoder has failed"),
            () = impatience => bail!("interrupted before everything was written"),
            () = tokio::time::sleep(PATIENCE) => {
                bail!("the output is blocked: what was not written yet is lost")
            }
        }
    }
}

/// Tells what the run came to.
fn report(ended: Ended, config: &Config) -> Result<()> {
    let Ended { stats, connections, written, failed } = ended;
    written.context("cannot write the output")?;
    // Not worth an error: the events are written.
    write_summary(&mut io::stderr().lock(), &stats, &connections).ok();
    if let Some(error) = failed {
        return Err(error);
    }
    if stats.segments == 0 && stats.lost == 0 {
        bail!(
            "no segment on port {} was seen: see which ports are in use with `ss -tln`, and choose \
             with --port",
            config.ports
        );
    }
    Ok(())
}
