//! The command line, as it is typed.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::config::{PortList, Size};

const EXAMPLES: &str = "\
Examples:
  sudo tracer                               the conversation on port 7272, on every interface
  sudo tracer -p 80,8000-8100 -i eth0       other ports, one interface
  sudo tracer --segments -X                 with every TCP segment, payloads in hexadecimal too
  sudo tracer --format json > chat.jsonl    one JSON object a line
  tcpdump -w - port 7272 | tracer -r -      decode a capture; needs no privileges
";

/// Shows what a WebSocket service says and hears: every message, decoded and unmasked, as it
/// happens, without touching the service.
#[derive(Debug, Parser)]
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

    /// Decode a pcap or pcapng file instead of the network; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    pub read: Option<PathBuf>,

    /// Output format [default: text on a terminal, json otherwise]
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

    /// Payload bytes to show of each message; `0` shows none
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

    /// How to attach to interfaces; `auto` tries TCX (Linux 6.6) and falls back to clsact
    #[arg(long, value_name = "HOW", default_value = "auto", conflicts_with = "read")]
    pub attach: Attach,

    /// Size of the ring buffer between kernel and tracer [default: by the machine's caches]
    #[arg(long, value_name = "SIZE", conflicts_with = "read")]
    pub ring_size: Option<Size>,
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
