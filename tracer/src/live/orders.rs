//! What a thread that decodes is told while it is at work: orders come in on one side, and wake it
//! on the other.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

use anyhow::{Context as _, Result};
use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use crate::{event::Stats, pipeline::Change};

/// What it is told.
pub(super) enum Order {
    /// To go on otherwise, and to say when it does.
    Change(Box<Change>, oneshot::Sender<()>),
    /// To say what the run has counted so far; and so, that it is not stuck.
    Answer(oneshot::Sender<Stats>),
    /// To end when there is nothing left.
    Stop,
}

/// Where orders are given.
pub(super) struct Orders {
    orders: Sender<Order>,
    bell: Arc<OwnedFd>,
}

/// Where they arrive.
pub(super) struct Inbox {
    orders: Receiver<Order>,
    /// An eventfd, readable when there are any.
    bell: Arc<OwnedFd>,
}

/// Both sides.
pub(super) fn orders() -> Result<(Orders, Inbox)> {
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
    let bell = Arc::new(bell.context("cannot make an eventfd")?);
    let (sender, receiver) = channel();
    Ok((Orders { orders: sender, bell: Arc::clone(&bell) }, Inbox { orders: receiver, bell }))
}

impl Orders {
    /// Gives one. Who has ended does not care.
    pub(super) fn give(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            // Fails where it has been rung 2^64 times and not been heard.
            rustix::io::write(&*self.bell, &1u64.to_ne_bytes()).ok();
        }
    }
}

impl Inbox {
    /// All that have come by now.
    pub(super) fn take(&self) -> impl Iterator<Item = Order> {
        // Before they are looked for: whatever comes later rings again.
        rustix::io::read(&*self.bell, &mut [0; 8]).ok();
        self.orders.try_iter()
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
