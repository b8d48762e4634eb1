//! A live run: what happens to interfaces and signals in one thread, records to events in others.
//!
//! A consumer treats its ring as a network driver treats its device: it sleeps in poll(2) until
//! the kernel says that a record came into an empty ring, drains, and then naps instead of asking
//! to be woken, as long as naps find something.

mod changes;
mod consumer;
mod consumers;
mod endpoint;
mod figures;
mod heap;
mod kernel_side;
#[cfg(feature = "libpcap")]
mod libpcap;
mod orders;
mod places;
mod reload;
mod rings;
mod service;
mod signals;

use ::tracing::info;
use anyhow::Result;
use rustix::thread::CapabilitySet;

use crate::{
    capture::{
        live::{descriptors, privilege},
        netns,
    },
    cli::CaptureName,
    config::{Config, Live},
    invocation::Reading,
    sandbox,
    sink::{Begin, Outputs, Overflow},
};
use changes::Hands;
use consumers::{Consumers, report};
use endpoint::{Bound, Serving};
use figures::Figures;
use kernel_side::Tracing;
use service::Service;
use signals::Signals;

/// Traces until a signal comes, or enough messages have.
pub fn run(live: Live, config: Config, reading: Reading) -> Result<()> {
    descriptors::provide()?;
    let begin: Begin = match live.keep_privileges {
        true => || Ok(()),
        false => || sandbox::enter(CapabilitySet::empty()),
    };
    // What the rings hold is decoded faster than some outputs write.
    let buffer = rings::total(&live, config.options.limits.payload) as usize;
    let opened = Opened {
        endpoint: live.metrics.map(endpoint::bind).transpose()?,
        outputs: Outputs::open(&config.outputs, Overflow::Drop, buffer, begin)?,
    };
    if let Some(wanted) = &live.netns {
        // Before there are threads and sockets, which all are to be inside.
        netns::enter(wanted)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match live.capture {
        CaptureName::Bpf => runtime.block_on(trace(live, config, reading, opened)),
        #[cfg(feature = "libpcap")]
        CaptureName::Libpcap => runtime.block_on(libpcap::trace(live, config, reading, opened)),
        #[cfg(not(feature = "libpcap"))]
        CaptureName::Libpcap => anyhow::bail!("this tracer was built without libpcap"),
    }
}

/// What is opened first: in the namespace that we were started in, where collectors are and who asks for
/// metrics, and while there are privileges for any file and port.
struct Opened {
    endpoint: Option<Bound>,
    outputs: Outputs,
}

async fn trace(live: Live, config: Config, reading: Reading, opened: Opened) -> Result<()> {
    privilege::check(privilege::FOR_BPF)?;
    let Opened { endpoint, outputs } = opened;
    let mut signals = Signals::new(reading.has_file)?;
    let mut service = Service::new();
    let mut tracing = Tracing::begin(live, config, reading, service.is_managed()).await?;
    let given_up = match tracing.live.keep_privileges {
        true => Ok(()),
        false => privilege::kept(tracing.attachments.method()).and_then(sandbox::enter),
    };
    let started = given_up.and_then(|()| tracing.start_consumers(outputs));
    let (mut consumers, _serving) = match started.and_then(|started| serve(started, endpoint)) {
        Ok(started) => started,
        Err(error) => {
            tracing.end().await;
            return Err(error);
        }
    };
    begun(&service, &tracing.describe());
    let hands = Hands { consumers: &mut consumers, signals: &mut signals, service: &mut service };
    let followed = tracing.follow(hands).await;
    service.stopping();
    tracing.look_at_the_end().await;
    // Detach first: what is in the rings by then still comes out.
    tracing.end().await;
    report(consumers.stop(followed?, &mut signals).await?, &tracing.config, service.is_managed())
}

/// Says that the run has begun, and how it ends.
fn begun(service: &Service, what: &str) {
    let end = if service.is_managed() { "" } else { "; Ctrl-C ends" };
    info!("{what}{end}");
    service.ready(what);
}

/// Consumers, and the figures of what they do, where these are wanted.
type Started = (Consumers, Option<Figures>);

/// Serves the figures of consumers that were started, as long as what comes back lives.
fn serve(
    (consumers, figures): Started,
    endpoint: Option<Bound>,
) -> Result<(Consumers, Option<Serving>)> {
    let serving = endpoint.zip(figures).map(|(endpoint, figures)| endpoint.serve(figures));
    Ok((consumers, serving.transpose()?))
}
