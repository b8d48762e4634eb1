//! A socket that stands for journald's.

use std::{io::Read as _, sync::Arc};

use rustix::{
    fs::fcntl_get_seals,
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};
use tempfile::TempDir;

use super::*;
use crate::sink::batch::Batch;

/// journald, as far as we can tell.
struct Fake {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Fake {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let socket = UnixDatagram::bind(directory.path().join("socket")).expect("a socket");
        Self { socket, directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// A datagram's bytes, or those of the file that came with it.
    fn receive(&self) -> (Vec<u8>, Option<SealFlags>) {
        let mut bytes = vec![0; 1 << 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        let received = recvmsg(&self.socket, &mut parts, &mut control, RecvFlags::empty());
        let len = received.expect("a datagram").bytes;
        bytes.truncate(len);
        let Some(RecvAncillaryMessage::ScmRights(mut files)) = control.drain().next() else {
            return (bytes, None);
        };
        assert_eq!(len, 0, "either bytes or a file");
        let mut file = File::from(files.next().expect("a file"));
        assert!(files.next().is_none(), "one file");
        io::Seek::rewind(&mut file).expect("it is in memory");
        file.read_to_end(&mut bytes).expect("it can be read");
        (bytes, Some(fcntl_get_seals(&file).expect("it has seals")))
    }
}

fn portion(events: &[Vec<u8>]) -> Portion {
    let ends = events.iter().scan(0, |end, event| {
        *end += event.len();
        Some(*end)
    });
    let ends = ends.collect();
    Portion::new(Arc::new(Batch::new(events.concat(), ends)), events.len())
}

#[test]
fn each_event_is_a_datagram() {
    let fake = Fake::new();
    let mut journald = Journald::new(&fake.path()).unwrap();
    let events = [b"MESSAGE=one\n".to_vec(), b"MESSAGE=two\n".to_vec()];
    let mut portion = portion(&events);
    while !portion.is_done() {
        journald.write(&mut portion).unwrap();
    }
    let received = events.each_ref().map(|_| fake.receive());
    assert_eq!(received, events.map(|event| (event, None)));
}

#[test]
fn one_that_is_too_large_is_a_sealed_file() {
    let fake = Fake::new();
    let mut journald = Journald::new(&fake.path()).unwrap();
    let large: Vec<u8> = (0..20 << 20).map(|n: u32| (n >> 10) as u8).collect();
    let events = [b"before".to_vec(), large, b"after".to_vec()];
    let mut portion = portion(&events);
    while !portion.is_done() {
        journald.write(&mut portion).unwrap();
    }
    let [before, large, after] = events;
    assert_eq!(fake.receive(), (before, None));
    let (received, seals) = fake.receive();
    assert!(received == large, "{} bytes", received.len());
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    assert_eq!(seals, Some(all), "journald takes no other");
    assert_eq!(fake.receive(), (after, None));
}

#[test]
fn journald_may_be_started_anew() {
    let fake = Fake::new();
    let mut journald = Journald::new(&fake.path()).unwrap();
    let mut portion = portion(&[b"one".to_vec(), b"two".to_vec()]);
    journald.write(&mut portion).unwrap();
    assert_eq!(fake.receive().0, b"one");
    let Fake { socket, directory } = fake;
    drop(socket);
    let failed = journald.write(&mut portion).unwrap_err();
    assert_eq!(failed.kind(), io::ErrorKind::ConnectionRefused);
    std::fs::remove_file(directory.path().join("socket")).unwrap();
    let socket = UnixDatagram::bind(directory.path().join("socket")).unwrap();
    journald.write(&mut portion).unwrap();
    assert_eq!(Fake { socket, directory }.receive().0, b"two");
}
