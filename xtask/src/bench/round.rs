//! One round: a load is played in the network namespace we are in, somebody watches or nobody, and
//! what came of it goes out. The namespace was made for it and ends with it.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{
    classifier::{self, Runs},
    latency,
    load::{self, Counts, Kind, Load, Report},
    observer::{self, Account, Observer, Running, Stdout},
    process::{self, Cpu, Idle},
    sandbox,
};
use crate::shell;

/// What is to be played.
#[derive(Clone, Debug, Args)]
pub(crate) struct Spec {
    #[arg(value_parser = load::named)]
    pub(super) load: &'static Load,
    #[arg(value_parser = observer::named)]
    pub(super) observer: &'static Observer,
    /// How long the measured part is
    #[arg(long)]
    pub(super) seconds: f64,
    /// The tracer's program
    #[arg(long)]
    pub(super) tracer: PathBuf,
    /// Whether the kernel's statistics of BPF programs are on and to be read
    #[arg(long)]
    pub(super) statistics: bool,
}

impl Spec {
    /// Plays it in a new process, in namespaces of its own.
    pub(super) fn run(&self) -> Result<Round> {
        let Self { load, observer, seconds, tracer, statistics } = self;
        let mut command = sandbox::part("round")?;
        command.args([load.name, observer.name, "--seconds", &seconds.to_string()]);
        command.arg("--tracer").arg(tracer);
        if *statistics {
            command.arg("--statistics");
        }
        serde_json::from_str(&shell::output(&mut command)?).context("an odd round")
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Round {
    pub(super) load: String,
    pub(super) observer: String,
    pub(super) clients: Report,
    /// Data messages as the server counted them.
    pub(super) server: Counts,
    /// CPU time of all CPUs in the measured part: what was not idle and not stolen.
    pub(super) busy_ms: f64,
    pub(super) stolen_ms: u64,
    /// Of it, what the processes used.
    pub(super) server_cpu: Cpu,
    pub(super) clients_cpu: Cpu,
    pub(super) observer_cpu: Cpu,
    /// What the observer used later, until it had caught up.
    pub(super) observer_cpu_later: Cpu,
    /// How long the observer worked on after the load; `None`: until it was stopped.
    pub(super) behind_ms: Option<u64>,
    /// How often it went to sleep, in the measured part.
    pub(super) observer_switches: u64,
    pub(super) observer_memory_kib: u64,
    pub(super) account: Account,
    /// Microseconds from segment to line, where these were measured.
    pub(super) latencies_us: Vec<f64>,
    /// What the classifier ran in the measured part, where that was asked for.
    pub(super) classifier: Option<Runs>,
}

/// Plays it.
pub(super) fn play(spec: &Spec) -> Result<Round> {
    let directory = sandbox::settle()?;
    let round = Stage::set(spec, directory)?.play();
    round.with_context(|| format!("{} under {}", spec.observer.name, spec.load.name))
}

/// Everybody who takes part.
struct Stage<'a> {
    spec: &'a Spec,
    server: Part,
    observer: Running,
    clients: Part,
    listener: Option<latency::Listener>,
}

impl<'a> Stage<'a> {
    /// The observer is there before the first connection.
    fn set(spec: &'a Spec, directory: &Path) -> Result<Self> {
        let mut server = Part::start(&["server", spec.load.name])?;
        server.expect("listening")?;
        let measures_latency = matches!(spec.load.kind, Kind::Probe(_));
        let stdout = if measures_latency { Stdout::Piped } else { Stdout::Usual };
        let mut observer = Running::start(spec.observer, &spec.tracer, directory, &stdout)?;
        let listener = observer.take_stdout().map(latency::Listener::new);
        let clients =
            Part::start(&["clients", spec.load.name, "--seconds", &spec.seconds.to_string()])?;
        Ok(Self { spec, server, observer, clients, listener })
    }

    fn play(mut self) -> Result<Round> {
        self.clients.expect("ready")?;
        self.clients.order()?;
        self.clients.expect("begin")?;
        let begin = self.look()?;
        self.clients.expect("end")?;
        let end = self.look()?;
        let report = serde_json::from_str(&self.clients.line()?).context("an odd report")?;
        let behind = self.observer.settle()?;
        let settled = self.look()?;
        let memory = process::peak_memory_kib(self.observer.pids())?;
        let server = self.server.end()?;
        let account = self.observer.stop()?;
        let latencies_us = self.listener.map_or_else(|| Ok(Vec::new()), latency::Listener::end)?;
        Ok(Round {
            load: self.spec.load.name.to_owned(),
            observer: self.spec.observer.name.to_owned(),
            clients: report,
            server: serde_json::from_str(&server).context("an odd report")?,
            behind_ms: behind.map(|behind| behind.as_millis() as u64),
            observer_memory_kib: memory,
            account,
            latencies_us,
            ..differences(&begin, &end, &settled)
        })
    }

    fn look(&self) -> Result<Look> {
        let pids = self.observer.pids();
        Ok(Look {
            at: Instant::now(),
            idle: Idle::now()?,
            server: Cpu::of(&[self.server.pid])?,
            clients: Cpu::of(&[self.clients.pid])?,
            observer: Cpu::of(pids)?,
            switches: process::switches(pids)?,
            classifier: if self.spec.statistics { Some(classifier::runs()?) } else { None },
        })
    }
}

/// What was used up to a moment.
struct Look {
    at: Instant,
    idle: Idle,
    server: Cpu,
    clients: Cpu,
    observer: Cpu,
    switches: u64,
    classifier: Option<Runs>,
}

fn differences(begin: &Look, end: &Look, settled: &Look) -> Round {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let elapsed = end.at.duration_since(begin.at).as_secs_f64() * 1e3;
    let idle = end.idle.idle_ms.saturating_sub(begin.idle.idle_ms);
    let stolen_ms = end.idle.stolen_ms.saturating_sub(begin.idle.stolen_ms);
    let classifier = end.classifier.zip(begin.classifier);
    Round {
        busy_ms: elapsed * cpus as f64 - (idle + stolen_ms) as f64,
        stolen_ms,
        server_cpu: end.server.since(begin.server),
        clients_cpu: end.clients.since(begin.clients),
        observer_cpu: end.observer.since(begin.observer),
        observer_cpu_later: settled.observer.since(end.observer),
        observer_switches: end.switches.saturating_sub(begin.switches),
        classifier: classifier.map(|(end, begin)| end.since(begin)),
        ..Round::default()
    }
}

/// One of our own processes, which we talk to line by line.
pub(super) struct Part {
    pid: u32,
    orders: ChildStdin,
    lines: BufReader<ChildStdout>,
    child: std::process::Child,
}

impl Part {
    pub(super) fn start(arguments: &[&str]) -> Result<Self> {
        let us = env::current_exe().context("cannot tell where this program lies")?;
        let mut child = Command::new(us)
            .arg("bench-part")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().context("no standard input")?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { pid: child.id(), orders, lines, child })
    }

    pub(super) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            bail!("the load has failed (why, is said above)");
        }
        Ok(line.trim_end().to_owned())
    }

    pub(super) fn expect(&mut self, expected: &str) -> Result<()> {
        let line = self.line()?;
        if line != expected {
            bail!("`{line}` instead of `{expected}`");
        }
        Ok(())
    }

    /// Tells it to go on.
    pub(super) fn order(&mut self) -> Result<()> {
        writeln!(self.orders).context("the load has ended")
    }

    /// Tells it to end; what it says then.
    pub(super) fn end(self) -> Result<String> {
        let Self { orders, mut lines, mut child, .. } = self;
        drop(orders);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        child.wait()?;
        Ok(line)
    }
}
