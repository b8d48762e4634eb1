//! The rounds of a run: which are played and in which order. Specifications come out of options,
//! results go out as they come.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::{
    classifier::Statistics,
    figures::rate,
    load::{LOADS, Load, PROBES, named},
    observer::{LIBPCAP, NOBODY, OBSERVERS, Observer, Program, TRACER, named as observer_named},
    offline,
    results::Item,
    round::{Round, Spec},
};

/// How long the silence is in which wake-ups are counted.
const SILENCE: f64 = 5.0;

/// How often tshark takes part at most: it needs ten times as long as what it watches.
const TSHARK_ROUNDS: u32 = 3;

/// How often the classifier is measured.
const STATISTICS_ROUNDS: u32 = 3;

/// Where the classifier is measured.
const STATISTICS_LOADS: [&str; 3] = ["echo64", "stream-64k-1", "other-port"];

/// What is to be played.
#[derive(Clone, Debug, Args)]
pub(crate) struct Choice {
    /// How often each observer watches each load
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rounds: u32,

    /// How long the measured part of a round is
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    pub(super) seconds: f64,

    /// The loads, repeatable or comma-separated [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = named)]
    pub(super) load: Vec<&'static Load>,

    /// The observers, likewise; nobody is always among them [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = observer_named)]
    pub(super) observer: Vec<&'static Observer>,

    /// Only throughput: not the time to a line, the classifier alone, or capture files
    #[arg(long)]
    pub(super) only_throughput: bool,
}

/// The program under test.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Tracer {
    /// The tracer's program
    #[arg(long)]
    pub(super) tracer: PathBuf,

    /// Whether it can capture with libpcap too
    #[arg(long)]
    pub(super) with_libpcap: bool,
}

impl Choice {
    /// As they are typed.
    pub(super) fn to_arguments(&self) -> Vec<String> {
        let Self { rounds, seconds, load, observer, only_throughput } = self;
        let mut arguments = vec![format!("--rounds={rounds}"), format!("--seconds={seconds}")];
        arguments.extend(load.iter().map(|load| format!("--load={}", load.name)));
        arguments.extend(observer.iter().map(|observer| format!("--observer={}", observer.name)));
        arguments.extend(only_throughput.then(|| "--only-throughput".to_owned()));
        arguments
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds @ 0.1..=60.0) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 60".to_owned()),
    }
}

/// Plays all rounds, and prints what came of each as a line of JSON.
pub(super) fn play(options: &Choice, tracer: Tracer) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let cast = Cast::new(options, tracer);
    for load in cast.loads() {
        for spec in cast.interleaved(load) {
            report(&run(&spec))?;
        }
    }
    if options.only_throughput {
        return Ok(());
    }
    for spec in cast.probes() {
        report(&run(&spec))?;
    }
    for spec in cast.statistics() {
        // Switched on for each alone: what comes between is not to be slowed.
        let _statistics = Statistics::on()?;
        report(&run(&spec))?;
    }
    match offline::run(&cast.tracer) {
        Ok(items) => items.into_iter().try_for_each(|item| report(&Item::Offline(item))),
        Err(error) => report(&Item::Failure(format!("{error:#}"))),
    }
}

fn run(spec: &Spec) -> Item {
    match spec.run() {
        Ok(round) => {
            eprintln!("bench: {}", summary(&round));
            Item::Round(Box::new(round))
        }
        Err(error) => {
            eprintln!("bench: {} under {} failed: {error:#}", spec.observer.name, spec.load.name);
            Item::Failure(format!("{} under {}: {error:#}", spec.observer.name, spec.load.name))
        }
    }
}

fn summary(round: &Round) -> String {
    let lost = round.account.lost.map_or_else(String::new, |lost| format!(", {lost} lost"));
    let (load, observer) = (&round.load, &round.observer);
    format!("{load:12}  {observer:14}  {:9.0} messages/s{lost}", rate(round))
}

fn report(item: &Item) -> Result<()> {
    let line = serde_json::to_string(item)?;
    writeln!(io::stdout().lock(), "{line}").context("nobody listens")
}

/// Who may take part.
struct Cast<'a> {
    options: &'a Choice,
    tracer: PathBuf,
    observers: Vec<&'static Observer>,
}

impl<'a> Cast<'a> {
    fn new(options: &'a Choice, tracer: Tracer) -> Self {
        let chosen = |observer: &&'static Observer| {
            options.observer.is_empty()
                || options.observer.iter().any(|chosen| chosen.name == observer.name)
        };
        let observers = OBSERVERS
            .iter()
            .filter(|observer| observer.name != NOBODY)
            .filter(|observer| observer.name != LIBPCAP || tracer.with_libpcap)
            .filter(chosen)
            .collect();
        Self { options, tracer: tracer.tracer, observers }
    }

    fn loads(&self) -> Vec<&'static Load> {
        if self.options.load.is_empty() {
            return LOADS.iter().collect();
        }
        self.options.load.clone()
    }

    fn spec(&self, load: &'static Load, observer: &'static Observer) -> Spec {
        let (seconds, tracer) = (self.options.seconds, self.tracer.clone());
        Spec { load, observer, seconds, tracer, statistics: false }
    }

    /// None, A, none, B, …, none: each observer has rounds without one next to it.
    fn interleaved(&self, load: &'static Load) -> Vec<Spec> {
        let nobody = &OBSERVERS[0];
        let mut specs = vec![self.spec(load, nobody)];
        for round in 0..self.options.rounds {
            for observer in self.in_turn(round) {
                specs.push(self.spec(load, observer));
                specs.push(self.spec(load, nobody));
            }
        }
        specs
    }

    /// Each round begins with another one.
    fn in_turn(&self, round: u32) -> impl Iterator<Item = &'static Observer> {
        let mut observers = self.observers.clone();
        let count = observers.len().max(1);
        observers.rotate_left(round as usize % count);
        observers
            .into_iter()
            .filter(move |it| it.program != Program::Tshark || round < TSHARK_ROUNDS)
    }

    fn probes(&self) -> Vec<Spec> {
        let prompt = self.observers.iter().filter(|observer| observer.promptly.is_some());
        PROBES
            .iter()
            .flat_map(|load| prompt.clone().map(|observer| self.spec(load, observer)))
            .map(|spec| Spec { seconds: SILENCE, ..spec })
            .collect()
    }

    fn statistics(&self) -> Vec<Spec> {
        let tracer = self.observers.iter().filter(|observer| observer.name == TRACER);
        let loads = LOADS.iter().filter(|load| STATISTICS_LOADS.contains(&load.name));
        tracer
            .flat_map(|observer| loads.clone().map(|load| self.spec(load, observer)))
            .flat_map(|spec| vec![Spec { statistics: true, ..spec }; STATISTICS_ROUNDS as usize])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(observers: &[&str]) -> Choice {
        let observer =
            observers.iter().map(|name| observer_named(name).expect("it is there")).collect();
        Choice { rounds: 4, seconds: 0.5, load: Vec::new(), observer, only_throughput: false }
    }

    #[test]
    fn nobody_watches_before_and_after_everybody() {
        let options = options(&["tcpdump-w", "tracer"]);
        let cast = Cast::new(&options, Tracer::default());
        let specs = cast.interleaved(&LOADS[0]);
        let names: Vec<_> = specs.iter().map(|spec| spec.observer.name).collect();
        assert_eq!(names[..5], ["none", "tcpdump-w", "none", "tracer", "none"]);
        assert_eq!(names[5..9], ["tracer", "none", "tcpdump-w", "none"]);
        assert_eq!(names.len(), 17);
    }

    #[test]
    fn tshark_takes_part_less_often() {
        let options = options(&["tshark"]);
        let cast = Cast::new(&options, Tracer::default());
        assert_eq!(cast.interleaved(&LOADS[0]).len(), 7);
        assert!(cast.statistics().is_empty());
    }
}
