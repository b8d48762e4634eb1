//! Whether the classifier still is where it was attached, and whether others come before it: the
//! kernel's lists of filters and programs come in, a [`Place`] comes out. Others may take it away, or
//! get before it and end the chain, and then nothing would be lost and nothing seen.

use std::time::Duration;

use anyhow::{Context as _, Result};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use futures_util::StreamExt as _;
use rtnetlink::{
    Handle, MulticastGroup,
    packet_core::NetlinkMessage,
    packet_route::{
        RouteNetlinkMessage,
        tc::{TcAttribute, TcMessage},
    },
};
use tokio::time::{Instant, sleep_until};

use super::{
    filters::{filters, is_ours, is_own},
    interface::LinkLayer,
};

/// How often to look without news. Of TCX there are none.
const PERIOD: Duration = Duration::from_secs(10);
/// How soon to look after news. Who changes one thing often changes another: our clsact qdisc is not
/// to come between the removal of one and the addition of the next.
const SOON: Duration = Duration::from_secs(1);

/// Where the classifier is at an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Before all others.
    First,
    /// Behind this one, which decides what is seen.
    Behind(String),
    /// Twice at one hook and not at the other: the interface has a qdisc without an egress side.
    OneSided,
    /// Not there.
    Gone,
}

/// The place among the filters of a clsact qdisc.
pub async fn among_filters(handle: &Handle, index: u32, hooks: &[TcAttachType]) -> Result<Place> {
    let mut place = Place::First;
    for &hook in hooks {
        let filters = filters(handle, index, hook).await?;
        let ours: Vec<_> = (0..).zip(&filters).filter(|(_, filter)| is_own(filter)).collect();
        let [(at, _)] = ours[..] else {
            return Ok(if ours.is_empty() { Place::Gone } else { Place::OneSided });
        };
        let mut before = filters[..at].iter().filter(|filter| is_real(filter) && !is_ours(filter));
        if let Some(other) = before.next() {
            place = Place::Behind(describe(other));
        }
    }
    Ok(place)
}

/// The kernel lists a priority too, and chains that are not begun with.
fn is_real(filter: &TcMessage) -> bool {
    let is_elsewhere = |attribute: &TcAttribute| matches!(attribute, TcAttribute::Chain(1..));
    u32::from(filter.header.handle) != 0 && !filter.attributes.iter().any(is_elsewhere)
}

/// `a u32 filter with priority 1`
fn describe(filter: &TcMessage) -> String {
    let kind = filter.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Kind(kind) => Some(kind.as_str()),
        _ => None,
    });
    format!("a {} filter with priority {}", kind.unwrap_or("tc"), filter.header.info >> 16)
}

/// The place among TCX programs. `None`: the kernel does not tell a user without `CAP_SYS_ADMIN`.
pub fn among_programs(
    program: &SchedClassifier,
    interface: &str,
    hooks: &[TcAttachType],
) -> Result<Option<Place>> {
    let own = program.info().context("cannot ask about the classifier")?.id();
    let mut place = Place::First;
    for &hook in hooks {
        let programs = match SchedClassifier::query_tcx(interface, hook) {
            Ok((_, programs)) => programs,
            Err(ProgramError::SyscallError(error)) if is_forbidden(&error.io_error) => {
                return Ok(None);
            }
            Err(error) => return Err(error).context("cannot ask what is attached"),
        };
        let Some(at) = programs.iter().position(|program| program.id() == own) else {
            return Ok(Some(Place::Gone));
        };
        let names = programs[..at].iter().map(|program| program.name_as_str().unwrap_or_default());
        if let Some(other) = names.into_iter().find(|name| !LinkLayer::is_program_name(name)) {
            place = Place::Behind(format!("the program {other:?}"));
        }
    }
    Ok(Some(place))
}

fn is_forbidden(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::PermissionDenied
}

/// Knows when to look again.
pub struct Watch {
    news: Box<dyn futures_util::Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Unpin>,
    is_connected: bool,
    due: Instant,
}

impl Watch {
    /// Listens to what happens to qdiscs and filters.
    pub fn connect() -> Result<Self> {
        let (connection, _, news) = rtnetlink::new_multicast_connection(&[MulticastGroup::Tc])
            .context("cannot listen for changes of traffic control")?;
        tokio::spawn(connection);
        let news = Box::new(news.map(|(message, _)| message));
        Ok(Self { news, is_connected: true, due: Instant::now() + PERIOD })
    }

    /// Waits until it is time to look. Can be dropped and called again.
    pub async fn next(&mut self) {
        loop {
            tokio::select! {
                () = sleep_until(self.due) => {
                    self.due = Instant::now() + PERIOD;
                    return;
                }
                news = self.news.next(), if self.is_connected => match news {
                    Some(_) => self.due = self.due.min(Instant::now() + SOON),
                    // Looking now and then is left.
                    None => self.is_connected = false,
                },
            }
        }
    }
}
