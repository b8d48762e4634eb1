//! TUN and TAP devices: a kind comes in, an interface comes out whose wire is in the test's hands.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::fd::{AsFd, BorrowedFd},
};

use rustix::ioctl::{Setter, ioctl};

use crate::netns::Namespace;

/// Devices of `linux/if_tun.h`: IP packets without, and Ethernet frames with a link-layer header;
/// both without the header that says what follows.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Without.
    Tun = 0x1001,
    /// With.
    Tap = 0x1002,
}

/// A device that receives what is written to its file.
pub(crate) struct Device(File);

impl Device {
    /// What it is called.
    pub(crate) const NAME: &str = "wire0";

    /// Makes one, which is up.
    pub(crate) fn new(namespace: &Namespace, kind: Kind) -> Self {
        let file = namespace.run(|| {
            let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
            let file = file.expect("this kernel has TUN and TAP devices");
            make_device(&file, Self::NAME, kind);
            file
        });
        namespace.ip(&format!("link set {} up", Self::NAME));
        Self(file)
    }

    /// Lets it receive a packet.
    pub(crate) fn inject(&self, frame: &[u8]) {
        assert_eq!((&self.0).write(frame).expect("the device is up"), frame.len());
    }

    /// What the kernel sends through it next; `None` when there is nothing now, for a device that is
    /// [`Device::nonblocking`].
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 1 << 16];
        match (&self.0).read(&mut packet) {
            Ok(len) => packet.truncate(len),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("cannot read from the device: {error}"),
        }
        Some(packet)
    }

    /// Lets reading never wait.
    pub(crate) fn nonblocking(self) -> Self {
        rustix::io::ioctl_fionbio(&self.0, true).expect("a file can be made not to wait");
        self
    }
}

#[expect(unsafe_code, reason = "there is no safe interface to this ioctl")]
fn make_device(file: &File, name: &str, kind: Kind) {
    /// `TUNSETIFF` of `linux/if_tun.h`; it wants a `struct ifreq`: a name of up to 15 bytes, flags,
    /// and room for other requests.
    const TUNSETIFF: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<i32>(b'T', 202);
    let mut request = [0_u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&(kind as u16).to_ne_bytes());
    // SAFETY: the opcode reads, and may write, no more than the 40 bytes of a `struct ifreq`.
    unsafe { ioctl(file, Setter::<TUNSETIFF, [u8; 40]>::new(request)) }.expect("a new device");
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
