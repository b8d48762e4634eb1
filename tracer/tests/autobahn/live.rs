//! The cases of the Autobahn test suite, played over real sockets in a network namespace while the
//! tracer watches on the running kernel. Needs root; without it every test fails and says so.

mod cases;
mod check;
#[path = "../forge/encode.rs"]
mod encode;
mod families;
mod frame;
#[path = "../live/netns.rs"]
#[expect(dead_code, reason = "other live tests need more than loopback")]
mod netns;
#[path = "../observed/mod.rs"]
#[expect(dead_code, reason = "other tests compare conversations as a whole")]
mod observed;
mod peers;
#[path = "../live/tracer.rs"]
#[expect(dead_code, reason = "other live tests end the tracer in other ways")]
mod tracer;

use cases::Case;
use netns::Namespace;
/// The tracer's helper looks for the time-out where the other live tests have their server.
use peers as server;
use tracer::Tracer;

/// Plays a family while the tracer watches, and checks what is printed.
fn agrees(cases: &[Case], count: usize) {
    assert_eq!(cases.len(), count, "cases in the family");
    let namespace = Namespace::new();
    let tracer = Tracer::start(&namespace, &["--port", "7272"]);
    let clients = peers::play(&namespace, cases);
    let events = tracer.interrupt().events();
    let stats = events.last().expect("events");
    assert_eq!((stats.kind(), stats.number("lost")), ("stats", Some(0)), "{stats}");
    check::check(cases, &clients, &events);
}
