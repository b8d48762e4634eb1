//! Waiting for many files at once: a thin layer over epoll(7), level-triggered.

use std::{io, mem, os::fd::OwnedFd, time::Duration};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    fd::AsFd,
};

/// What one wait gives at most.
const BATCH: usize = 256;

/// Files that are waited for, each with a number of the caller's.
pub(super) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(BATCH) })
    }

    /// Waits for a file to become readable.
    pub(super) fn add(&self, file: impl AsFd, number: usize) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, file, EventData::new_u64(number as u64), EventFlags::IN)?)
    }

    /// Waits for a file that was added to become writable too.
    pub(super) fn add_writable(&self, file: impl AsFd, number: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT;
        Ok(epoll::modify(&self.epoll, file, EventData::new_u64(number as u64), flags)?)
    }

    /// Waits, and calls `ready` with each number and whether its file can be read or has ended.
    pub(super) fn wait<E: From<io::Error>>(
        &mut self,
        timeout: Option<Duration>,
        mut ready: impl FnMut(&Self, usize, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut events = mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        for event in &events {
            let flags = event.flags;
            let is_readable = flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR);
            ready(self, event.data.u64() as usize, is_readable)?;
        }
        self.events = events;
        Ok(())
    }
}
