//! Collectors that come, go and listen again.

use std::{io::Read as _, net::TcpListener, os::unix::net::UnixListener, thread};

use super::*;
use crate::sink::batch::of_lengths;

/// A collector on a host, and our end.
fn pair() -> (TcpListener, Collector) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    (listener, Collector::new(Address::Tcp(address)))
}

fn write_all(collector: &mut Collector, portion: &mut Portion) {
    while !portion.is_done() {
        collector.write(portion).expect("the collector is there");
    }
}

fn read_all(mut stream: impl io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an end");
    bytes
}

#[test]
fn both_kinds_of_sockets_get_everything() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("socket");
    let unix = UnixListener::bind(&path).expect("a socket");
    let (tcp, mut to_tcp) = pair();
    let mut to_unix = Collector::new(Address::Unix(path));
    let reading = [
        thread::spawn(move || read_all(unix.accept().unwrap().0)),
        thread::spawn(move || read_all(tcp.accept().unwrap().0)),
    ];
    for collector in [&mut to_unix, &mut to_tcp] {
        write_all(collector, &mut Portion::new(of_lengths(&[1 << 20, 3, 1 << 20]), 3));
        collector.finish();
    }
    let expected = Portion::new(of_lengths(&[1 << 20, 3, 1 << 20]), 3).rest().to_vec();
    for thread in reading {
        assert!(thread.join().unwrap() == expected);
    }
}

#[test]
fn nobody_need_listen_yet() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("socket");
    let mut collector = Collector::new(Address::Unix(path.clone()));
    let mut portion = Portion::new(of_lengths(&[3, 4]), 2);
    assert_eq!(collector.write(&mut portion).unwrap_err().kind(), io::ErrorKind::NotFound);
    let listener = UnixListener::bind(path).expect("a socket");
    write_all(&mut collector, &mut portion);
    drop(collector);
    assert_eq!(read_all(listener.accept().unwrap().0).len(), 7);
}

#[test]
fn a_collector_that_has_gone_in_silence_costs_nothing() {
    let (listener, mut collector) = pair();
    let mut portion = Portion::new(of_lengths(&[3, 4, 5]), 3);
    // All of the first event.
    let first = portion.event().len();
    collector.write_some(&portion.rest()[..first]).unwrap();
    portion.advance(first);
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.read_exact(&mut [0; 3]).unwrap();
    drop(accepted);
    // The FIN may be on its way.
    while !collector.connection.as_mut().unwrap().is_over() {
        thread::yield_now();
    }
    let told = collector.write(&mut portion).unwrap_err().to_string();
    assert!(told.contains("closed the connection"), "{told}");
    write_all(&mut collector, &mut portion);
    collector.finish();
    assert_eq!(read_all(listener.accept().unwrap().0), (3..12).collect::<Vec<u8>>());
}

#[test]
fn a_new_connection_begins_with_a_whole_event() {
    let (listener, mut collector) = pair();
    // More than both sockets' buffers hold.
    let mut portion = Portion::new(of_lengths(&[10, 32 << 20, 10]), 3);
    let resetting = thread::spawn(move || {
        let (mut accepted, _) = listener.accept().unwrap();
        accepted.read_exact(&mut [0; 4096]).unwrap();
        // What is unread makes it a reset, in the midst of our write.
        drop(accepted);
        listener
    });
    let error = loop {
        if let Err(error) = collector.write(&mut portion) {
            break error;
        }
        assert!(!portion.is_done());
    };
    assert!(collector.connection.is_none(), "{error}");
    assert_eq!((portion.rest().len(), portion.left().events), ((32 << 20) + 10, 2), "{error}");
    let listener = resetting.join().unwrap();
    let reading = thread::spawn(move || read_all(listener.accept().unwrap().0).len());
    write_all(&mut collector, &mut portion);
    collector.finish();
    assert_eq!(reading.join().unwrap(), (32 << 20) + 10);
}

#[test]
fn what_a_collector_says_is_not_listened_to() {
    let (listener, mut collector) = pair();
    let mut portion = Portion::new(of_lengths(&[3, 4]), 2);
    collector.write_some(&portion.rest()[..3]).unwrap();
    portion.advance(3);
    let (mut accepted, _) = listener.accept().unwrap();
    // More than is heard at a time.
    accepted.write_all(&[b'!'; 50_000]).unwrap();
    write_all(&mut collector, &mut portion);
    collector.finish();
    drop(collector);
    assert_eq!(read_all(accepted), (0..7).collect::<Vec<u8>>());
}
