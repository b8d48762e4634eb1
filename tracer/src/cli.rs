//! The command line, as it is typed.

use std::path::{Path, PathBuf};

use ::tracing::level_filters::LevelFilter;
use clap::{Args, Parser, ValueEnum, ValueHint};
use tracer_common::record::MAX_RINGS;

use crate::{
    config::{MetricsAddress, PortList, Size},
    config_file,
    sink::{Span, Target},
};

const EXAMPLES: &str = "\
Examples:
  sudo tracer                               the conversation on port 7272, on every interface
  sudo tracer -p 80,8000-8100 -i eth0       other ports, one interface
  sudo tracer --segments -X                 with every TCP segment, payloads in hexadecimal too
  sudo tracer --format json > chat.jsonl    one JSON object a line
  sudo tracer -o - -o /var/log/chat.jsonl   standard output, and a file that is appended to
  tcpdump -w - port 7272 | tracer -r -      decode a capture; needs no privileges
";

/// Shows what a WebSocket service says and hears: every message, decoded and unmasked, as it
/// happens, without touching the service.
#[derive(Clone, Debug, Parser)]
#[command(name = "tracer", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// Ports to trace: a list of ports and ranges
    #[arg(short, long, value_name = "PORTS", default_value = "7272")]
    pub port: PortList,

    /// Interfaces to trace, repeatable or comma-separated; `any` follows interfaces that come and go
    #[arg(
        short,
        long,
        value_name = "NAMES",
        default_value = "any",
        value_delimiter = ',',
        conflicts_with = "read"
    )]
    pub interface: Vec<String>,

    /// Trace inside a network namespace: a name of `ip netns`, the id of a process inside, or a path
    #[arg(
        long,
        value_name = "NAME|PID",
        conflicts_with = "read",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub netns: Option<String>,

    /// Decode a pcap or pcapng file instead of the network; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    pub read: Option<PathBuf>,

    /// Where events go, repeatable: `-` (standard output), a file, `journald`, or a socket that
    /// somebody listens on, `unix:PATH` or `tcp:HOST:PORT`
    #[arg(short, long, value_name = "TARGET", default_value = "-")]
    pub output: Vec<Target>,

    /// Output format, of all outputs but `journald` [default: text on a terminal, json otherwise]
    #[arg(long)]
    pub format: Option<FormatName>,

    /// Colour in text output; `auto` is for terminals, unless `NO_COLOR` is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,

    /// Show every TCP segment too: flags, relative seq and ack, window, options, length
    #[arg(long)]
    pub segments: bool,

    /// Show every WebSocket frame too, not only messages
    #[arg(long)]
    pub frames: bool,

    /// Show payloads as hexadecimal and ASCII too (in text output)
    #[arg(short = 'X', long)]
    pub hex: bool,

    /// Copy at most this many payload bytes of each segment out of the kernel
    #[arg(short, long, value_name = "BYTES", conflicts_with = "read")]
    pub snaplen: Option<u32>,

    /// Payload bytes to show of each message; `0` shows none, `unlimited` as many as an eighth of
    /// --memory-limit
    #[arg(long, value_name = "SIZE", default_value = "4KiB")]
    pub payload_limit: Size,

    /// Stop after this many messages
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Show cookies, credentials and tokens as they are, instead of `***`
    #[arg(long)]
    pub show_secrets: bool,

    /// Emit a `stats` event every so many seconds while there is traffic; `0`: only at the end
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub stats_interval: u64,

    /// What captures; `libpcap`, where it was built in, is for hosts that allow no eBPF
    #[arg(long, value_name = "WHAT", default_value = "bpf", conflicts_with = "read")]
    pub source: CaptureName,

    /// How to attach to interfaces; `auto` tries TCX (Linux 6.6) and falls back to clsact
    #[arg(long, value_name = "HOW", default_value = "auto", conflicts_with = "read")]
    pub attach: Attach,

    /// Threads that decode, each with connections and a ring buffer of its own [default: one for every
    /// four CPUs, 8 at most]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RINGS)),
        conflicts_with = "read"
    )]
    pub threads: Option<u32>,

    /// Size of all ring buffers between kernel and tracer together [default: by the machine's caches]
    #[arg(long, value_name = "SIZE", conflicts_with = "read")]
    pub ring_size: Option<Size>,

    /// Go on copying connections out of the kernel that are no WebSocket, and long HTTP bodies;
    /// without this, and without --segments, only ends and heads are
    #[arg(long, conflicts_with = "read")]
    pub no_bypass: bool,

    /// Serve metrics in OpenMetrics form, as `/metrics` at this address [without one: 127.0.0.1:9272]; `off`
    /// serves none, where a file says otherwise
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = MetricsAddress::DEFAULT,
        conflicts_with = "read"
    )]
    pub metrics: Option<MetricsAddress>,
    /// Keep capabilities and all system calls when everything is open, to be told of programs that
    /// others attach before the tracer's by TCX
    #[arg(long, conflicts_with = "read")]
    pub keep_privileges: bool,

    /// Where the tracer's own messages go; `auto` is the journal where stderr is connected with it
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    pub log: LogTarget,

    /// The least important of the tracer's own messages to write
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// Read options from a TOML file, in which each key is a long option without its dashes; those on
    /// the command line win. SIGHUP reads it again
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Check the configuration file and end [default file: /etc/tracer/tracer.toml]
    #[arg(long)]
    pub check_config: bool,

    /// Outputs that are not a terminal or a pipe.
    #[command(flatten)]
    pub outputs: OutputArgs,

    /// Bounds of memory and time.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl Cli {
    /// The configuration file, if there is to be one.
    pub fn config_file(&self) -> Option<&Path> {
        let default = self.check_config.then_some(Path::new(config_file::PATH));
        self.config.as_deref().or(default)
    }
}

/// What becomes of files, and of events that wait.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Outputs")]
pub struct OutputArgs {
    /// Begin a new file before it has more bytes; the old ones are FILE.1, FILE.2 …
    #[arg(long, value_name = "SIZE")]
    pub rotate_size: Option<Size>,

    /// Begin a new file at this age of the old one: 3600, 90s, 15m, 12h, 7d
    #[arg(long, value_name = "TIME")]
    pub rotate_age: Option<Span>,

    /// Old files to keep
    #[arg(
        long,
        value_name = "N",
        default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(1..=9_999)
    )]
    pub rotate_keep: u32,

    /// Events that wait for each output; beyond, they are dropped and counted [default: as much as all
    /// ring buffers hold, at least 8MiB]
    #[arg(long, value_name = "SIZE")]
    pub output_buffer: Option<Size>,
}

/// Bounds of memory and time, each with its default.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Connections followed at a time; beyond, the one not seen for longest is given up
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = at_least_one())]
    pub max_connections: u32,

    /// SYNs remembered until they are answered
    #[arg(long, value_name = "N", default_value_t = 16_384, value_parser = at_least_one())]
    pub max_half_open: u32,

    /// Memory for what is not complete, of all connections; beyond, those that hold most are given up
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub memory_limit: Size,

    /// Memory for what waits behind a missing segment, of one direction
    #[arg(long, value_name = "SIZE", default_value = "4MiB")]
    pub reorder_limit: Size,

    /// How long to wait for a missing segment that nobody has acknowledged; 20 times as long while the
    /// capture has missed nothing, so that TCP must send it again
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    pub reorder_timeout: u64,

    /// A connection silent for so long is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 7_800)]
    pub idle_timeout: u64,

    /// Inflate machines, at 64 KiB of memory each; the one not used for longest changes hands
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_inflating: u32,
}

fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// Output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatName {
    /// For people.
    Text,
    /// JSON Lines, for programs.
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What captures from the running kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CaptureName {
    /// The eBPF classifier.
    Bpf,
    /// libpcap, as tcpdump does.
    Libpcap,
}

/// Where the tracer's own messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogTarget {
    /// The journal where stderr is connected with it, else stderr.
    Auto,
    /// Standard error.
    Stderr,
    /// The journal.
    Journald,
}

/// How important the tracer's own messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// It cannot go on.
    Error,
    /// Something is missed, or will be.
    Warn,
    /// What changes.
    Info,
    /// What helps to find a fault.
    Debug,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

/// How to attach the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attach {
    /// TCX where the kernel has it, else clsact.
    Auto,
    /// TCX links only.
    Tcx,
    /// Filters on a clsact qdisc only.
    Clsact,
}
