//! Figures out of rounds: medians over all rounds of an observer under a load, each compared with
//! the rounds next to it in which nobody watched.

use super::{
    classifier::Runs,
    load::{LOADS, Load},
    observer::{NOBODY, OBSERVERS, Observer},
    round::Round,
    statistics::{Spread, median, quantiles},
};

/// What an observer came to under a load.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub(super) load: &'static Load,
    pub(super) observer: &'static Observer,
    pub(super) rounds: usize,
    /// Messages a second.
    pub(super) rate: f64,
    /// Bytes of payload a second.
    pub(super) bytes_rate: f64,
    /// Throughput over that of the rounds next to it without an observer.
    pub(super) retained: Option<Spread>,
    /// CPU time of everything over that of these rounds, each per message or byte.
    pub(super) cost: Option<Spread>,
    pub(super) parts: Parts,
    pub(super) lost: Lost,
    /// Messages that it showed, and that there were; `None` where it does not show messages.
    pub(super) shown: Option<(u64, u64)>,
    /// Broken rules that it claims; there are none.
    pub(super) violations: u64,
    pub(super) memory_kib: u64,
    pub(super) wakeups: f64,
    /// How long it worked on after the load; infinite when it never caught up.
    pub(super) behind_ms: f64,
    /// Whether clients and server have counted the same, in every round.
    pub(super) ends_agree: bool,
}

/// CPU time, medians in microseconds a message, or a megabyte of streams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    /// Of the machine, but for idle time.
    pub(super) all: f64,
    pub(super) service_user: f64,
    pub(super) service_system: f64,
    pub(super) observer_user: f64,
    pub(super) observer_system: f64,
}

/// What the kernel dropped before an observer got it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lost {
    /// It does not say.
    Unknown,
    /// Of all that there was.
    Share(f64),
}

/// All figures, by load and then by observer.
pub(super) fn of(rounds: &[Round]) -> Vec<Figures> {
    let pairs = LOADS.iter().flat_map(|load| OBSERVERS.iter().map(move |it| (load, it)));
    pairs.filter_map(|(load, observer)| Figures::of(rounds, load, observer)).collect()
}

impl Figures {
    /// `None` when there are no rounds of it.
    fn of(rounds: &[Round], load: &'static Load, observer: &'static Observer) -> Option<Self> {
        let of_load: Vec<_> = rounds
            .iter()
            .filter(|round| round.load == load.name && round.classifier.is_none())
            .collect();
        let places: Vec<_> =
            (0..of_load.len()).filter(|&n| of_load[n].observer == observer.name).collect();
        let ours: Vec<_> = places.iter().map(|&n| of_load[n]).collect();
        let compared = |figure: &dyn Fn(&Round) -> f64| {
            let ratios = places.iter().filter_map(|&place| ratio(&of_load, place, figure));
            (observer.name != NOBODY).then(|| Spread::of(ratios))?
        };
        Some(Self {
            load,
            observer,
            rounds: ours.len(),
            rate: median(ours.iter().map(|round| rate(round)))?,
            bytes_rate: median(ours.iter().map(|round| bytes_rate(round)))?,
            retained: compared(&rate),
            cost: compared(&|round| used_ms(round) / units(load, round)),
            parts: Parts::of(load, &ours),
            lost: Lost::of(&ours),
            shown: shown(load, observer, &ours),
            violations: ours.iter().filter_map(|round| round.account.violations).sum(),
            memory_kib: ours.iter().map(|round| round.observer_memory_kib).max()?,
            wakeups: median(ours.iter().map(|round| wakeups(round)))?,
            behind_ms: median(ours.iter().map(|round| behind_ms(round)))?,
            ends_agree: ours.iter().all(|round| ends_agree(round)),
        })
    }
}

impl Parts {
    fn of(load: &Load, rounds: &[&Round]) -> Self {
        let micros = |figure: &dyn Fn(&Round) -> f64| {
            let per_unit = rounds.iter().map(|round| figure(round) * 1e3 / units(load, round));
            median(per_unit).unwrap_or(0.0)
        };
        let service_user = |r: &Round| (r.server_cpu.user_ms + r.clients_cpu.user_ms) as f64;
        let service_system = |r: &Round| (r.server_cpu.system_ms + r.clients_cpu.system_ms) as f64;
        Self {
            all: micros(&used_ms),
            service_user: micros(&service_user),
            service_system: micros(&service_system),
            observer_user: micros(&|r| {
                (r.observer_cpu.user_ms + r.observer_cpu_later.user_ms) as f64
            }),
            observer_system: micros(&|r| {
                (r.observer_cpu.system_ms + r.observer_cpu_later.system_ms) as f64
            }),
        }
    }
}

impl Lost {
    fn of(rounds: &[&Round]) -> Self {
        let sums = rounds.iter().try_fold((0, 0), |(seen, lost), round| {
            Some((seen + round.account.seen?, lost + round.account.lost?))
        });
        match sums {
            None => Self::Unknown,
            Some((_, 0)) => Self::Share(0.0),
            Some((seen, lost)) => Self::Share(lost as f64 / (seen + lost) as f64),
        }
    }
}

/// Messages a second, both ways.
pub(super) fn rate(round: &Round) -> f64 {
    round.clients.window.messages() as f64 / round.clients.seconds
}

fn bytes_rate(round: &Round) -> f64 {
    round.clients.window.bytes as f64 / round.clients.seconds
}

/// CPU time that the measured part has cost, at once and later.
fn used_ms(round: &Round) -> f64 {
    round.busy_ms + round.observer_cpu_later.total_ms()
}

/// What costs are counted by: messages, or megabytes.
fn units(load: &Load, round: &Round) -> f64 {
    let counts = round.clients.window;
    if load.is_stream() { counts.bytes as f64 / 1e6 } else { counts.messages() as f64 }
}

/// A figure over its mean in the rounds before and after in which nobody watched.
fn ratio(of_load: &[&Round], place: usize, figure: &dyn Fn(&Round) -> f64) -> Option<f64> {
    let is_nobody = |round: &&&Round| round.observer == NOBODY;
    let before = of_load[..place].iter().rev().find(is_nobody);
    let after = of_load[place..].iter().find(is_nobody);
    let nobodys: Vec<_> = before.into_iter().chain(after).map(|round| figure(round)).collect();
    let count = nobodys.len() as f64;
    let mean = nobodys.into_iter().sum::<f64>() / count;
    (count > 0.0).then(|| figure(of_load[place]) / mean)
}

fn shown(load: &Load, observer: &Observer, rounds: &[&Round]) -> Option<(u64, u64)> {
    if !observer.counts_messages() {
        return None;
    }
    let shown = rounds.iter().map(|round| round.account.messages.unwrap_or(0)).sum();
    let said = if load.is_watched() {
        rounds.iter().map(|round| round.clients.all.messages()).sum()
    } else {
        0
    };
    Some((shown, said))
}

fn wakeups(round: &Round) -> f64 {
    round.observer_switches as f64 / round.clients.seconds
}

fn behind_ms(round: &Round) -> f64 {
    round.behind_ms.map_or(f64::INFINITY, |behind| behind as f64)
}

fn ends_agree(round: &Round) -> bool {
    let (clients, server) = (round.clients.all, round.server);
    clients.sent == server.received && clients.received == server.sent
}

/// How long it takes from a segment to its line, in microseconds.
pub(super) struct Latency {
    pub(super) load: &'static Load,
    pub(super) observer: &'static Observer,
    pub(super) median: f64,
    pub(super) p99: f64,
    /// Probes that it showed.
    pub(super) shown: usize,
    /// Wake-ups a second in the silence after them.
    pub(super) idle_wakeups: f64,
}

/// Of all rounds with probes.
pub(super) fn latencies(rounds: &[Round]) -> Vec<Latency> {
    rounds.iter().filter_map(latency).collect()
}

fn latency(round: &Round) -> Option<Latency> {
    let load = super::load::PROBES.iter().find(|load| load.name == round.load)?;
    let observer = super::observer::named(&round.observer).ok()?;
    let [median, p99] = quantiles(round.latencies_us.clone(), [0.5, 0.99])?;
    let shown = round.latencies_us.len();
    Some(Latency { load, observer, median, p99, shown, idle_wakeups: wakeups(round) })
}

/// What the classifier took a packet under a load, in nanoseconds.
pub(super) fn classifier(rounds: &[Round]) -> Vec<(&'static Load, Spread)> {
    let per_packet = |load: &'static Load| {
        let runs = rounds.iter().filter(|round| round.load == load.name);
        let runs = runs.filter_map(|round| round.classifier).filter(|runs| runs.count > 0);
        let per_run = |runs: Runs| runs.time_ns as f64 / runs.count as f64;
        Some((load, Spread::of(runs.map(per_run))?))
    };
    LOADS.iter().filter_map(per_packet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        load::{Counts, Report},
        observer::Account,
    };

    fn round(observer: &str, messages: u64, busy_ms: f64) -> Round {
        let window = Counts { sent: messages / 2, received: messages / 2, bytes: 50 * messages };
        let clients = Report { seconds: 0.5, window, all: window };
        let account = Account {
            seen: Some(messages),
            lost: Some(0),
            messages: Some(messages),
            ..Account::default()
        };
        Round {
            load: "echo64".to_owned(),
            observer: observer.to_owned(),
            clients,
            server: window,
            busy_ms,
            behind_ms: Some(0),
            account,
            ..Round::default()
        }
    }

    fn figures(rounds: &[Round], observer: &str) -> Figures {
        of(rounds).into_iter().find(|figures| figures.observer.name == observer).expect("rounds")
    }

    #[test]
    fn a_round_is_compared_with_its_neighbours() {
        let rounds = [
            round("none", 1_000, 100.0),
            round("tracer", 900, 99.0),
            round("none", 1_400, 140.0),
            round("tracer", 700, 105.0),
        ];
        let figures = figures(&rounds, "tracer");
        let retained = figures.retained.expect("neighbours");
        // 900 of (1,000 + 1,400) / 2, and 700 of 1,400.
        assert_eq!((retained.low, retained.high), (0.5625, 0.6875));
        // 0.11 ms a message of 0.1, and 0.15 of 0.1.
        assert!((figures.cost.expect("neighbours").median - 1.3).abs() < 1e-9);
        assert_eq!(figures.rate, 1_600.0);
        assert_eq!(figures.shown, Some((1_600, 1_600)));
        assert_eq!(figures.lost, Lost::Share(0.0));
    }

    #[test]
    fn nobody_is_compared_with_nobody() {
        let figures = figures(&[round("none", 1_000, 100.0)], "none");
        assert_eq!((figures.retained, figures.cost), (None, None));
        assert!((figures.parts.all - 100.0).abs() < 1e-9);
    }

    #[test]
    fn ends_that_do_not_agree_are_found() {
        let mut odd = round("tracer", 1_000, 100.0);
        odd.server.received -= 1;
        odd.account.lost = Some(250);
        let figures = figures(&[odd], "tracer");
        assert!(!figures.ends_agree);
        assert_eq!(figures.lost, Lost::Share(0.2));
    }
}
