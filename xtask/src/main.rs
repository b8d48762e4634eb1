//! The project's one door: `cargo xtask <command>`. A command line comes in; other programs are
//! started in the right order, each printed before it runs.

mod bench;
mod build;
mod compare;
mod debian_root;
mod demo;
mod dist;
mod fuzz;
mod instructions;
mod lint;
mod prometheus;
mod run;
mod setup;
mod shell;
mod test;
mod vm;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Sets up, builds, runs and tests the tracer.
///
/// On a fresh machine two commands do everything: `cargo xtask demo` to see it work, and
/// `cargo xtask test`. For a service of your own: `cargo xtask run -- --port 7272`.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the build needs beyond stable Rust: a compiler and a linker for eBPF
    ///
    /// The result is one rustup toolchain named `tracer-ebpf`, kept in $CARGO_HOME/tracer-ebpf: a
    /// compiler that can target BPF, `core` for it, and the bpf-linker made for its LLVM. Once it is
    /// there, plain `cargo build` works too. The compiler comes from Debian's packages (as root, through sudo when
    /// needed) or, where these do not exist or do not work, from a pinned nightly of rustup's. Also
    /// installs iproute2, which the demo and the live tests use to make network namespaces.
    ///
    /// Does nothing when all is there. build, run, demo, test and lint call it themselves.
    Setup {
        /// Where the compiler comes from [default: debian, and rustup where that fails]
        #[arg(long, value_enum)]
        from: Option<setup::Way>,
    },

    /// Build the tracer, and print where it is
    Build {
        /// Build for a debugger, not for speed (target/debug/tracer)
        #[arg(long)]
        debug: bool,

        /// Build for speed (target/release/tracer); this is the default
        #[arg(long, conflicts_with = "debug")]
        release: bool,
    },

    /// Build the tracer and start it with the arguments after `--`
    ///
    /// Tracing the network needs root: sudo is used when you are not. Reading a file
    /// (`cargo xtask run -- --read trace.pcap`), --help and --version run as you.
    Run {
        /// Arguments of the tracer; try `--help`
        #[arg(last = true)]
        args: Vec<OsString>,
    },

    /// Watch the tracer at work: a small chat on port 7272, in a network of its own
    ///
    /// A chat server and two clients play a short session in a fresh network namespace, while the
    /// tracer shows it live. One client is connected before the tracer starts. At the end,
    /// what the tracer printed is compared with what the clients said and heard; exit status 1 when
    /// anything is missing. Needs root (sudo is used when you are not) and leaves nothing behind.
    Demo {
        /// Play with this tracer, in the network namespace we are in
        #[arg(long, hide = true)]
        inside: Option<PathBuf>,
    },

    /// Run all tests, those on the running kernel included
    ///
    /// Runs `cargo test --workspace --release`. The live tests trace real traffic in network
    /// namespaces of their own and need root: sudo is used for them, and only for them, when you
    /// are not. Without privileges they fail; --no-live leaves them out and says so. Then the packages are
    /// made and checked, as `cargo xtask dist --check` does, and the live tests run once more on other
    /// kernels, as `cargo xtask vm` does, unless --no-dist and --no-vm are given or there are
    /// arguments for `cargo test`.
    Test {
        /// Leave out the tests that trace the running kernel
        #[arg(long)]
        no_live: bool,

        /// Leave out the virtual machines: those with other kernels, and the one in which the service starts
        #[arg(long)]
        no_vm: bool,

        /// Leave out the packages, which are built twice
        #[arg(long)]
        no_dist: bool,

        /// Arguments for `cargo test`, as in `cargo xtask test -- --test golden -- --nocapture`
        #[arg(last = true)]
        args: Vec<OsString>,
    },

    /// Run the live tests inside virtual machines, on other kernels than the one that runs here
    ///
    /// Each kernel gets a small machine made of it, busybox and the test programs, which says how
    /// the tests went and ends. At the end a table shows all of them; exit status 1 unless all
    /// passed. Debian's kernels are fetched once, unpacked to target/vm, and not installed; what a
    /// machine has written is in target/vm/RELEASE/console.log. Emulated (TCG) where KVM does not work,
    /// which takes half an hour or more. QEMU is fetched, too, unless it is installed.
    Vm(vm::Options),

    /// Make a Debian package and a static tarball, in target/dist
    ///
    /// Both have the tracer with its eBPF program inside, manual pages, shell completions, the unit, and the
    /// default configuration. The same sources and compilers make the same bytes, wherever they lie.
    /// docs/packages.md says what is in them, and how they are tested. Installs debhelper from Debian's
    /// packages where it is missing.
    Dist(dist::Options),

    /// Check the formatting, the lints, the documentation, and the dependencies
    ///
    /// Runs cargo fmt --check; clippy and rustdoc with warnings denied, the eBPF program included;
    /// clippy on what builds without eBPF; and cargo deny where it is installed.
    Lint,

    /// Fuzz the decoder: arbitrary bytes at every layer
    ///
    /// Builds the targets in fuzz/ and runs them one after the other, from the committed seeds and
    /// from what earlier runs found. Exit status 1 when an input crashed one, took longer than 10 s
    /// or more than 512 MB. Needs nothing but stable Rust and g++; fuzz/README.md tells of each
    /// target.
    Fuzz {
        /// How long each target runs
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,

        /// The targets: record, tcp, http, frame, deflate, file, follow, session [default: all]
        targets: Vec<String>,
    },

    /// Compare the tracer with tshark: messages right, wrong and missing
    ///
    /// Both read the captures of real peers in tracer/tests/captures, whole and damaged in several
    /// ways, and what each shows is compared with what the peers themselves logged. Prints a table
    /// in Markdown. Installs tshark from Debian's packages where it is missing; needs no other
    /// privileges. The damaged captures lie in target/compare afterwards.
    Compare,

    /// Count the instructions that each stage of decoding takes, and compare with the last counts
    ///
    /// Runs the stages of `cargo bench` once under callgrind (Debian's package valgrind, which is
    /// installed when it is missing). Exit status 1 when one takes 5% more instructions than
    /// tracer/benches/instructions.json says. Counts are of one compiler: with another one nothing is
    /// compared, and that is said.
    Instructions {
        /// Write the counts down instead of comparing them
        #[arg(long)]
        update: bool,
        /// Show instead how often data is not in the caches: what a stage's memory costs
        #[arg(long, conflicts_with = "update")]
        misses: bool,
    },

    /// Measure what observing a service costs it: the tracer, tcpdump, tshark, tcpflow
    ///
    /// Plays WebSocket loads in network namespaces of their own, with and without somebody who
    /// watches, in many short rounds one after the other, and writes a report with plots and all
    /// raw figures to docs/bench. Installs the programs that it compares with from Debian's
    /// packages. Needs root (sudo is used when you are not), two CPUs, and a machine that has
    /// nothing else to do: the whole takes about 25 minutes.
    Bench(bench::Options),

    /// Have one tracer watch for long: its memory stays flat, its account is complete
    ///
    /// Plays the loads of `bench` in turns, beside connections that come and go, break off, or speak
    /// something else, in a network namespace of their own, and looks at the tracer every two seconds.
    /// Prints a table and a verdict; all samples are in target/soak afterwards. Exit status 1 when memory
    /// has grown, a descriptor has leaked, or something was missing and not told. At the end it stops a
    /// tracer for 5 s, and says how the service fared. Needs root (sudo is used when you are not).
    Soak(bench::soak::Options),

    /// One of the processes of `bench`
    #[command(hide = true, subcommand)]
    BenchPart(bench::Part),

    /// Talk to a room on port 7272, where the packages are tested
    #[command(hide = true)]
    Talk { word: String, messages: u32 },

    /// Start one test program, through sudo when it needs root (`cargo test` calls this)
    #[command(hide = true)]
    TestRunner {
        #[arg(long)]
        no_live: bool,

        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup { from } => setup::command(from),
        Command::Build { debug, release: _ } => build::command(debug),
        Command::Run { args } => run::command(&args),
        Command::Demo { inside: None } => demo::command(),
        Command::Demo { inside: Some(tracer) } => demo::play(&tracer),
        Command::Test { no_live, no_vm, no_dist, args } => {
            test::command(no_live, no_vm, no_dist, &args)
        }
        Command::Vm(options) => vm::command(&options),
        Command::Dist(options) => dist::command(&options),
        Command::Lint => lint::command(),
        Command::Fuzz { seconds, targets } => fuzz::command(seconds, &targets),
        Command::Compare => compare::command(),
        Command::Instructions { misses: true, .. } => instructions::misses(),
        Command::Instructions { update, .. } => instructions::command(update),
        Command::Bench(options) => bench::command(&options),
        Command::Soak(options) => bench::soak::command(&options),
        Command::BenchPart(part) => bench::part(part),
        Command::Talk { word, messages } => demo::talk(&word, messages),
        Command::TestRunner { no_live, command } => test::runner(no_live, &command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
