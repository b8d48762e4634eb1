//! One virtual machine: kernel, first file system and accelerator come in; what it wrote on its
//! console, and how it ended, go out.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{arch::Arch, emulator::Emulator};
use crate::shell;

/// How it is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Accelerator {
    /// By the processor.
    Kvm,
    /// By the emulator: 10 to 20 times slower, works everywhere.
    Tcg,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ended {
    /// By itself.
    Alone,
    /// We stopped it: it had written nothing for so long.
    Silent(Duration),
    /// We stopped it: it had run for so long.
    Late(Duration),
}

/// For how long we wait.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For the next word.
    pub(super) silence: Duration,
    /// For the end.
    pub(super) whole: Duration,
}

/// A machine to be.
pub(super) struct Machine<'a> {
    pub(super) arch: &'a Arch,
    pub(super) emulator: &'a Emulator,
    pub(super) accelerator: Accelerator,
    pub(super) kernel: &'a Path,
    pub(super) initramfs: &'a Path,
    /// Where what it writes is kept.
    pub(super) console: &'a Path,
    pub(super) patience: Patience,
}

/// What became of it.
pub(super) struct Run {
    pub(super) console: String,
    pub(super) ended: Ended,
    pub(super) took: Duration,
}

/// Goes with us, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has most often ended already, and that is no error.
        let _killed = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Machine<'_> {
    /// Runs it to its end. `parameters` are for the kernel's command line.
    pub(super) fn run(&self, parameters: &str) -> Result<Run> {
        let file = File::create(self.console)
            .with_context(|| format!("cannot write {}", self.console.display()))?;
        let mut command = self.command(parameters);
        shell::announce(&command);
        command.stdin(Stdio::null()).stderr(file.try_clone()?).stdout(file);
        let start = Instant::now();
        let child = command.spawn().context("cannot start the emulator")?;
        let ended = self.watch(&mut Running(child), start)?;
        let console = fs::read(self.console)?;
        let console = String::from_utf8_lossy(&console).into_owned();
        Ok(Run { console, ended, took: start.elapsed() })
    }

    fn command(&self, parameters: &str) -> Command {
        let (accelerator, cpu, quicker) = match self.accelerator {
            Accelerator::Kvm => ("kvm", "host", ""),
            // One thread for both processors: where each has its own, 6.12 was seen to die of code that
            // the kernel patched on the other one.
            Accelerator::Tcg => ("tcg,thread=single", self.arch.emulated_cpu, "init_on_alloc=0"),
        };
        let mut command = self.emulator.command();
        command.args(["-accel", accelerator, "-cpu", cpu, "-machine", self.arch.machine]);
        command.args(["-smp", "2", "-m", "2048", "-no-reboot", "-nodefaults", "-display", "none"]);
        command.args(["-serial", "stdio", "-kernel"]).arg(self.kernel);
        command.arg("-initrd").arg(self.initramfs);
        // Warnings and what is worse are written; an oops ends the machine, which is not restarted.
        let console = self.arch.console;
        let parameters = ["loglevel=5 oops=panic panic=-1", quicker, parameters].join(" ");
        command.arg("-append").arg(format!("console={console} {}", parameters.trim_end()));
        command
    }

    fn watch(&self, emulator: &mut Running, start: Instant) -> Result<Ended> {
        let Patience { silence, whole } = self.patience;
        let (mut written, mut last) = (0, start);
        while emulator.0.try_wait().context("cannot watch the emulator")?.is_none() {
            let length = fs::metadata(self.console)?.len();
            if length != written {
                (written, last) = (length, Instant::now());
            }
            if last.elapsed() > silence {
                return Ok(Ended::Silent(silence));
            }
            if start.elapsed() > whole {
                return Ok(Ended::Late(whole));
            }
            sleep(Duration::from_millis(200));
        }
        Ok(Ended::Alone)
    }
}

impl Accelerator {
    /// As a person calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        }
    }
}

impl Ended {
    /// Why it had to be stopped, if it had to be.
    pub(super) fn hang(self) -> Option<String> {
        match self {
            Self::Alone => None,
            Self::Silent(time) => Some(format!("silent for {} s", time.as_secs())),
            Self::Late(time) => Some(format!("not done after {} s", time.as_secs())),
        }
    }
}
