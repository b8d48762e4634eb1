//! A live run over libpcap: nothing is attached, so there is nothing to follow but signals.

use anyhow::{Context as _, Result};

use super::{Signals, report, ring_size, start};
use crate::{
    capture::{
        libpcap::{HANDED_OVER, Packets, Settings},
        live::privilege,
    },
    config::{Config, Live},
    notice::notice,
};

/// Traces until a signal comes, or enough messages have.
pub(super) async fn trace(live: &Live, config: &Config) -> Result<()> {
    privilege::check(&privilege::FOR_LIBPCAP)?;
    let mut signals = Signals::new()?;
    let names = live.interfaces.clone().unwrap_or_else(|| vec!["any".to_owned()]);
    let settings = Settings {
        ports: &config.ports,
        snaplen: live.snaplen,
        buffer: live
            .ring_size
            .unwrap_or_else(|| ring_size::for_this_machine(config.options.limits.payload)),
    };
    let packets = Packets::open(&names, settings)?;
    let mut consumer = start(packets, "libpcap", &names, config)?;
    let (ports, on) = (&config.ports, names.join(", "));
    notice(format_args!("tracing port {ports} on {on} (libpcap); Ctrl-C ends"));
    let ended = tokio::select! {
        () = signals.next() => {
            // Nothing can be detached: what is on its way to us still comes out.
            tokio::time::sleep(HANDED_OVER).await;
            consumer.stop(&mut signals).await?
        }
        ended = &mut consumer.ended => ended.context("the decoder has failed")?,
    };
    report(ended, config)
}
