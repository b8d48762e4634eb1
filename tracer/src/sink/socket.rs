//! A collector that listens on a UNIX or TCP stream socket: connected to when there is something to
//! write, and again when the connection has broken, beginning with a whole event.

use std::{
    io::{self, Write as _},
    net::{Shutdown, TcpStream, ToSocketAddrs as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, recv, sockopt},
};

use super::{batch::Portion, worker::Place};

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A silent host is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// What a collector may say between two writes: one that says more is not listened to for ever.
const MAX_HEARD: usize = 1 << 20;

/// Where it listens.
pub(super) enum Address {
    Unix(PathBuf),
    /// Host and port; the host's name is looked up with each connection.
    Tcp(String),
}

/// The collector.
pub(super) struct Collector {
    address: Address,
    connection: Option<Connection>,
}

enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Collector {
    pub(super) fn new(address: Address) -> Self {
        Self { address, connection: None }
    }

    /// The connection, which is made if there is none.
    fn connection(&mut self) -> io::Result<&mut Connection> {
        if self.connection.as_mut().is_some_and(Connection::is_over) {
            self.connection = None;
            return Err(io::Error::other("the collector has closed the connection"));
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(Connection::new(&self.address)?)),
        }
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.connection()?.write(bytes)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }
}

impl Place for Collector {
    fn write(&mut self, portion: &mut Portion) -> io::Result<()> {
        match self.write_some(portion.rest()) {
            Ok(count) => portion.advance(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.connection = None;
                // The next connection begins with a whole event.
                portion.rewind();
                return Err(error);
            }
        }
        Ok(())
    }

    /// A connection that is closed while something sent to us is unread is reset, and then what is on
    /// its way may be lost.
    fn finish(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.is_over();
            // Nothing can be done any more where this fails.
            connection.end().ok();
        }
    }
}

impl Connection {
    fn new(address: &Address) -> io::Result<Self> {
        match address {
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Address::Tcp(address) => connect(address).map(Self::Tcp),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn end(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Whether the collector has closed it, as far as is known: the first write after that would still
    /// succeed, and be lost. What a collector says is of no interest.
    fn is_over(&mut self) -> bool {
        let mut heard = [0; 4096];
        for _ in 0..MAX_HEARD / heard.len() {
            let received = match self {
                Self::Unix(stream) => recv(stream, &mut heard, RecvFlags::DONTWAIT),
                Self::Tcp(stream) => recv(stream, &mut heard, RecvFlags::DONTWAIT),
            };
            match received {
                Ok((_, 0)) => return true,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                Err(_) => return true,
            }
        }
        false
    }
}

/// Connects to the first of a host's addresses that answers.
fn connect(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                sockopt::set_socket_keepalive(&stream, true)?;
                sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests;
