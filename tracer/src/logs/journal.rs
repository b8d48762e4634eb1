//! Sentences as entries of the journal: `<4>` and the sentence go in, as one write; a datagram for journald
//! comes out (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>). A journald that does not take any holds nobody up
//! for long: whoever is to heed signals says something now and then.

use std::{
    env, fs, io,
    os::{linux::fs::MetadataExt as _, unix::net::UnixDatagram},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{SendFlags, SocketAddrUnix, sendto},
};

/// Where journald listens (systemd-journald.service(8)).
const PATH: &str = "/run/systemd/journal/socket";
/// How long one that is stuck is waited for; after that, not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// What fits into a datagram for sure.
const LONGEST: usize = 64 << 10;

/// What every entry has. The last tells our own sentences from events, which may go there as well.
const FIELDS: &str = "SYSLOG_IDENTIFIER=tracer\nTRACER_LOG=1\n";

/// The way to journald.
pub(super) struct Journal {
    socket: UnixDatagram,
    address: SocketAddrUnix,
    is_stuck: AtomicBool,
}

impl Journal {
    /// Fails where there is none.
    pub(super) fn connect() -> io::Result<Self> {
        fs::metadata(PATH)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, address: SocketAddrUnix::new(PATH)?, is_stuck: AtomicBool::new(false) })
    }

    /// Whether stderr leads there already (`JOURNAL_STREAM` of systemd.exec(5)).
    pub(super) fn is_stderr() -> bool {
        let Ok(stderr) = fs::metadata("/proc/self/fd/2") else { return false };
        env::var("JOURNAL_STREAM")
            .is_ok_and(|stream| stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino()))
    }

    fn send(&self, entry: &[u8]) -> Result<(), Errno> {
        let patience =
            if self.is_stuck.load(Relaxed) { SendFlags::DONTWAIT } else { SendFlags::empty() };
        let sent = sendto(&self.socket, entry, patience | SendFlags::NOSIGNAL, &self.address);
        self.is_stuck.store(sent == Err(Errno::AGAIN), Relaxed);
        sent.map(drop)
    }
}

impl io::Write for &Journal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(&entry(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sentence may have several lines, so its length is told.
fn entry(bytes: &[u8]) -> Vec<u8> {
    let (priority, sentence) = match bytes {
        [b'<', priority, b'>', sentence @ ..] => (*priority, sentence),
        sentence => (b'6', sentence),
    };
    let sentence = &sentence[..sentence.len().min(LONGEST)];
    let mut entry = FIELDS.as_bytes().to_vec();
    entry.extend([b"PRIORITY=".as_slice(), &[priority], b"\nMESSAGE\n"].concat());
    entry.extend((sentence.len() as u64).to_le_bytes());
    entry.extend(sentence);
    entry.push(b'\n');
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_priority_and_all_lines() {
        let expected = b"SYSLOG_IDENTIFIER=tracer\nTRACER_LOG=1\nPRIORITY=4\n\
            MESSAGE\n\x07\0\0\0\0\0\0\0one\ntwo\n";
        assert_eq!(entry(b"<4>one\ntwo"), expected);
        assert!(entry(b"plain").ends_with(b"PRIORITY=6\nMESSAGE\n\x05\0\0\0\0\0\0\0plain\n"));
        assert!(entry(&[b'x'; LONGEST + 1]).len() < LONGEST + 100);
    }

    #[test]
    fn a_journald_that_is_stuck_is_waited_for_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let _reads_nothing = UnixDatagram::bind(&path).expect("a socket");
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.set_write_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let address = SocketAddrUnix::new(path).expect("a path");
        let journal = Journal { socket, address, is_stuck: AtomicBool::new(false) };
        while journal.send(b"x").is_ok() {}
        assert!(journal.is_stuck.load(Relaxed));
        assert_eq!(journal.send(b"x"), Err(Errno::AGAIN));
    }
}
