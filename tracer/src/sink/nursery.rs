//! A thread that starts others: wherever the process is and whatever it may do later, they are where this one
//! was made, and may do what it may.

use std::{
    sync::mpsc::{Sender, channel, sync_channel},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};

/// What the thread does before anything else: it gives up what outputs need no privileges for.
pub type Begin = fn() -> Result<()>;

/// Where threads come from.
pub(super) struct Nursery {
    orders: Sender<Box<dyn FnOnce() + Send>>,
}

impl Nursery {
    /// Starts it.
    pub(super) fn new(begin: Begin) -> Result<Self> {
        let (orders, received) = channel::<Box<dyn FnOnce() + Send>>();
        let (begun, has_begun) = sync_channel(1);
        let run = move || {
            let result = begin();
            let is_good = result.is_ok();
            begun.send(result).ok();
            if is_good {
                received.iter().for_each(|order| order());
            }
        };
        let thread = thread::Builder::new().name("outputs".to_owned());
        thread.spawn(run).context("cannot start the thread of outputs")?;
        has_begun.recv().context("the thread of outputs has failed")??;
        Ok(Self { orders })
    }

    /// Starts a thread from it.
    pub(super) fn start<T: Send + 'static>(
        &self,
        name: &str,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let (to, started) = sync_channel(1);
        let thread = thread::Builder::new().name(name.to_owned());
        // Whoever waits for it is there.
        let order = Box::new(move || drop(to.send(thread.spawn(run))));
        self.orders.send(order).ok().context("the thread of outputs has failed")?;
        let thread = started.recv().context("the thread of outputs has failed")?;
        thread.context("cannot start a thread for an output")
    }
}
