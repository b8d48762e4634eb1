//! Raw arguments become one validated configuration before anything runs.

mod outputs;

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use outputs::{Looks, not_to_itself, wanted_outputs};

use ::tracing::level_filters::LevelFilter;
use tracer_common::ports::PortSet;

use crate::{
    cli::{Attach, CaptureName, Cli, LimitArgs},
    segment::{Nanos, SECOND},
    session::{Limits, Options},
    sink::Wanted,
};

/// What a run is to do.
#[derive(Clone)]
pub struct Config {
    /// Where segments come from.
    pub source: Source,
    /// The traced ports, as they were written.
    pub ports: PortList,
    /// What is wanted of the decoder.
    pub options: Options,
    /// Where events go, and how they look there.
    pub outputs: Vec<Wanted>,
    /// Messages to stop after.
    pub count: Option<u64>,
    /// Time between `stats` events; `None`: only at the end.
    pub stats_interval: Option<Nanos>,
    /// The least important of our own messages to write.
    pub log_level: LevelFilter,
}

/// Where segments come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A capture file.
    File(PathBuf),
    /// Standard input, a capture file too.
    Stdin,
    /// The running kernel.
    Live(Live),
}

/// How to capture from the running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The interfaces by name; `None` is every one.
    pub interfaces: Option<Vec<String>>,
    /// The network namespace, as the user calls it; `None` is our own.
    pub netns: Option<String>,
    /// Payload bytes to copy of each segment at most.
    pub snaplen: u32,
    /// What captures.
    pub capture: CaptureName,
    /// How to attach.
    pub attach: Attach,
    /// Threads that decode, where the user said.
    pub threads: Option<u32>,
    /// Bytes of all ring buffers, where the user said.
    pub ring_size: Option<u32>,
    /// Keep the privileges that only starting needs.
    pub keep_privileges: bool,
    /// Leave out in the kernel what was found to be no WebSocket.
    pub bypass: bool,
    /// Payload bytes of a binary message behind which the kernel need not copy; `u32::MAX`: none.
    pub shown: u32,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
}

impl Live {
    /// The interfaces that are named and are not among these.
    pub fn missing<'a>(
        &self,
        present: impl Iterator<Item = &'a str> + Clone,
    ) -> impl Iterator<Item = &str> {
        let names = self.interfaces.iter().flatten().map(String::as_str);
        names.filter(move |name| !present.clone().any(|known| known == *name))
    }

    /// Whether an interface of this name is to be traced.
    pub fn wants(&self, name: &str) -> bool {
        self.interfaces.as_ref().is_none_or(|names| names.iter().any(|known| known == name))
    }
}

/// Of messages that are shown as far as this and further, everything is copied: following their
/// frames in the kernel saves too little.
const MAX_ELIDING_LIMIT: usize = 32 << 10;

/// What the program finds around it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// Standard output is a terminal.
    pub is_terminal: bool,
    /// `NO_COLOR` is set, or the terminal is dumb.
    pub is_colorless: bool,
}

impl Config {
    /// Validates arguments. The error is a sentence for the user.
    pub fn new(cli: Cli, surroundings: Surroundings) -> Result<Self, String> {
        let Cli {
            port,
            interface,
            netns,
            read,
            output,
            format,
            color,
            segments,
            frames,
            hex,
            snaplen,
            payload_limit,
            count,
            show_secrets,
            stats_interval,
            source: capture,
            attach,
            threads,
            ring_size,
            no_bypass,
            keep_privileges,
            outputs,
            metrics,
            limits,
            log: _,
            log_level,
            config: _,
            check_config: _,
        } = cli;
        let looks = Looks { format, color, hex, surroundings };
        // Who asks for every segment gets every segment, and gaps where they are cut.
        let elides = snaplen.is_none() && !segments && payload_limit.0 <= MAX_ELIDING_LIMIT;
        let source = match read {
            Some(path) if path.as_os_str() == "-" => Source::Stdin,
            Some(path) => Source::File(path),
            None => Source::Live(Live {
                interfaces: interface_names(interface)?,
                netns,
                snaplen: snaplen.unwrap_or(u32::MAX),
                capture: supported(capture, attach, threads)?,
                attach,
                threads,
                ring_size: ring_size.map(ring_bytes).transpose()?,
                keep_privileges,
                // Who asks for every segment gets every segment.
                bypass: !no_bypass && !segments,
                shown: if elides { payload_limit.0 as u32 } else { u32::MAX },
                metrics: metrics.and_then(|MetricsAddress(address)| address),
            }),
        };
        if matches!(source, Source::Live(_)) {
            not_to_itself(&output, &port)?;
        }
        Ok(Self {
            source,
            options: Options {
                ports: port.set(),
                segments,
                frames,
                show_secrets,
                limits: bounds(&limits, payload_limit),
            },
            ports: port,
            outputs: wanted_outputs(output, &outputs, looks)?,
            count,
            stats_interval: (stats_interval > 0).then(|| stats_interval.saturating_mul(SECOND)),
            log_level: log_level.into(),
        })
    }
}

impl Config {
    /// The network namespace of a live run, unless it is our own.
    pub fn netns(&self) -> Option<&str> {
        match &self.source {
            Source::Live(live) => live.netns.as_deref(),
            Source::File(_) | Source::Stdin => None,
        }
    }
}

fn bounds(limits: &LimitArgs, payload: Size) -> Limits {
    let LimitArgs {
        max_connections,
        max_half_open,
        memory_limit,
        reorder_limit,
        reorder_timeout,
        idle_timeout,
        max_inflating,
    } = *limits;
    Limits {
        // One message, escaped (a control character takes 6 bytes), has to fit as well.
        payload: payload.0.min(memory_limit.0 / 8),
        connections: max_connections as usize,
        half_open: max_half_open as usize,
        waiting_per_direction: reorder_limit.0,
        memory: memory_limit.0,
        reordering: reorder_timeout.saturating_mul(SECOND),
        idle: idle_timeout.saturating_mul(SECOND),
        inflaters: max_inflating as usize,
    }
}

/// `None` for `any`, which does not go with names.
fn interface_names(names: Vec<String>) -> Result<Option<Vec<String>>, String> {
    if names.iter().any(String::is_empty) {
        return Err("an interface name is empty".to_owned());
    }
    match names.iter().any(|name| name == "any") {
        false => Ok(Some(names)),
        true if names.len() == 1 => Ok(None),
        true => Err("`any` is every interface: name it alone, or name interfaces".to_owned()),
    }
}

/// Refuses a capture that was not built in, and an option that it would ignore.
fn supported(
    capture: CaptureName,
    attach: Attach,
    threads: Option<u32>,
) -> Result<CaptureName, String> {
    match capture {
        CaptureName::Libpcap if !cfg!(feature = "libpcap") => Err("this tracer was built without \
            libpcap: install libpcap-dev and build it with `cargo build --release -p tracer \
            --features libpcap`"
            .to_owned()),
        CaptureName::Libpcap if attach != Attach::Auto => {
            Err("libpcap attaches nothing: leave out --attach with --source libpcap".to_owned())
        }
        CaptureName::Libpcap if threads.is_some_and(|threads| threads > 1) => {
            Err("libpcap has one buffer, for one thread: leave out --threads with --source libpcap"
                .to_owned())
        }
        _ => Ok(capture),
    }
}

/// The kernel wants a power of two, of whole pages.
fn ring_bytes(size: Size) -> Result<u32, String> {
    const RANGE: std::ops::RangeInclusive<usize> = 64 << 10..=1 << 30;
    if !RANGE.contains(&size.0) {
        return Err("the ring size must be 64KiB to 1GiB".to_owned());
    }
    u32::try_from(size.0.next_power_of_two()).map_err(|error| error.to_string())
}

/// Ports as `7272,8080,9000-9010`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortList {
    text: String,
    ranges: Vec<(u16, u16)>,
}

impl PortList {
    /// The same as a set.
    pub fn set(&self) -> PortSet {
        let mut set = PortSet::EMPTY;
        for &(first, last) in &self.ranges {
            (first..=last).for_each(|port| set.insert(port));
        }
        set
    }

    /// First and last port of each range; a single port is both.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }
}

impl fmt::Display for PortList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PortList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ranges = text
            .split(',')
            .map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let (first, last) = (port(first)?, port(last)?);
                if first > last {
                    return Err(format!("the range {part} runs backwards"));
                }
                Ok((first, last))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), ranges })
    }
}

fn port(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(0) | Err(_) => Err(format!("`{text}` is not a port: ports are 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

/// A number of bytes: `4096`, `4KiB`, `64k`, `1M`, `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("unlimited") {
            return Ok(Self(usize::MAX));
        }
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(format!("`{text}` is not a size: write 4096, 4KiB, 1M or unlimited")),
        };
        number
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a size: write 4096, 4KiB, 1M or unlimited"))
    }
}

/// Where metrics are served: an IP address and a port, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsAddress(pub Option<SocketAddr>);

impl MetricsAddress {
    /// Where they are unless the user says otherwise: nobody else can ask for them there.
    pub const DEFAULT: &str = "127.0.0.1:9272";
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not an address with a port: write {}, or off", Self::DEFAULT);
        match text {
            "off" => Ok(Self(None)),
            _ => text.parse().map(|address| Self(Some(address))).map_err(|_| wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn config(args: &[&str]) -> Result<Config, String> {
        let cli = Cli::try_parse_from([&["tracer"], args].concat()).map_err(|e| e.to_string())?;
        Config::new(cli, Surroundings::default())
    }

    fn live(args: &[&str]) -> Live {
        match config(args).map(|config| config.source) {
            Ok(Source::Live(live)) => live,
            other => panic!("{:?}", other.err()),
        }
    }

    #[test]
    fn port_lists_and_ranges() {
        let set = "7272, 8080,9000-9002".parse::<PortList>().unwrap().set();
        let ports: Vec<u16> = (0..=u16::MAX).filter(|&port| set.contains(port)).collect();
        assert_eq!(ports, [7272, 8080, 9000, 9001, 9002]);
        for wrong in ["0", "70000", "9-3", "abc", "", "1,,2", "1-2-3", "-5"] {
            assert!(wrong.parse::<PortList>().is_err(), "{wrong}");
        }
        assert!("1-65535".parse::<PortList>().is_ok());
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4KiB", 4096),
            ("64k", 65536),
            ("1M", 1 << 20),
            ("2gb", 2 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        assert_eq!("unlimited".parse(), Ok(Size(usize::MAX)));
        for wrong in ["", "k", "-1", "1.5k", "1x", "99999999999999999999", "18446744073709551615k"]
        {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_is_every_interface() {
        assert_eq!(live(&[]).interfaces, None);
        let named = live(&["-i", "lo,eth0", "-i", "eth1"]).interfaces.unwrap();
        assert_eq!(named, ["lo", "eth0", "eth1"]);
        assert!(config(&["-i", "any,lo"]).is_err());
    }

    #[test]
    fn a_network_namespace_is_of_the_network() {
        assert_eq!(live(&[]).netns, None);
        assert_eq!(live(&["--netns", "blue"]).netns.as_deref(), Some("blue"));
        for wrong in [["--netns", ""].as_slice(), &["--netns", "blue", "-r", "x"]] {
            assert!(config(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_not_shown_need_not_be_copied_unless_segments_are_wanted() {
        assert_eq!(live(&[]).shown, 4096);
        assert_eq!(live(&["--payload-limit", "0", "--frames", "-X"]).shown, 0);
        for all in [["--payload-limit", "unlimited"], ["--payload-limit", "64KiB"], ["-s", "9000"]]
        {
            assert_eq!(live(&all).shown, u32::MAX, "{all:?}");
        }
        assert_eq!(live(&["--segments"]).shown, u32::MAX);
    }

    #[test]
    fn libpcap_is_refused_where_it_cannot_be_had_or_does_not_fit() {
        assert_eq!(live(&[]).capture, CaptureName::Bpf);
        assert_eq!(config(&["--source", "libpcap"]).is_ok(), cfg!(feature = "libpcap"));
        assert!(config(&["--source", "libpcap", "--attach", "tcx"]).is_err());
        assert!(config(&["--source", "libpcap", "--threads", "2"]).is_err());
        assert!(config(&["--source", "libpcap", "-r", "x"]).is_err());
    }

    #[test]
    fn metrics_are_on_loopback_unless_an_address_is_given() {
        let address = |args: &[&str]| live(args).metrics.map(|address| address.to_string());
        assert_eq!(address(&[]), None);
        assert_eq!(address(&["--metrics"]).as_deref(), Some("127.0.0.1:9272"));
        assert_eq!(address(&["--metrics", "--port", "80"]).as_deref(), Some("127.0.0.1:9272"));
        assert_eq!(address(&["--metrics", "[::1]:80"]).as_deref(), Some("[::1]:80"));
        assert_eq!(address(&["--metrics", "off"]), None);
        for wrong in ["", "9272", "127.0.0.1", "localhost:9272", "127.0.0.1:99999"] {
            assert!(config(&[&format!("--metrics={wrong}")]).is_err(), "{wrong}");
        }
        assert!(config(&["--metrics", "-r", "x"]).is_err());
    }

    #[test]
    fn threads_are_as_many_as_there_can_be_rings() {
        assert_eq!(live(&[]).threads, None);
        assert_eq!(live(&["--threads", "64"]).threads, Some(64));
        for wrong in ["0", "65", "-1", "many"] {
            assert!(config(&["--threads", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ring_sizes_are_powers_of_two() {
        assert_eq!(live(&["--ring-size", "3M"]).ring_size, Some(4 << 20));
        assert!(config(&["--ring-size", "1k"]).is_err());
    }

    #[test]
    fn the_options_default_to_the_documented_limits() {
        let limits = config(&[]).unwrap().options.limits;
        assert_eq!(limits, Limits::default());
        let limits =
            config(&["--memory-limit", "1M", "--idle-timeout", "9"]).unwrap().options.limits;
        assert_eq!((limits.memory, limits.idle), (1 << 20, 9 * SECOND));
        assert!(config(&["--max-connections", "0"]).is_err());
        let limits = config(&["--payload-limit", "unlimited"]).unwrap().options.limits;
        assert_eq!(limits.payload, limits.memory / 8, "what is shown is a part of what is held");
    }

    #[test]
    fn a_file_does_not_go_with_capture_options() {
        assert!(config(&["-r", "x", "-i", "lo"]).is_err());
        assert!(config(&["-r", "x", "-s", "96"]).is_err());
        assert!(config(&["-r", "x", "--threads", "2"]).is_err());
        assert_eq!(config(&["-r", "-"]).unwrap().source, Source::Stdin);
    }
}
