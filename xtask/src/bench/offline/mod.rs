//! How fast capture files are decoded: two files are made in memory, and read by each program.

mod capture;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{load::Conversation, sandbox, statistics::median};
use crate::shell;

/// How often each file is read; the median counts.
const TIMES: usize = 3;

/// Messages of 100 bytes, both ways over 64 connections.
const SMALL: Contents = Contents { length: 100, connections: 64, messages: 2_000_000 };
/// Messages of 64 KiB, from the server over one.
const LARGE: Contents = Contents { length: 64 << 10, connections: 1, messages: 16_000 };
/// What tshark gets of it, so that it ends.
const PART: Contents = Contents { messages: 100_000, ..SMALL };

/// What is in a capture file.
#[derive(Clone, Copy)]
struct Contents {
    length: usize,
    connections: u16,
    messages: u64,
}

/// How long a program took for a file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Offline {
    pub(super) command: String,
    pub(super) messages: u64,
    /// Of payload.
    pub(super) bytes: u64,
    /// The median, start and end of the program included.
    pub(super) seconds: f64,
}

impl Offline {
    /// Bytes of a message.
    pub(super) fn length(&self) -> u64 {
        self.bytes / self.messages.max(1)
    }
}

/// Measures in a new process, in namespaces of its own.
pub(super) fn run(tracer: &Path) -> Result<Vec<Offline>> {
    let mut command = sandbox::part("offline")?;
    // What it says of its progress is to be seen at once.
    command.arg("--tracer").arg(tracer).stderr(Stdio::inherit());
    let output = command.output().context("unshare is missing")?;
    ensure!(output.status.success(), "capture files could not be read ({})", output.status);
    serde_json::from_slice(&output.stdout).context("odd figures")
}

/// Makes the files and has them read.
pub(super) fn measure(tracer: &Path) -> Result<Vec<Offline>> {
    let directory = sandbox::settle()?;
    let mut measured = Vec::new();
    for (contents, arguments) in [
        (SMALL, "--format json --read"),
        (SMALL, "--format json --payload-limit 0 --read"),
        (LARGE, "--format json --read"),
        (LARGE, "--format json --payload-limit 0 --read"),
    ] {
        let file = made(directory, contents)?;
        let mut command = Command::new(tracer);
        command.args(arguments.split(' ')).arg(file);
        measured.push(time(command, &format!("tracer {arguments} FILE"), contents)?);
    }
    if let Some(tshark) = shell::find("tshark") {
        let arguments = "-n -d tcp.port==7272,http -Y websocket -T fields -e frame.time_epoch \
                         -e tcp.stream -e websocket.opcode -e websocket.payload.text -r";
        let mut command = Command::new(tshark);
        command.args(arguments.split(' ')).arg(made(directory, PART)?);
        measured.push(time(command, &format!("tshark {arguments} FILE"), PART)?);
    }
    Ok(measured)
}

/// The file with these contents, made when it is not there. Only one is kept: memory is finite.
fn made(directory: &Path, contents: Contents) -> Result<PathBuf> {
    let Contents { length, connections, messages } = contents;
    let file = directory.join(format!("{messages}-of-{length}.pcap"));
    if !file.exists() {
        for old in fs::read_dir(directory)? {
            fs::remove_file(old?.path())?;
        }
        let conversation = Conversation::of(length);
        capture::write(&file, &conversation, connections, messages)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(file)
}

fn time(mut command: Command, name: &str, contents: Contents) -> Result<Offline> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut seconds = Vec::new();
    for _ in 0..TIMES {
        let begin = Instant::now();
        let status = command.status().with_context(|| format!("cannot start `{name}`"))?;
        ensure!(status.success(), "`{name}` fails ({status})");
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let seconds = median(seconds).context("it was never read")?;
    eprintln!("bench: {seconds:.2} s for {} messages: {name}", contents.messages);
    Ok(Offline {
        command: name.to_owned(),
        messages: contents.messages,
        bytes: contents.messages * contents.length as u64,
        seconds,
    })
}
