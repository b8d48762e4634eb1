//! The captures that both tools read: as they were taken, and damaged in ways that captures are.

use std::{
    fs, mem,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    pcap::{Capture, Packet},
    said::Said,
    truth, tshark,
    whole::whole,
};
use crate::shell;

/// A capture, and how it is damaged.
pub(super) struct Case {
    capture: &'static str,
    damage: Damage,
}

enum Damage {
    None,
    /// Another file, made from the capture.
    File(&'static str),
    /// Something done here, and what to call it.
    Done(&'static str, fn(&mut Capture)),
}

/// A case made ready.
pub(super) struct Ready {
    /// What it is called in the table.
    pub(super) name: String,
    /// The file to read.
    pub(super) file: PathBuf,
    /// What can be known from it.
    pub(super) truth: Said,
}

/// Those that are damaged have one connection, without which the rule for what is left would have
/// to know more of HTTP.
const CASES: [Case; 21] = [
    as_taken("ws-plain"),
    as_taken("ws-closecodes"),
    as_taken("ws-coalesced"),
    as_taken("ws-ipv6"),
    as_taken("ws-deflate-takeover"),
    as_taken("ws-deflate-no-takeover"),
    as_taken("pyws-chromium"),
    as_taken("socketio"),
    as_taken("http-plain"),
    as_taken("ws-tls"),
    Case { capture: "ws-plain", damage: Damage::File("ws-plain.lost.pcap") },
    Case { capture: "ws-plain", damage: Damage::File("ws-plain.snap96.pcap") },
    joined_late("ws-plain"),
    joined_late("ws-coalesced"),
    joined_late("ws-deflate-no-takeover"),
    joined_late("ws-deflate-takeover"),
    lossy("ws-plain"),
    lossy("ws-coalesced"),
    lossy("ws-deflate-no-takeover"),
    Case { capture: "ws-plain", damage: Damage::Done("segments out of order", reorder) },
    Case { capture: "ws-plain", damage: Damage::Done("every 5th packet twice", repeat) },
];

const fn as_taken(capture: &'static str) -> Case {
    Case { capture, damage: Damage::None }
}

const fn joined_late(capture: &'static str) -> Case {
    Case { capture, damage: Damage::Done("first 20 packets missing", behead) }
}

const fn lossy(capture: &'static str) -> Case {
    Case { capture, damage: Damage::Done("every 20th data segment missing", lose) }
}

fn behead(capture: &mut Capture) {
    capture.packets.drain(..20);
}

fn lose(capture: &mut Capture) {
    let mut count = 0_usize;
    capture.packets.retain(|packet| {
        count += usize::from(packet.has_data());
        !(packet.has_data() && count.is_multiple_of(20))
    });
}

/// Two segments of one sender that follow each other change places, in time too.
fn reorder(capture: &mut Capture) {
    let is_pair = |one: &Packet, other: &Packet| {
        let sender = |packet: &Packet| packet.segment().map(|segment| segment.sender);
        one.has_data() && other.has_data() && sender(one) == sender(other)
    };
    let mut rest = &mut capture.packets[..];
    while let [one, other, ..] = rest {
        let is_pair = is_pair(one, other);
        if is_pair {
            mem::swap(one, other);
            mem::swap(&mut one.time, &mut other.time);
        }
        rest = &mut rest[if is_pair { 2 } else { 1 }..];
    }
}

/// As a retransmission whose first copy did arrive, or a mirror port that sees packets twice.
fn repeat(capture: &mut Capture) {
    let packets = capture.packets.iter().enumerate();
    let twice = packets.flat_map(|(n, packet)| vec![packet.clone(); 1 + usize::from(n % 5 == 4)]);
    capture.packets = twice.collect();
}

/// Writes the damaged captures to `folder`, and works out what is left in them.
pub(super) fn prepare(folder: &Path) -> Result<Vec<Ready>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    CASES.iter().map(|case| case.prepare(folder)).collect()
}

impl Case {
    fn prepare(&self, folder: &Path) -> Result<Ready> {
        let Self { capture, damage } = self;
        let original = stored(&format!("{capture}.pcap"));
        let truth = truth::load(&stored(&format!("{capture}.truth.jsonl")))?;
        let (name, file, damaged) = match damage {
            Damage::None => {
                return Ok(Ready { name: (*capture).to_owned(), file: original, truth });
            }
            Damage::File(name) => {
                let file = stored(name);
                let classic = folder.join(name);
                tshark::convert(&file, &classic)?;
                (name.trim_end_matches(".pcap").to_owned(), file, Capture::read(&classic)?)
            }
            Damage::Done(how, damage) => {
                let mut damaged = Capture::read(&original)?;
                damage(&mut damaged);
                let name = format!("{capture}, {how}");
                let file = folder.join(name.replace([',', ' '], "-")).with_extension("pcap");
                damaged.write(&file)?;
                (name, file, damaged)
            }
        };
        let truth = whole(&truth, &Capture::read(&original)?, &damaged)
            .with_context(|| format!("cannot tell what is left in {name}"))?;
        Ok(Ready { name, file, truth })
    }
}

fn stored(name: &str) -> PathBuf {
    shell::workspace().join("tracer/tests/captures").join(name)
}
