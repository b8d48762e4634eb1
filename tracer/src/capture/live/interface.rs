//! The interfaces of this network namespace, and the news about them (rtnetlink(7)).

use std::{io, os::fd::OwnedFd};

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _};
use rtnetlink::{
    Handle, MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage},
    },
};
use rustix::net::{
    AddressFamily as SocketFamily, SocketFlags, SocketType, netdevice::index_to_name, socket_with,
};

/// What an interface's packets begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkLayer {
    /// An Ethernet header.
    Ethernet,
    /// The IP header.
    Ip,
}

impl LinkLayer {
    /// The program for such interfaces.
    pub fn program_name(self) -> &'static str {
        match self {
            Self::Ethernet => "tracer_ether",
            Self::Ip => "tracer_ip",
        }
    }

    /// Whether a program with this name is some tracer's.
    pub fn is_program_name(name: &str) -> bool {
        [Self::Ethernet, Self::Ip].map(Self::program_name).contains(&name)
    }

    fn new(message: &LinkMessage) -> Option<Self> {
        match message.header.link_layer_type {
            LinkLayerType::Ether | LinkLayerType::Loopback => Some(Self::Ethernet),
            // The packets of these begin with the (inner) IP header at both hooks.
            LinkLayerType::None
            | LinkLayerType::Ppp
            | LinkLayerType::Rawip
            | LinkLayerType::Sit
            | LinkLayerType::Tunnel
            | LinkLayerType::Tunnel6 => Some(Self::Ip),
            // With one peer, likewise. With many, they begin with the outer headers.
            LinkLayerType::Ipgre | LinkLayerType::Ip6gre => {
                has_one_peer(message).then_some(Self::Ip)
            }
            _ => None,
        }
    }
}

/// Whether a tunnel leads to one address, which is none for many (RFC 1112 section 4).
fn has_one_peer(message: &LinkMessage) -> bool {
    message.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::Broadcast(peer) => match peer.as_slice() {
            [first, _, _, _] => !matches!(first, 0 | 224..=239),
            peer => peer.iter().any(|byte| *byte != 0),
        },
        _ => false,
    })
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name at the time.
    pub name: String,
    /// What its packets begin with; `None` for kinds that the classifier cannot parse.
    pub layer: Option<LinkLayer>,
    /// The loopback interface, which shows every packet on egress and on ingress.
    pub is_loopback: bool,
    /// Packets can pass.
    pub is_up: bool,
}

impl Interface {
    /// The interface that a message is about. Messages about a bridge port (`AF_BRIDGE`), which tell
    /// of its bridge only, are none.
    fn new(message: &LinkMessage) -> Option<Self> {
        if message.header.interface_family != AddressFamily::Unspec {
            return None;
        }
        let name = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?;
        Some(Self {
            index: message.header.index,
            name,
            layer: LinkLayer::new(message),
            is_loopback: message.header.link_layer_type == LinkLayerType::Loopback,
            is_up: message.header.flags.contains(LinkFlags::Up),
        })
    }

    /// With the name that it has now: it may have been renamed since the news were sent, and another
    /// may have the name that it had. `None` when it is gone.
    fn with_current_name(self, socket: &OwnedFd) -> Option<Self> {
        index_to_name(socket, self.index).ok().map(|name| Self { name, ..self })
    }
}

/// The name that an interface has now.
pub fn current_name(index: u32) -> io::Result<String> {
    Ok(index_to_name(any_socket()?, index)?)
}

/// Names are asked for through a socket, of whatever kind.
fn any_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(SocketFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

/// News about an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there: new, or changed in some way.
    Present(Interface),
    /// It is gone, or has moved to another namespace.
    Gone(u32),
    /// There was more news than the kernel keeps: only a new list tells what is there.
    Missed,
}

/// A connection to the kernel's route netlink.
pub struct Interfaces {
    /// For other requests.
    pub handle: Handle,
    /// For names; held because news may come when no descriptor is left.
    socket: OwnedFd,
    news: Box<dyn futures_util::Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Unpin>,
}

impl Interfaces {
    /// Connects; from now on no change is missed without [`Change::Missed`].
    pub fn connect() -> Result<Self> {
        let (connection, handle, news) =
            rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
                .context("cannot listen for changes of the interfaces")?;
        tokio::spawn(connection);
        let socket = any_socket().context("cannot ask for the names of interfaces")?;
        Ok(Self { handle, socket, news: Box::new(news.map(|(message, _)| message)) })
    }

    /// Every interface that there is now.
    pub async fn list(&self) -> Result<Vec<Interface>> {
        let links: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .context("cannot list the network interfaces")?;
        Ok(links.iter().filter_map(Interface::new).collect())
    }

    /// Waits for the next change. `None` when the connection is lost.
    pub async fn next_change(&mut self) -> Option<Change> {
        loop {
            let message = self.news.next().await?;
            match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                    let interface = Interface::new(&link);
                    if let Some(interface) =
                        interface.and_then(|interface| interface.with_current_name(&self.socket))
                    {
                        return Some(Change::Present(interface));
                    }
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
                    if let Some(interface) = Interface::new(&link) {
                        return Some(Change::Gone(interface.index));
                    }
                }
                NetlinkPayload::Overrun(_) => return Some(Change::Missed),
                _ => {}
            }
        }
    }
}
