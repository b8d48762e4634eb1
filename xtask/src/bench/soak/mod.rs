//! `cargo xtask soak`: one tracer watches all kinds of loads for a long time, and connections that
//! misbehave. Minutes come in; a table, and a verdict on memory, descriptors and what was told, go out.

mod reader;
mod sample;
mod verdict;

use std::{
    env, fs,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::{
    again_for_speed,
    load::{
        Counts, Report, WATCHED, named,
        rabble::{self, Rabble},
    },
    round::Part,
    sandbox,
    statistics::median,
};
use crate::{build, setup, shell};
use reader::{Reader, Told};
use sample::{HEADING, Sample, Samples};
use verdict::{Finding, Said};

/// Where the table goes, in cargo's target directory.
const DIRECTORY: &str = "soak";
/// Played in turns, for so many seconds each.
const LOADS: [&str; 6] = ["echo64", "deflate", "stream-64k-4", "many", "fanout", "stream-1m-1"];
const SECONDS: f64 = 5.0;
/// What waits for us where we are slower than the tracer is no leak.
const SMALL_QUEUE: [&str; 2] = ["--output-buffer", "1MiB"];
/// How often the tracer is stopped at the end.
const STOPS: usize = 3;
/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// A tracer that needs longer to start, or to end, hangs.
const HANG: Duration = Duration::from_secs(60);

/// How long, and where the table goes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long; in less than three minutes the tables do not reach their size
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..=10_000))]
    minutes: u64,

    /// The tracer's program, in the process that is root
    #[arg(long, hide = true)]
    tracer: Option<PathBuf>,

    /// Whether we are in namespaces of our own
    #[arg(long, hide = true, requires = "tracer")]
    inside: bool,
}

/// Builds the tracer and has it watched, as root.
pub(crate) fn command(options: &Options) -> Result<()> {
    if cfg!(debug_assertions) {
        return again_for_speed();
    }
    setup::everything()?;
    let tracer = build::release()?;
    if !shell::is_root() {
        eprintln!("soak: network namespaces and tracing need root: asking sudo");
    }
    let us = env::current_exe().context("cannot tell where this program lies")?;
    let mut root = shell::privileged(us);
    root.args(["bench-part", "soak", "--minutes", &options.minutes.to_string(), "--tracer"]);
    shell::replace(root.arg(tracer))
}

/// The part that is root: moves into namespaces, and plays.
pub(super) fn part(options: &Options) -> Result<()> {
    let tracer = options.tracer.as_deref().context("no tracer")?;
    if !options.inside {
        let mut command = sandbox::part("soak")?;
        command.args(["--minutes", &options.minutes.to_string(), "--inside", "--tracer"]);
        return shell::replace(command.arg(tracer));
    }
    sandbox::settle()?;
    // The many connections of a load come again before the ports of the last are free.
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000")?;
    let table = build::target_directory()?.join(DIRECTORY);
    fs::create_dir_all(&table).with_context(|| format!("cannot create {}", table.display()))?;
    let table = table.join("samples.csv");
    let findings = soak(tracer, Duration::from_secs(60 * options.minutes), &table)?;
    eprintln!("soak: all samples are in {}", table.display());
    for Finding { holds, what } in &findings {
        println!("{}  {what}", if *holds { "good" } else { "BAD " });
    }
    stopped(tracer)?;
    ensure!(findings.iter().all(|finding| finding.holds), "not everything held");
    Ok(())
}

/// The soak proper.
fn soak(tracer: &Path, time: Duration, table: &Path) -> Result<Vec<Finding>> {
    let tracer = Tracer::start(tracer, &SMALL_QUEUE)?;
    let mut samples = Samples::of(tracer.child.id())?;
    let mut table = BufWriter::new(fs::File::create(table).context("cannot write the table")?);
    writeln!(table, "{HEADING}")?;
    let rabble = Rabble::start()?;
    let (said, end) = (thread::spawn(move || play(time)), Instant::now() + time);
    // The first look is at a tracer that has everything open that it needs.
    thread::sleep(LOOK);
    println!("{HEADING}");
    while !said.is_finished() {
        let sample = samples.take(&tracer.reader)?;
        sample.write(&mut table)?;
        if samples.all.len() % 15 == 1 {
            print(samples.all.last(), end)?;
        }
        thread::sleep(LOOK);
    }
    let mut said = said.join().ok().context("the loads have failed")??;
    said.connections += rabble.end()?;
    let sample = samples.take(&tracer.reader)?;
    sample.write(&mut table)?;
    table.flush()?;
    let told = tracer.end()?;
    Ok(verdict::of(&samples.all, said, told))
}

fn print(sample: Option<&Sample>, end: Instant) -> Result<()> {
    let Some(sample) = sample else { return Ok(()) };
    sample.write(&mut std::io::stdout().lock())?;
    let left = end.saturating_duration_since(Instant::now()).as_secs();
    eprintln!("soak: {} minutes and {} seconds to go", left / 60, left % 60);
    Ok(())
}

/// Plays the loads in turns for so long.
fn play(time: Duration) -> Result<Said> {
    let begin = Instant::now();
    let mut said = Said::default();
    for name in LOADS.into_iter().cycle() {
        if begin.elapsed() >= time {
            break;
        }
        let (report, served) = slice(name, |_| Ok(())).with_context(|| format!("load {name}"))?;
        said.messages += report.all.sent + served.sent;
        said.connections += named(name).map_err(anyhow::Error::msg)?.connections as u64;
    }
    Ok(said)
}

/// When something happens in a slice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Begin,
    End,
}

/// Plays one load once: what its clients and its server have counted.
fn slice(load: &str, mut at: impl FnMut(Moment) -> Result<()>) -> Result<(Report, Counts)> {
    let mut server = Part::start(&["server", load])?;
    server.expect("listening")?;
    let mut clients = Part::start(&["clients", load, "--seconds", &SECONDS.to_string()])?;
    clients.expect("ready")?;
    clients.order()?;
    clients.expect("begin")?;
    at(Moment::Begin)?;
    clients.expect("end")?;
    at(Moment::End)?;
    let report = serde_json::from_str(&clients.line()?).context("an odd report")?;
    clients.end()?;
    let served = serde_json::from_str(&server.end()?).context("an odd report")?;
    Ok((report, served))
}

/// How the service fares while its tracer is stopped (SIGSTOP), in turns with one that runs, and what
/// the tracer says of that.
fn stopped(tracer: &Path) -> Result<()> {
    let tracer = Tracer::start(tracer, &[])?;
    let pid = Pid::from_child(&tracer.child);
    let stop_and_go = |moment| {
        let signal = if moment == Moment::Begin { Signal::STOP } else { Signal::CONT };
        Ok(kill_process(pid, signal)?)
    };
    let (mut while_running, mut while_stopped) = (Vec::new(), Vec::new());
    for _ in 0..STOPS {
        while_running.push(echoes(slice("echo64", |_| Ok(()))?.0));
        while_stopped.push(echoes(slice("echo64", stop_and_go)?.0));
    }
    let Told { stats, gaps, .. } = tracer.end()?;
    println!(
        "echoes a second: {:.0} while the tracer ran, {:.0} while it was stopped (medians of {STOPS} \
         times {SECONDS} s); {} records lost, {gaps} gaps told",
        median(while_running).unwrap_or_default(),
        median(while_stopped).unwrap_or_default(),
        stats.lost
    );
    ensure!(stats.lost > 0 && gaps > 0, "a stopped tracer that lost nothing");
    Ok(())
}

/// So many a second.
fn echoes(report: Report) -> f64 {
    report.window.received as f64 / report.seconds
}

/// A tracer that writes events to us.
struct Tracer {
    child: Child,
    reader: Reader,
    /// Reads what else it says.
    listener: thread::JoinHandle<String>,
}

impl Tracer {
    /// Starts it, and returns when it traces.
    fn start(program: &Path, options: &[&str]) -> Result<Self> {
        // Nothing is left behind, whatever happens to us.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command.args(["--port", &format!("{WATCHED},{}", rabble::PORT), "--format", "json"]);
        command.args(["--stats-interval", "1"]).args(options);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("setpriv is missing")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut stderr = BufReader::new(child.stderr.take().context("no standard error")?);
        let reader = Reader::new(stdout, WATCHED);
        let mut line = String::new();
        while !line.contains("tracing port") {
            line.clear();
            ensure!(stderr.read_line(&mut line)? > 0, "the tracer does not start");
        }
        let listener = thread::spawn(move || {
            stderr.lines().map_while(Result::ok).collect::<Vec<_>>().join("\n")
        });
        Ok(Self { child, reader, listener })
    }

    /// Ends it as Ctrl-C does: all that it told.
    fn end(self) -> Result<Told> {
        let Self { mut child, reader, listener } = self;
        kill_process(Pid::from_child(&child), Signal::INT)
            .context("the tracer has ended before")?;
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            ensure!(begin.elapsed() < HANG, "the tracer does not end");
            thread::sleep(Duration::from_millis(20));
        };
        let said = listener.join().unwrap_or_default();
        ensure!(status.success(), "the tracer ended with {status}: {said}");
        Ok(reader.end()?)
    }
}
