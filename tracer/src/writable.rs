//! Waiting for a pipe, terminal or file to take more: a descriptor and a patience come in, whether a
//! short write would find room comes out.

use std::{io, os::fd::AsFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

/// Seconds for that; `None`: as long as it takes. Errors are left to the write to tell.
pub(crate) fn has_room(to: impl AsFd, patience: Option<i64>) -> io::Result<bool> {
    let patience = patience.map(|tv_sec| Timespec { tv_sec, tv_nsec: 0 });
    loop {
        match poll(&mut [PollFd::new(&to, PollFlags::OUT)], patience.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
