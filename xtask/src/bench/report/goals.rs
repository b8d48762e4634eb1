//! What is to be reached, and what was: one line a goal.

use super::{Table, lost};
use crate::bench::{
    figures::{self, Figures, Latency, Lost},
    load::{LOADS, Load},
    observer::{LIBPCAP, TRACER},
    offline::Offline,
    results::Results,
};

const META: &str = "tracer-meta";
const WRITER: &str = "tcpdump-w";

/// The limits.
const RETAINED: f64 = 0.92;
const OF_WRITER: f64 = 1.0 / 2.0;
const OF_LIBPCAP: f64 = 1.0 / 3.0;
const STREAM_COST: f64 = 1.10;
const META_COST: f64 = 1.03;
const MANY: f64 = 0.90;
const IDLE_KIB: f64 = 1.5;
const UNWATCHED: f64 = 0.99;
const SMALL_RATE: f64 = 2e6;
const LARGE_RATE: f64 = 3e9;
const OF_TSHARK: f64 = 100.0;
const MEDIAN_US: f64 = 1_000.0;
const P99_US: f64 = 10_000.0;

/// One goal.
struct Goal {
    what: String,
    wanted: String,
    /// `None`: it was not measured.
    measured: Option<(String, bool)>,
}

/// All goals.
pub(super) fn table(results: &Results, figures: &[Figures]) -> Table {
    let all = Figuring { figures };
    let mut goals = all.echoes();
    goals.extend(LOADS.iter().filter(|load| load.is_stream()).flat_map(|load| all.stream(load)));
    goals.extend([all.many(), all.memory(), all.unwatched(), all.nothing_lost()]);
    goals.extend(offline(&results.offline));
    goals.extend(idle(&figures::latencies(&results.rounds)));
    let mut table = Table::new(&["what", "to reach", "measured", "reached"]);
    for Goal { what, wanted, measured } in goals {
        let (measured, reached) = match measured {
            Some((measured, true)) => (measured, "yes"),
            Some((measured, false)) => (measured, "**no**"),
            None => ("not measured".to_owned(), ""),
        };
        table.row([what, wanted, measured, reached.to_owned()]);
    }
    table
}

struct Figuring<'a> {
    figures: &'a [Figures],
}

impl Figuring<'_> {
    fn of(&self, load: &str, observer: &str) -> Option<&Figures> {
        self.figures.iter().find(|it| it.load.name == load && it.observer.name == observer)
    }

    fn retained(&self, load: &str, observer: &str) -> Option<f64> {
        Some(self.of(load, observer)?.retained?.median)
    }

    fn cost(&self, load: &str, observer: &str) -> Option<f64> {
        Some(self.of(load, observer)?.cost?.median)
    }

    fn echoes(&self) -> Vec<Goal> {
        let ours = self.retained("echo64", TRACER);
        let part_of = |other: &str| {
            let (ours, theirs) = (1.0 - ours?, 1.0 - self.retained("echo64", other)?);
            Some((format!("{:.1}% of {:.1}%", ours * 100.0, theirs * 100.0), ours / theirs))
        };
        let slower = |other: &str, part: &str, limit: f64| Goal {
            what: format!("echo64: what JSON takes from the service, against `{other}`"),
            wanted: format!("at most {part}"),
            measured: part_of(other).map(|(text, ratio)| (text, ratio <= limit)),
        };
        vec![
            Goal {
                what: "echo64: retained with JSON".to_owned(),
                wanted: format!("≥ {RETAINED}"),
                measured: ours.map(|ours| (format!("{ours:.3}"), ours >= RETAINED)),
            },
            slower(WRITER, "a half", OF_WRITER),
            slower(LIBPCAP, "a third", OF_LIBPCAP),
        ]
    }

    fn stream(&self, load: &Load) -> [Goal; 2] {
        let name = load.name;
        let cost = self.cost(name, TRACER).zip(self.cost(name, WRITER));
        let meta = self.cost(name, META);
        let rate = self.of(name, TRACER).map_or(0.0, |figures| figures.bytes_rate / 1e9);
        [
            Goal {
                what: format!("{name}: CPU per MB, over none"),
                wanted: format!("≤ {STREAM_COST:.2}, and below `{WRITER}`"),
                measured: cost.map(|(ours, theirs)| {
                    let text = format!("{ours:.2}, `{WRITER}` {theirs:.2}, at {rate:.1} GB/s");
                    (text, ours <= STREAM_COST && ours < theirs)
                }),
            },
            Goal {
                what: format!("{name}: the same with `--payload-limit 0`"),
                wanted: format!("≤ {META_COST}"),
                measured: meta.map(|meta| (format!("{meta:.2}"), meta <= META_COST)),
            },
        ]
    }

    fn many(&self) -> Goal {
        let events = |load: &str| {
            let parts = self.of(load, TRACER)?.parts;
            Some(1e6 / (parts.observer_user + parts.observer_system))
        };
        let both = events("many").zip(events("echo64"));
        Goal {
            what: "10,000 connections: events per second of the tracer's CPU, over 64's".to_owned(),
            wanted: format!("≥ {MANY:.2}"),
            measured: both.map(|(many, few)| {
                let ratio = many / few;
                (format!("{ratio:.2} ({:.0}k, {:.0}k)", many / 1e3, few / 1e3), ratio >= MANY)
            }),
        }
    }

    fn memory(&self) -> Goal {
        let peak = |load: &str| Some(self.of(load, TRACER)?.memory_kib as f64);
        let connections = |load: &str| {
            LOADS.iter().find(|it| it.name == load).map_or(0.0, |load| load.connections as f64)
        };
        let more = connections("many") - connections("echo64");
        let both = peak("many").zip(peak("echo64"));
        Goal {
            what: "10,000 connections: peak memory for each beyond 64".to_owned(),
            wanted: format!("≤ {IDLE_KIB} KiB"),
            measured: both.map(|(many, few)| {
                let each = (many - few) / more;
                (format!("{each:.2} KiB"), each <= IDLE_KIB)
            }),
        }
    }

    fn unwatched(&self) -> Goal {
        let retained = self.retained("other-port", TRACER);
        Goal {
            what: "another port: retained".to_owned(),
            wanted: format!("≥ {UNWATCHED}"),
            measured: retained.map(|retained| (format!("{retained:.3}"), retained >= UNWATCHED)),
        }
    }

    /// Nothing is bought by dropping what is to be seen. What libpcap loses is in the tables.
    fn nothing_lost(&self) -> Goal {
        let is_ours = |name: &str| name.starts_with(TRACER) && name != "tracer-libpcap";
        let ours = self.figures.iter().filter(|it| is_ours(it.observer.name));
        let (losers, all): (Vec<_>, usize) = ours.fold((Vec::new(), 0), |(mut losers, all), it| {
            let lacks = it.shown.is_some_and(|(shown, said)| shown != said);
            if it.lost != Lost::Share(0.0) || lacks {
                losers.push(format!(
                    "{} under {}: {}",
                    it.observer.name,
                    it.load.name,
                    lost(it.lost)
                ));
            }
            (losers, all + 1)
        });
        let text = if losers.is_empty() { "nothing".to_owned() } else { losers.join("; ") };
        Goal {
            what: "lost by the tracer, every load".to_owned(),
            wanted: "nothing, every message shown".to_owned(),
            measured: (all > 0).then_some((text, losers.is_empty())),
        }
    }
}

fn offline(offline: &[Offline]) -> [Goal; 3] {
    let of = |part: &str, is_small: bool| {
        offline.iter().find(|it| it.command.starts_with(part) && is_small == (it.length() < 1_000))
    };
    let small = of("tracer --format json --read", true);
    let large = of("tracer --format json --payload-limit 0", false);
    let tshark = of("tshark", true);
    let rate = |it: &Offline| it.messages as f64 / it.seconds;
    [
        Goal {
            what: "file of 100-byte messages to JSON".to_owned(),
            wanted: "≥ 2 million a second".to_owned(),
            measured: small
                .map(|it| (format!("{:.2} million", rate(it) / 1e6), rate(it) >= SMALL_RATE)),
        },
        Goal {
            what: "file of 64 KiB messages, `--payload-limit 0`".to_owned(),
            wanted: "≥ 3 GB/s".to_owned(),
            measured: large.map(|it| {
                let rate = it.bytes as f64 / it.seconds;
                (format!("{:.2} GB/s", rate / 1e9), rate >= LARGE_RATE)
            }),
        },
        Goal {
            what: "file of 100-byte messages, against tshark".to_owned(),
            wanted: "≥ 100 ×".to_owned(),
            measured: small.zip(tshark).map(|(ours, theirs)| {
                let ratio = rate(ours) / rate(theirs);
                (format!("{ratio:.0} ×"), ratio >= OF_TSHARK)
            }),
        },
    ]
}

fn idle(latencies: &[Latency]) -> [Goal; 2] {
    let ours =
        latencies.iter().find(|it| it.load.name == "probe-idle" && it.observer.name == TRACER);
    [
        Goal {
            what: "idle: wake-ups a second".to_owned(),
            wanted: "none".to_owned(),
            measured: ours.map(|it| (format!("{:.1}", it.idle_wakeups), it.idle_wakeups == 0.0)),
        },
        Goal {
            what: "idle: from the first segment to its line".to_owned(),
            wanted: "≤ 1 ms at the median, ≤ 10 ms at p99".to_owned(),
            measured: ours.map(|it| {
                let text = format!("{:.2} ms, {:.2} ms", it.median / 1e3, it.p99 / 1e3);
                (text, it.median <= MEDIAN_US && it.p99 <= P99_US)
            }),
        },
    ]
}
