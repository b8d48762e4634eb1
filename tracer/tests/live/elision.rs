//! Long messages of which only the beginning is shown: what stays in the kernel makes no difference.

use crate::{
    client::{Client, Say},
    netns::Namespace,
    observed::Event,
    server::Server,
    tracer::{Finished, Tracer},
};

/// What is told, without what differs from run to run, and what the kernel left out.
fn told(finished: &Finished) -> (Vec<String>, u64) {
    let mut events = finished.events();
    let stats = events.pop().expect("the last event is of the end");
    assert_eq!(stats.number("lost"), Some(0), "{stats}");
    // Two classifiers may see segments of two CPUs in two orders: compare by sender.
    events.remove(0);
    events.sort_by_key(|event| event.text("from").map(str::to_owned));
    let lines = events.iter().map(Event::without_time).collect();
    (lines, stats.number("elided_bytes").unwrap_or_default())
}

#[test]
fn what_stays_in_the_kernel_makes_no_difference() {
    for limit in ["0", "4096"] {
        let namespace = Namespace::new();
        let server = Server::start(&namespace, "127.0.0.1", 1);
        let eliding = Tracer::start(&namespace, &["--port", "7272", "--payload-limit", limit]);
        let whole = ["--port", "7272", "--payload-limit", limit, "--snaplen", "10000000"];
        let copying = Tracer::start(&namespace, &whole);
        let mut client = Client::connect(&namespace, server.address());
        for n in 0..300 {
            client.say(Say::binary(n, 100_000 + n * 1000));
            client.say(Say::text(n, 50));
            client.say(Say::binary(n, 300_000).in_fragments(3));
            client.say(Say::text(n, 70_000));
            client.say(Say::binary(n, 5));
        }
        client.close();
        server.logs();
        let (eliding, copying) = (told(&eliding.interrupt()), told(&copying.interrupt()));
        for (elided, copied) in eliding.0.iter().zip(&copying.0) {
            assert_eq!(elided, copied);
        }
        assert_eq!(eliding.0.len(), copying.0.len());
        eprintln!("{limit}: {} and {} bytes left out", eliding.1, copying.1);
        assert!(eliding.1 > 50_000_000 && copying.1 == 0);
    }
}
