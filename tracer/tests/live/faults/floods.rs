//! Connections that are opened and reset as fast as the machine can, and those that nobody answers:
//! all are told, and memory stays bounded.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::{DEFAULT, count};
use crate::{
    assert_nothing_lost, assert_shows,
    netns::{HERE, Namespace},
    server::Server,
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

const RESETS: usize = 6_000;
/// Connections that say so much of a head at a time.
const BURST: usize = 400;
const HEAD: usize = 60_000;
/// Nobody answers them.
const HALF_OPEN: usize = 3_000;

/// Memory of a process that is not shared, as the ring is, in MiB.
fn memory(tracer: &Tracer) -> u64 {
    let status = format!("/proc/{}/status", tracer.pid().as_raw_pid());
    let status = fs::read_to_string(status).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("it has memory") >> 10
}

/// Opens a connection, says half a sentence, and resets it (`SO_LINGER` of 0, tcp(7)).
fn reset(server: SocketAddr) {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.write_all(b"GET /never HTTP/1.1\r\n").expect("a beginning");
    rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO))
        .expect("SO_LINGER can be set");
}

#[test]
fn connections_opened_and_reset_are_all_told_and_take_no_memory() {
    let namespace = Namespace::new();
    let tracer = Tracer::start(&namespace, DEFAULT);
    let before = memory(&tracer);
    let listener = namespace.run(|| TcpListener::bind(("127.0.0.1", crate::server::PORT)));
    let listener = listener.expect("the port is free");
    let address = listener.local_addr().expect("it is bound");
    // Those that are accepted may have been reset already.
    thread::spawn(move || listener.incoming().take(RESETS).for_each(drop));
    let begin = Instant::now();
    namespace.run(|| (0..RESETS).for_each(|_| reset(address)));
    let rate = RESETS as f64 / begin.elapsed().as_secs_f64();
    wait_for("all to be told", || (tracer.times_told("tcp.close") == RESETS).then_some(()));
    let after = memory(&tracer);
    println!("{rate:.0} connections a second, from {before} to {after} MiB");
    let events = tracer.interrupt().events();
    assert_nothing_lost(&events);
    let all = |kind| events.iter().filter(move |event| event.kind() == kind);
    assert_eq!(all("tcp.open").count(), RESETS);
    assert_eq!(count(&events, "connections"), RESETS as u64);
    // The listener's side resets those that it closes with something unread, too.
    let ends = all("tcp.close").filter(|e| e.text("how") == Some("rst"));
    assert_eq!(ends.count(), RESETS);
    // A connection of which something is kept takes more than a KiB.
    assert!(after < before + 6, "from {before} to {after} MiB");
}

/// Opens a connection, and says the beginning of a head that has no end yet.
fn begin_a_long_head(server: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    let head = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD));
    stream.write_all(head.as_bytes()).expect("there is room for it");
    stream
}

#[test]
fn memory_of_a_burst_is_given_back_although_somebody_who_came_late_stays() {
    let namespace = Namespace::new();
    // Nobody accepts: the kernel takes what is said.
    let listener = namespace.run(|| {
        let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
        let listener = socket_with(AddressFamily::INET, kind, flags, None)?;
        rustix::net::bind(&listener, &SocketAddr::from(([127, 0, 0, 1], crate::server::PORT)))?;
        rustix::net::listen(&listener, 2 * BURST as i32)?;
        Ok::<_, rustix::io::Errno>(TcpListener::from(listener))
    });
    let listener = listener.expect("the port is free");
    let address = listener.local_addr().expect("it is bound");
    let tracer = Tracer::start(&namespace, DEFAULT);
    let before = memory(&tracer);
    let burst: Vec<_> = namespace.run(|| (0..BURST).map(|_| begin_a_long_head(address)).collect());
    let late = namespace.run(|| begin_a_long_head(address));
    let in_the_burst = wait_for("the heads to be held", || {
        Some(memory(&tracer)).filter(|memory| *memory > before + ((BURST * HEAD) >> 20) as u64)
    });
    drop(burst);
    drop(listener);
    // It is when less than a quarter is held, which then stays.
    wait_for("memory to be given back", || {
        (memory(&tracer) < before + (in_the_burst - before) / 2).then_some(())
    });
    drop(late);
}

#[test]
fn syns_that_nobody_answers_displace_only_each_other() {
    let here = Namespace::new();
    let there = here.connect("veth0");
    let options = [DEFAULT, &["--max-half-open", "100"]].concat();
    let tracer = Tracer::start(&here, &options);
    // Nobody has this address, and nobody is asked who has.
    here.ip("neighbor add 10.77.0.9 lladdr 02:00:00:00:00:09 dev veth0");
    let nobody: SocketAddr = "10.77.0.9:7272".parse().expect("an address");
    here.run(|| (0..HALF_OPEN).for_each(|_| begin_to_connect(nobody)));
    let said = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
    let finished = tracer.interrupt();
    let events = finished.events();
    // One that has the port of another that is remembered displaces none.
    assert!(count(&events, "forgotten_syns") > HALF_OPEN as u64 / 2, "{}", finished.stderr);
    assert_shows(&finished, said);
}

/// Sends a SYN and does not wait.
fn begin_to_connect(address: SocketAddr) {
    let (kind, flags) = (SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC);
    let socket = socket_with(AddressFamily::INET, kind, flags, None).expect("a socket");
    let begun = connect(&socket, &address);
    assert_eq!(begun, Err(rustix::io::Errno::INPROGRESS));
}
