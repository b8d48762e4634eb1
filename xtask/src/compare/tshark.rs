//! tshark's side: a capture goes in, what its WebSocket dissector shows comes out.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{dissection, node::Node, said::Said};
use crate::{setup, shell};

/// One way to ask tshark.
pub(super) struct Setting {
    /// What it is called in the table.
    pub(super) name: &'static str,
    args: &'static [&'static str],
}

/// The ways, of which each capture gets the best one: what helps with one hurts with another.
pub(super) const SETTINGS: [Setting; 3] = [
    Setting { name: "a", args: &["-d", "tcp.port==7272,http"] },
    Setting {
        name: "b",
        args: &["-d", "tcp.port==7272,http", "-o", "tcp.reassemble_out_of_order:TRUE", "-2"],
    },
    Setting { name: "c", args: &["-d", "tcp.port==7272,websocket"] },
];

/// What every way has: its defaults, said aloud, and as many frames in a packet as there are.
const COMMON: [&str; 8] = [
    "-o",
    "tcp.desegment_tcp_streams:TRUE",
    "-o",
    "http.desegment_headers:TRUE",
    "-o",
    "websocket.decompress:TRUE",
    "-o",
    "gui.max_tree_depth:1000000",
];

/// The layers to print, and what they are made of: all that may hold a payload.
const OUTPUT: [&str; 6] = ["-T", "jsonraw", "-J", "tcp websocket data", "-Y", "websocket"];

impl Setting {
    /// As one would type it.
    pub(super) fn describe(&self) -> String {
        self.args.join(" ")
    }

    /// Has tshark read a capture; also says how long that took.
    pub(super) fn read(&self, file: &Path) -> Result<(Said, Duration)> {
        let mut command = tshark();
        command.args(self.args).args(COMMON).args(OUTPUT).arg("-r").arg(file);
        shell::announce(&command);
        let start = Instant::now();
        let output = shell::output(&mut command)?;
        let time = start.elapsed();
        let packets: Vec<Node> = serde_json::from_str(&output)
            .with_context(|| format!("tshark's output about {} is no JSON", file.display()))?;
        Ok((dissection::said(&packets), time))
    }
}

/// What every way has, as one would type it.
pub(super) fn describe_common() -> String {
    COMMON.join(" ")
}

/// Makes sure that it is there, and gives its version.
pub(super) fn ensure() -> Result<String> {
    setup::program("tshark", "tshark", "with which the tracer is compared")?;
    let version = shell::output(tshark().arg("--version"))?;
    let first = version.lines().next().context("tshark says nothing of its version")?;
    Ok(first.split(" (Git").next().unwrap_or(first).trim_end_matches('.').to_owned())
}

/// Writes any capture file as classic pcap.
pub(super) fn convert(from: &Path, to: &Path) -> Result<()> {
    shell::output(tshark().arg("-r").arg(from).args(["-F", "pcap", "-w"]).arg(to)).map(drop)
}

/// Without name resolution, and without the user's own preferences.
fn tshark() -> Command {
    let mut command = Command::new("tshark");
    command.arg("-n").env("WIRESHARK_CONFIG_DIR", "/nonexistent");
    command
}
