//! SIGKILL at random moments: the service does not notice, and the next tracer has everything.

use std::{
    env,
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use rustix::process::Signal;

use super::{spawned::Spawned, ways};
use crate::{
    assert_nothing_lost,
    attached::{attached, is_one_set},
    client::{Client, Say},
    log::{Log, conversations},
    netns::{HERE, Namespace},
    observed::{self, assert_same},
    server::Server,
    tracer::Tracer,
    traffic::small,
};

const KILLS: u32 = 5;

/// Times that nobody has chosen (splitmix64). `TRACER_SEED` repeats a run.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos() as u64);
        let seed = env::var("TRACER_SEED").map_or(now, |seed| seed.parse().expect("a number"));
        println!("TRACER_SEED={seed}");
        Self(seed)
    }

    /// One from now up to `most` later.
    fn next(&mut self, most: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        most.mul_f64((mixed >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// How long a start takes here, so that half of the kills come before its end.
fn time_of_a_start(namespace: &Namespace, options: &[&str]) -> Duration {
    let begin = Instant::now();
    Tracer::start(namespace, options).kill();
    begin.elapsed()
}

/// What was noted after the first items of another log of the same connection.
fn after(all: &Log, earlier: &Log) -> Log {
    let mut rest = all.clone();
    rest.said.c2s.drain(..earlier.said.c2s.len());
    rest.said.s2c.drain(..earlier.said.s2c.len());
    rest
}

#[test]
fn killed_at_any_moment_the_next_tracer_has_everything_and_the_service_does_not_notice() {
    let mut moments = Moments::new();
    for options in ways() {
        let here = Namespace::new();
        let there = here.connect("veth0");
        let server = Server::start(&here, HERE[0], 1);
        let mut client = Client::connect(&there, server.address());
        let most = time_of_a_start(&here, options) * 2;
        for n in 0..KILLS {
            let tracer = Spawned::start(&here, options, Stdio::null());
            let (begin, moment) = (Instant::now(), moments.next(most));
            println!("{options:?}: killed after {moment:?} of {most:?}");
            while begin.elapsed() < moment {
                client.say(Say::text(n as usize, 200));
            }
            tracer.signal(Signal::KILL);
            tracer.wait();
        }
        let earlier = client.log().clone();
        let tracer = Tracer::start(&here, options);
        let set = attached(&here);
        assert!(is_one_set(&set) && set.iter().any(|c| c.0 == "veth0"), "{set:?}");
        client.say(Say::text(1, 30));
        small(&mut client);
        let all = client.close();
        assert_same(&conversations(server.logs()), &conversations([all.clone()]));
        let events = tracer.interrupt().events();
        assert_same(&conversations([after(&all, &earlier)]), &observed::conversations(&events));
        assert_nothing_lost(&events);
        assert_eq!(attached(&here), []);
    }
}
