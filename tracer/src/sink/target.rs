//! What `--output` takes: the name of a place where events go, and how long a file there may grow.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// Where journald listens (systemd-journald.service(8)).
const JOURNALD: &str = "/run/systemd/journal/socket";

/// A place where events go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file that lines are appended to.
    File(PathBuf),
    /// The systemd journal, by the socket that journald listens on.
    Journald(PathBuf),
    /// A UNIX stream socket that somebody listens on.
    Unix(PathBuf),
    /// The same for TCP: a host and a port.
    Tcp(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("", _) => Err("an output has no name".to_owned()),
            ("-", "") => Ok(Self::Stdout),
            ("journald", "") => Ok(Self::Journald(JOURNALD.into())),
            ("journald", socket) => Ok(Self::Journald(socket.into())),
            ("unix", "") => Err("name the socket: unix:/run/collector.sock".to_owned()),
            ("unix", socket) => Ok(Self::Unix(socket.into())),
            ("tcp", address) => tcp(address),
            // A file's name may have a colon, but it is rather a kind of output that there is not.
            (kind, _) if text.contains(':') && !kind.contains('/') => Err(format!(
                "there is no output `{kind}:`; there are unix:PATH and tcp:HOST:PORT, and a file of \
                 this name is written ./{text}"
            )),
            _ => Ok(Self::File(text.into())),
        }
    }
}

fn tcp(address: &str) -> Result<Target, String> {
    let is_address = address.rsplit_once(':').is_some_and(|(host, port)| {
        let is_bracketed = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (is_bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
    });
    if is_address {
        Ok(Target::Tcp(address.to_owned()))
    } else {
        Err(format!("`{address}` is no host and port: write tcp:collector:5170 or tcp:[::1]:5170"))
    }
}

impl Target {
    /// The port of the host that it is on.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => address.rsplit_once(':')?.1.parse().ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
            Self::Journald(socket) if socket == Path::new(JOURNALD) => f.write_str("journald"),
            Self::Journald(socket) => write!(f, "journald:{}", socket.display()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// When a file gives way to a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes that it has at most, unless a single event is larger.
    pub size: Option<u64>,
    /// The age at which it gives way.
    pub age: Option<Duration>,
    /// How many old files stay.
    pub keep: u32,
}

/// A time span: `90`, `90s`, `15m`, `12h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no time span: write 3600, 90s, 15m, 12h or 7d");
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let unit = match unit.trim() {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        let seconds = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
        match seconds {
            None | Some(0) => Err(wrong()),
            Some(seconds) => Ok(Self(Duration::from_secs(seconds))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart_by_their_beginnings() {
        let file = |name: &str| Ok(Target::File(name.into()));
        let tcp = |address: &str| Ok(Target::Tcp(address.to_owned()));
        for (text, target) in [
            ("-", Ok(Target::Stdout)),
            ("journald", Ok(Target::Journald(JOURNALD.into()))),
            ("journald:/run/x", Ok(Target::Journald("/run/x".into()))),
            ("unix:/run/x", Ok(Target::Unix("/run/x".into()))),
            ("tcp:localhost:5170", tcp("localhost:5170")),
            ("tcp:[::1]:5170", tcp("[::1]:5170")),
            ("events,jsonl", file("events,jsonl")),
            ("./journald", file("./journald")),
            ("/var/log/a:b", file("/var/log/a:b")),
            ("./tcp:x:1", file("./tcp:x:1")),
        ] {
            assert_eq!(text.parse::<Target>(), target, "{text}");
        }
        for wrong in
            ["", ":", "unix:", "tcp:", "tcp:x", "tcp::1", "tcp:::1:80", "tcp:x:70000", "udp:x:1"]
        {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn time_spans_have_units() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        for wrong in
            ["", "0", "0d", "h", "-1", "1.5h", "1w", "99999999999999999999", "999999999999999999d"]
        {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
