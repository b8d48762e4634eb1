//! `cargo xtask vm`: the live tests inside virtual machines, one for each kernel. Kernels come in;
//! a verdict for each, and a table of them all, go out.

mod arch;
mod cpio;
mod cross;
pub(crate) mod elf;
mod emulator;
mod guest;
mod kernel;
mod machine;
mod modules;
mod programs;
mod summary;
pub(crate) mod systemd;
mod verdict;

use std::{
    fs,
    panic::resume_unwind,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use arch::{Arch, Named};
use cross::Cross;
use emulator::Emulator;
use guest::Guest;
use kernel::{Kernel, Wanted};
use machine::{Accelerator, Machine, Patience};
use summary::Outcome;

use crate::{
    setup::{self, Packages},
    shell,
};

/// Until a machine is given up. Emulated on a busy machine, one test may take minutes.
const PATIENCE: Patience =
    Patience { silence: Duration::from_mins(10), whole: Duration::from_mins(60) };

/// A machine that does nothing is up and down again in 3 s with KVM that works.
const PROBE: Patience =
    Patience { silence: Duration::from_secs(20), whole: Duration::from_secs(20) };

/// What other processors run of the live tests unless they were asked for: that the program is
/// loaded and attached, and what it makes of packets of all kinds. The rest would take long, and shows
/// what the kernel does on any processor.
const ELSEWHERE: [&str; 4] = ["budget::", "attaching::", "traffic::", "injected::"];

/// The options of the command.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// A processor architecture as Debian calls it, amd64 or arm64 [default: this machine's; without
    /// --kernel and arguments also the other one, with a part of the tests]
    #[arg(long)]
    arch: Option<Named>,

    /// A series of Debian's kernels, such as 6.12, or the file of an image; repeatable
    /// [default: 6.1, and 6.12 on amd64]
    #[arg(long, value_name = "KERNEL")]
    kernel: Vec<Wanted>,

    /// The modules of the image in the same place, `lib/modules/RELEASE` [default: looked for
    /// beside the image]
    #[arg(long, value_name = "DIR", requires = "kernel")]
    modules: Vec<PathBuf>,

    /// Arguments for the test programs, as in `cargo xtask vm -- attaching`
    #[arg(last = true)]
    args: Vec<String>,
}

/// All of it, as `cargo xtask test` wants it.
pub(crate) fn everything() -> Result<()> {
    command(&Options::default())
}

/// Runs the machines side by side, however each ends: emulated, each keeps one CPU busy.
pub(crate) fn command(options: &Options) -> Result<()> {
    let wanted = wanted(options)?;
    setup::everything()?;
    let directory = shell::workspace().join("target/vm");
    let outcomes: Result<Vec<_>> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (arch, args) in wanted {
            let ready = prepare(arch, options, &args, &directory)
                .with_context(|| format!("cannot make machines of {}", arch.name))?;
            // While the next are compiled for.
            running.extend(ready.into_iter().map(|ready| scope.spawn(move || ready.run())));
        }
        let ended = running
            .into_iter()
            .map(|machine| machine.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.collect()
    });
    conclude(&outcomes?, &directory.join("summary.md"))
}

/// The architectures, each with the arguments for its test programs.
fn wanted(options: &Options) -> Result<Vec<(&'static Arch, Vec<String>)>> {
    let args = options.args.clone();
    if let Some(Named(arch)) = options.arch {
        return Ok(vec![(arch, args)]);
    }
    let mut wanted = vec![(Arch::of_this_machine()?, args)];
    if options.kernel.is_empty() && options.args.is_empty() {
        let elsewhere = ELSEWHERE.map(str::to_owned);
        wanted.extend(Arch::others().map(|arch| (arch, elsewhere.to_vec())));
    }
    Ok(wanted)
}

/// Makes the machines of one architecture.
fn prepare(
    arch: &'static Arch,
    options: &Options,
    args: &[String],
    directory: &Path,
) -> Result<Vec<Ready>> {
    setup::virtual_machines()?;
    let emulator = Emulator::of(arch, directory)?;
    let packages = packages(arch, directory)?;
    let kernels = kernels(options, arch, &packages)?;
    let guest = guest(arch, &packages, directory)?;
    let mut accelerator = None;
    let mut ready = Vec::new();
    for kernel in kernels {
        let place = Place::prepare(directory, &kernel, guest.clone(), args, emulator.clone())?;
        let accelerator = match accelerator {
            Some(known) => known,
            None => *accelerator.insert(probe(arch, &kernel, &place)?),
        };
        ready.push(Ready { arch, kernel, accelerator, place });
    }
    Ok(ready)
}

/// Debian's packages for machines of an architecture.
fn packages(arch: &Arch, directory: &Path) -> Result<Packages> {
    let cache = directory.join("packages").join(arch.debian);
    if arch.is_ours() { Packages::native(cache) } else { Packages::apart(arch.debian, cache) }
}

fn kernels(options: &Options, arch: &Arch, packages: &Packages) -> Result<Vec<Kernel>> {
    let defaults: Vec<_> =
        arch.series.iter().map(|series| Wanted::Series((*series).to_owned())).collect();
    let wanted = if options.kernel.is_empty() { &defaults } else { &options.kernel };
    let pairs = kernel::pair(wanted, &options.modules)?;
    let get = |(wanted, modules): (Wanted, Option<PathBuf>)| {
        Kernel::get(&wanted, modules.as_deref(), arch, packages)
            .with_context(|| format!("there is no kernel {wanted} to run"))
    };
    pairs.into_iter().map(get).collect()
}

fn guest(arch: &'static Arch, packages: &Packages, directory: &Path) -> Result<Guest> {
    let busybox = packages.unpacked("busybox-static")?.join("bin/busybox");
    if arch.is_ours() {
        return Guest::new(arch, "/".into(), &busybox, &programs::build()?, directory);
    }
    // All that programs are linked with comes with the tools.
    let root = packages.tree("iproute2")?;
    let directory = directory.join(arch.name);
    let cross = Cross::prepare(arch, packages, &directory)?;
    let programs = programs::build_for(&cross, &directory)?;
    Guest::new(arch, root, &busybox, &programs, &directory)
}

/// A machine's files in `target/vm/RELEASE`.
struct Place {
    initramfs: PathBuf,
    console: PathBuf,
    emulator: Emulator,
}

impl Place {
    fn prepare(
        directory: &Path,
        kernel: &Kernel,
        guest: Guest,
        args: &[String],
        emulator: Emulator,
    ) -> Result<Self> {
        let directory = directory.join(&kernel.release);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let (initramfs, missing) =
            guest.finish(kernel.modules.as_deref(), &settings(kernel, args))?;
        if !missing.is_empty() {
            eprintln!("vm: {}: has no modules {}", kernel.release, missing.join(", "));
        }
        let place = Self {
            initramfs: directory.join("initramfs.cpio"),
            console: directory.join("console.log"),
            emulator,
        };
        fs::write(&place.initramfs, initramfs)
            .with_context(|| format!("cannot write {}", place.initramfs.display()))?;
        Ok(place)
    }

    fn machine<'a>(
        &'a self,
        arch: &'a Arch,
        accelerator: Accelerator,
        kernel: &'a Kernel,
        patience: Patience,
    ) -> Machine<'a> {
        let Self { initramfs, console, emulator } = self;
        Machine { arch, emulator, accelerator, kernel: &kernel.image, initramfs, console, patience }
    }
}

/// A machine that can be started.
struct Ready {
    arch: &'static Arch,
    kernel: Kernel,
    accelerator: Accelerator,
    place: Place,
}

impl Ready {
    fn run(&self) -> Result<Outcome> {
        let Self { arch, kernel, accelerator, place } = self;
        let release = kernel.release.clone();
        eprintln!("vm: {release}, {}: see {}", accelerator.name(), place.console.display());
        let run = place.machine(arch, *accelerator, kernel, PATIENCE).run("")?;
        let report = verdict::report(&run.console, run.ended);
        eprintln!("vm: {release}: {}", report.verdict);
        Ok(Outcome { release, arch: arch.name, accelerator: *accelerator, took: run.took, report })
    }
}

/// What `init.sh` reads: environment, programs, and their arguments.
fn settings(kernel: &Kernel, args: &[String]) -> String {
    let mut settings = format!("PROGRAMS='{}'\n", programs::TESTS.join(" "));
    // A second of load shows the same as three, and takes half a minute less when emulated.
    settings += "export TRACER_LOAD_SECONDS=1\n";
    // Tests may set the clock.
    settings += "export TRACER_MACHINE_IS_OURS=1\n";
    // What the default holds of the traffic of a test depends on how soon the tracer has a CPU.
    settings += "export TRACER_TEST_RING=64MiB\n";
    if let Some(path) = kernel.attach_path() {
        settings += &format!("export TRACER_EXPECT_ATTACH={path}\n");
    }
    // What tests print of themselves belongs into the log.
    settings += "set -- --show-output";
    for arg in args {
        settings += &format!(" '{}'", arg.replace('\'', r"'\''"));
    }
    settings + "\n"
}

/// Whether KVM works, which a device that can be opened does not promise: boots a kernel with it.
fn probe(arch: &Arch, kernel: &Kernel, place: &Place) -> Result<Accelerator> {
    if !arch.is_ours() {
        return Ok(Accelerator::Tcg);
    }
    let device = Path::new("/dev/kvm");
    if let Err(error) = fs::File::options().read(true).write(true).open(device) {
        eprintln!("vm: no KVM ({}: {error}): emulating, which is slow", device.display());
        return Ok(Accelerator::Tcg);
    }
    let run = place.machine(arch, Accelerator::Kvm, kernel, PROBE).run("vm.probe")?;
    if verdict::is_up(&run.console) {
        return Ok(Accelerator::Kvm);
    }
    eprintln!("vm: KVM is there, and boots nothing: emulating, which is slow");
    Ok(Accelerator::Tcg)
}

/// Shows the table, and fails unless all is well.
fn conclude(outcomes: &[Outcome], file: &Path) -> Result<()> {
    let table = summary::table(outcomes);
    fs::write(file, &table).with_context(|| format!("cannot write {}", file.display()))?;
    println!("{table}");
    let bad: Vec<_> = outcomes.iter().filter(|outcome| !outcome.is_good()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let releases: Vec<_> = bad.iter().map(|outcome| outcome.release.as_str()).collect();
    bail!(
        "not well: {}; what they wrote is in {}",
        releases.join(", "),
        file.with_file_name("RELEASE/console.log").display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_architectures_join_in_unless_something_was_asked_for() {
        let count = |options: &Options| wanted(options).expect("it is known").len();
        assert_eq!(count(&Options::default()), 2);
        let args = vec!["budget".to_owned()];
        assert_eq!(count(&Options { args, ..Options::default() }), 1);
        let kernel = vec!["6.1".parse().expect("a series")];
        assert_eq!(count(&Options { kernel, ..Options::default() }), 1);
        for name in ["amd64", "arm64"] {
            let arch = Some(name.parse::<Named>().expect("an architecture"));
            let wanted = wanted(&Options { arch, ..Options::default() }).expect("it is known");
            assert_eq!(wanted.len(), 1);
            assert_eq!(wanted[0].0.debian, name);
            assert!(wanted[0].1.is_empty(), "all tests");
        }
    }
}
