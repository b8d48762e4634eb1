//! The systemd journal: each event is an entry, sent as a datagram; one that is too large for that, as
//! a file in memory that is sealed (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).

use std::{
    fs::File,
    io::{self, IoSlice, Write as _},
    mem::MaybeUninit,
    os::{fd::AsFd as _, unix::net::UnixDatagram},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
    net::{
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
        sockopt::set_socket_send_buffer_size,
    },
};

use super::{batch::Portion, worker::Place};

/// What sd-journal asks for; the kernel gives what `net.core.wmem_max` allows.
const SEND_BUFFER: usize = 8 << 20;

/// A socket, and where journald listens.
pub(super) struct Journald {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journald {
    /// Not connected: journald may be started anew.
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    fn send(&self, entry: &[u8]) -> io::Result<()> {
        match self.socket.send_to(entry, &self.path) {
            Ok(_) => Ok(()),
            Err(error) if is_too_large(&error) => self.send_file(entry),
            Err(error) => Err(error),
        }
    }

    fn send_file(&self, entry: &[u8]) -> io::Result<()> {
        let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
        let mut file = File::from(memfd_create("tracer-entry", flags)?);
        file.write_all(entry)?;
        // journald reads it where it is, and wants to be sure that it stays as it is.
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        fcntl_add_seals(&file, seals)?;
        let files = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&files));
        let address = SocketAddrUnix::new(&self.path)?;
        let nothing = [IoSlice::new(&[])];
        sendmsg_addr(&self.socket, &address, &nothing, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// As sd-journal decides. The latter: the kernel has no piece of memory that large.
fn is_too_large(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MSGSIZE | Errno::NOBUFS))
}

impl Place for Journald {
    fn write(&mut self, portion: &mut Portion) -> io::Result<()> {
        let entry = portion.event();
        self.send(entry)?;
        portion.advance(entry.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
