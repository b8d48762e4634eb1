//! A live run: what happens to interfaces and signals in one thread, records to events in others.
//!
//! A consumer treats its ring as a network driver treats its device: it sleeps in poll(2) until
//! the kernel says that a record came into an empty ring, drains, and then naps instead of asking
//! to be woken, as long as naps find something.

mod changes;
mod consumer;
mod consumers;
mod heap;
mod kernel_side;
#[cfg(feature = "libpcap")]
mod libpcap;
mod places;
mod rings;
mod signals;

use ::tracing::info;
use anyhow::Result;

use crate::{
    capture::{
        live::{descriptors, privilege},
        netns,
    },
    cli::CaptureName,
    config::{Config, Live},
    sandbox,
    sink::{Outputs, Overflow},
};
use consumers::report;
use kernel_side::Tracing;
use signals::Signals;

/// Traces until a signal comes, or enough messages have.
pub fn run(live: &Live, config: &Config) -> Result<()> {
    descriptors::provide()?;
    // Their threads are to stay outside of the namespace, where collectors are.
    let outputs = Outputs::open(&config.outputs, Overflow::Drop)?;
    if let Some(wanted) = &live.netns {
        // Before there are threads and sockets, which all are to be inside.
        netns::enter(wanted)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match live.capture {
        CaptureName::Bpf => runtime.block_on(trace(live, config, outputs)),
        #[cfg(feature = "libpcap")]
        CaptureName::Libpcap => runtime.block_on(libpcap::trace(live, config, outputs)),
        #[cfg(not(feature = "libpcap"))]
        CaptureName::Libpcap => anyhow::bail!("this tracer was built without libpcap"),
    }
}

async fn trace(live: &Live, config: &Config, outputs: Outputs) -> Result<()> {
    privilege::check(privilege::FOR_BPF)?;
    let mut signals = Signals::new()?;
    let mut tracing = Tracing::begin(live, config).await?;
    if !live.keep_privileges {
        sandbox::enter(privilege::kept(tracing.attachments.method()))?;
    }
    let mut consumers = match tracing.start_consumers(live, config, outputs) {
        Ok(consumers) => consumers,
        Err(error) => {
            tracing.end().await;
            return Err(error);
        }
    };
    info!("{}", tracing.describe(config));
    let followed = tracing.follow(&mut consumers, &mut signals, live).await;
    tracing.look_at_the_end().await;
    // Detach first: what is in the rings by then still comes out.
    tracing.end().await;
    followed?;
    report(consumers.stop(&mut signals).await?, config)
}
