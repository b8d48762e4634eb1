//! `cargo xtask bench`: what observing a WebSocket service costs it. Loads and observers come in as
//! two tables and options; a report goes out, with plots and all raw figures.
//!
//! Three kinds of processes of ours take part. The first builds, and writes the report. The second
//! is root and plays the rounds, each in a third, which has namespaces of its own.

mod classifier;
mod figures;
mod latency;
mod load;
mod machine;
mod observer;
mod offline;
mod plot;
mod process;
mod report;
mod results;
mod round;
mod rounds;
mod sandbox;
pub(crate) mod soak;
mod statistics;

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};

use crate::{build, setup, shell};
use load::Load;
use machine::Machine;
use results::Results;

/// Where the report goes.
const DIRECTORY: &str = "docs/bench";

/// All raw figures, in that directory.
const RAW: &str = "results.json";

/// Others may use this share of all CPU time before we complain.
const NOISE: f64 = 0.05;

/// What is measured, and where it is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    rounds: rounds::Choice,

    /// Where report, plots and raw figures go [default: docs/bench]
    #[arg(long, value_name = "DIRECTORY")]
    to: Option<PathBuf>,

    /// Add to the raw figures that are there, if they are of the same commit and kernel
    #[arg(long)]
    add: bool,

    /// Measure nothing: write the report of the raw figures that are there once more
    #[arg(long, conflicts_with = "add")]
    render: bool,
}

/// What our other processes do.
#[derive(Subcommand)]
pub(crate) enum Part {
    /// Play all rounds, as root
    Rounds {
        #[command(flatten)]
        options: rounds::Choice,
        #[command(flatten)]
        tracer: rounds::Tracer,
    },
    /// Play one round, in the namespaces we are in
    Round {
        #[command(flatten)]
        spec: round::Spec,
    },
    /// Have capture files read
    Offline {
        /// The tracer's program
        #[arg(long)]
        tracer: PathBuf,
    },
    /// Have one tracer watch for long, as root
    Soak(soak::Options),
    /// Be the server of a load
    Server {
        #[arg(value_parser = load::named)]
        load: &'static Load,
    },
    /// Be the clients of a load
    Clients {
        #[arg(value_parser = load::named)]
        load: &'static Load,
        /// How long the measured part is
        #[arg(long)]
        seconds: f64,
    },
}

/// Does the part that we were started for.
pub(crate) fn part(part: Part) -> Result<()> {
    match part {
        Part::Rounds { options, tracer } => rounds::play(&options, tracer),
        Part::Round { spec } => {
            println!("{}", serde_json::to_string(&round::play(&spec)?)?);
            Ok(())
        }
        Part::Offline { tracer } => {
            println!("{}", serde_json::to_string(&offline::measure(&tracer)?)?);
            Ok(())
        }
        Part::Soak(options) => soak::part(&options),
        Part::Server { load } => load::serve(load),
        Part::Clients { load, seconds } => load::ask(load, Duration::from_secs_f64(seconds)),
    }
}

/// Measures, or reads what was measured, and writes the report.
pub(crate) fn command(options: &Options) -> Result<()> {
    let directory = match &options.to {
        Some(directory) => directory.clone(),
        None => shell::workspace().join(DIRECTORY),
    };
    if options.render {
        return report::write(&Results::read(&directory.join(RAW))?, &directory);
    }
    if cfg!(debug_assertions) {
        return again_for_speed();
    }
    let raw = directory.join(RAW);
    let earlier = if options.add { Some(Results::read(&raw)?) } else { None };
    let mut results = measure(&options.rounds)?;
    ensure!(!results.rounds.is_empty(), "no round could be finished (why, is said above)");
    if let Some(earlier) = earlier {
        results = results.after(earlier)?;
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    fs::write(&raw, results.to_json()?)
        .with_context(|| format!("cannot write {}", raw.display()))?;
    report::write(&results, &directory)
}

/// `cargo xtask` builds us for a debugger; a load has to be fast. Becomes the same, built for speed.
fn again_for_speed() -> Result<()> {
    shell::run(shell::cargo().args(["build", "--release", "--package", "xtask"]))?;
    let us = build::target_directory()?.join("release/xtask");
    shell::replace(Command::new(us).args(env::args_os().skip(1)))
}

fn measure(options: &rounds::Choice) -> Result<Results> {
    setup::everything()?;
    install_observers()?;
    let tracer = build_tracer()?;
    if !shell::is_root() {
        eprintln!("bench: network namespaces and tracing need root: asking sudo");
    }
    let machine = Machine::this(&tracer.tracer)?;
    if machine.background > NOISE {
        let share = machine.background * 100.0;
        eprintln!("bench: others use {share:.0}% of the CPUs: figures will say little");
    }
    let mut results = Results { machine, seconds: options.seconds, ..Results::default() };
    let us = env::current_exe().context("cannot tell where this program lies")?;
    let mut root = shell::privileged(us);
    root.args(["bench-part", "rounds", "--tracer"]).arg(tracer.tracer).args(options.to_arguments());
    if tracer.with_libpcap {
        root.arg("--with-libpcap");
    }
    let mut root = root.stdout(Stdio::piped()).spawn().context("cannot play the rounds")?;
    let lines = BufReader::new(root.stdout.take().context("no standard output")?).lines();
    for line in lines {
        results.add(serde_json::from_str(&line?).context("an odd round")?);
    }
    let status = root.wait()?;
    if !status.success() {
        results.failures.push(format!("not everything could be measured ({status})"));
    }
    Ok(results)
}

/// The programs to compare with.
fn install_observers() -> Result<()> {
    // Each program has the name of its package.
    let missing: Vec<_> =
        observer::PACKAGES.into_iter().filter(|name| shell::find(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("bench: missing, and installed now: {}", missing.join(", "));
    setup::packages(&missing).context("cannot install the programs to compare with")
}

/// The tracer with every source that it can have.
fn build_tracer() -> Result<rounds::Tracer> {
    let manifest = fs::read_to_string(shell::workspace().join("tracer/Cargo.toml"))?;
    let with_libpcap = manifest.lines().any(|line| line.starts_with("libpcap = "));
    if with_libpcap {
        setup::libpcap()?;
    }
    let features: &[&str] = if with_libpcap { &["libpcap"] } else { &[] };
    Ok(rounds::Tracer { tracer: build::release_with(features)?, with_libpcap })
}
