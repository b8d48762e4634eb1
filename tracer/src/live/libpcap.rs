//! A live run over libpcap: nothing is attached, so there is nothing to follow but signals.

use ::tracing::info;
use anyhow::Result;
use rustix::thread::CapabilitySet;
use tokio::time::sleep;

use super::{
    Opened, begun,
    changes::{Awaited, once},
    consumers::{Consumers, End, report},
    figures::Figures,
    kernel_side::place,
    reload, rings, serve,
    service::Service,
    signals::{Asked, Signals},
};
use crate::{
    capture::{
        libpcap::{HANDED_OVER, Packets, Settings},
        live::privilege,
    },
    config::{Config, Live},
    event::Stats,
    invocation::Reading,
    metrics::Board,
    sandbox,
};

/// Traces until a signal comes, or enough messages have.
pub(super) async fn trace(
    live: Live,
    mut config: Config,
    reading: Reading,
    opened: Opened,
) -> Result<()> {
    privilege::check(privilege::FOR_LIBPCAP)?;
    let Opened { endpoint, outputs } = opened;
    let mut signals = Signals::new(reading.has_file)?;
    let mut service = Service::new();
    let names = live.interfaces.clone().unwrap_or_else(|| vec!["any".to_owned()]);
    let settings = Settings {
        ports: &config.ports,
        snaplen: live.snaplen,
        buffer: rings::total(&live, config.options.limits.payload),
    };
    let packets = Packets::open(&names, settings)?;
    if !live.keep_privileges {
        sandbox::enter(CapabilitySet::empty())?;
    }
    let board = live.metrics.map(|_| Board::new(1, true));
    let watched = outputs.monitor();
    let captures = vec![packets];
    let consumers =
        Consumers::start(captures, "libpcap", &names, &config, outputs, board.as_ref())?;
    let figures = board.map(|board| Figures::new(board, &config, watched));
    figures.iter().for_each(|figures| figures.standing.note_libpcap(names.len()));
    let (mut consumers, _serving) = serve((consumers, figures), endpoint)?;
    let (ports, on, place) = (&config.ports, names.join(", "), place(&config));
    let what = format!("tracing port {ports} on {on}{place} (libpcap)");
    begun(&service, &what);
    let mut counted: Awaited<Stats> = None;
    let mut changed: Awaited<Config> = None;
    let end = loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::End => {
                    // Nothing can be detached: what is on its way to us still comes out.
                    sleep(HANDED_OVER).await;
                    break End::Asked;
                }
                Asked::Reload => {
                    service.reloading();
                    changed = reload::change(&reading, &mut consumers);
                    if changed.is_none() {
                        service.ready(&what);
                    }
                }
            },
            ended = consumers.ended() => break ended?,
            next = once(&mut changed) => {
                config = next;
                info!("reloaded");
                service.ready(&what);
            }
            counted = once(&mut counted) => service.alive(&what, &counted),
            () = service.due(), if counted.is_none() => {
                counted = Some(Box::pin(consumers.ask()));
            }
        }
    };
    service.stopping();
    report(consumers.stop(end, &mut signals).await?, &config, service.is_managed())
}
