//! An observer at work: started, waited for until it sees, stopped, and asked what it saw.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{Account, Observer, Output, Program};
use crate::bench::process::{self, Cpu};

/// How often we look.
const LOOK: Duration = Duration::from_millis(50);

/// A start that takes longer fails.
const START: Duration = Duration::from_secs(20);

/// libpcap binds first and is ready a moment later.
const BIND: Duration = Duration::from_millis(200);

/// Who has not caught up after so long is stopped as it is.
const BEHIND: Duration = Duration::from_secs(20);

/// An end that takes longer is forced.
const END: Duration = Duration::from_secs(20);

/// What the tracer says once it is attached.
const READY: &str = "tracing port";

/// An observer that runs; or nobody, who has no processes.
pub(in crate::bench) struct Running {
    observer: &'static Observer,
    child: Option<Child>,
    pids: Vec<u32>,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
    output: Option<PathBuf>,
}

/// Where its standard output goes.
pub(in crate::bench) enum Stdout {
    /// To where it goes usually; files are made here.
    Usual,
    /// To us, as promptly as it can.
    Piped,
}

impl Running {
    /// Starts it, and returns when it watches. Files that it makes are in `directory`.
    pub(in crate::bench) fn start(
        observer: &'static Observer,
        tracer: &Path,
        directory: &Path,
        stdout: &Stdout,
    ) -> Result<Self> {
        let output = directory.join("output");
        let arguments = match stdout {
            Stdout::Usual => observer.arguments,
            Stdout::Piped => observer.promptly.context("it cannot print promptly")?,
        };
        let said = Arc::default();
        let nobody =
            Self { observer, child: None, pids: Vec::new(), said, listener: None, output: None };
        let Some(mut command) = observer.command(tracer, arguments) else { return Ok(nobody) };
        let is_file = matches!((stdout, observer.output), (Stdout::Usual, Output::File));
        command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(match stdout {
            Stdout::Piped => Stdio::piped(),
            Stdout::Usual if is_file => File::create(&output)?.into(),
            Stdout::Usual => Stdio::null(),
        });
        // tshark keeps what it has captured in a file, and tcpflow writes a report.
        command.env("TMPDIR", directory).current_dir(directory);
        let mut child = command.spawn().context("setpriv is missing")?;
        let listener = listen(&mut child, &nobody.said);
        let output = is_file.then_some(output);
        let mut running = Self { child: Some(child), listener, output, ..nobody };
        running.wait_until_ready()?;
        Ok(running)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.is_ready() {
            let Some(child) = &mut self.child else { return Ok(()) };
            if child.try_wait()?.is_some() || begin.elapsed() > START {
                bail!("{} does not start: {}", self.observer.name, self.said().trim());
            }
            sleep(LOOK);
        }
        if self.observer.program != Program::Tracer {
            sleep(BIND);
        }
        if let Some(child) = &self.child {
            self.pids = process::family(Pid::from_child(child))?;
        }
        Ok(())
    }

    /// Whether it has a packet socket, or the tracer says so.
    fn is_ready(&self) -> bool {
        if self.observer.program == Program::Tracer {
            return self.said().contains(READY);
        }
        let sockets = fs::read_to_string("/proc/net/packet").unwrap_or_default();
        // The first line is a heading.
        sockets.lines().count() > 1
    }

    /// The processes that it consists of.
    pub(in crate::bench) fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// What it prints, if that was asked for.
    pub(in crate::bench) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.as_mut()?.stdout.take()
    }

    /// Waits until it has nothing to do any more; how long it worked on. `None`: it still does.
    pub(in crate::bench) fn settle(&self) -> Result<Option<Duration>> {
        let begin = Instant::now();
        let mut last_busy = begin;
        let mut cpu = Cpu::of(&self.pids)?;
        while last_busy.elapsed() < self.observer.settles {
            if begin.elapsed() > BEHIND {
                return Ok(None);
            }
            sleep(LOOK);
            let now = Cpu::of(&self.pids)?;
            if now != cpu {
                last_busy = Instant::now();
                cpu = now;
            }
        }
        Ok(Some(last_busy - begin))
    }

    /// Stops it as Ctrl-C does, and reads what it says of itself.
    pub(in crate::bench) fn stop(mut self) -> Result<Account> {
        let Some(mut child) = self.child.take() else { return Ok(Account::default()) };
        kill_process(Pid::from_child(&child), Signal::INT).context("it has ended before")?;
        let begin = Instant::now();
        while child.try_wait()?.is_none() {
            if begin.elapsed() > END {
                child.kill().and_then(|()| child.wait())?;
                bail!("{} does not end when interrupted", self.observer.name);
            }
            sleep(LOOK);
        }
        if let Some(listener) = self.listener.take() {
            listener.join().ok().context("what it said could not be read")?;
        }
        Account::read(self.observer.program, &self.said(), self.output.as_deref())
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Collects what a child says on standard error.
fn listen(child: &mut Child, said: &Arc<Mutex<String>>) -> Option<JoinHandle<()>> {
    let mut stderr = child.stderr.take()?;
    let said = Arc::clone(said);
    Some(thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    }))
}
