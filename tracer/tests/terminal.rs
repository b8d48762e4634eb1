//! Text for people: hostile traffic and terminals go in; lines that cannot harm a terminal, and
//! colour only where it is wanted, come out.

mod forge;

use std::{
    fs::{self, File, OpenOptions},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use forge::{CLOSE, Forged, TEXT, frame};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::TempDir;

const PING: u8 = 9;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Escape sequences, control characters of both sets, and every character that changes the
/// direction of text (Unicode Bidirectional Algorithm, UAX #9, section 2).
const HOSTILE: &str = "<\x1b[31mred\x1b]0;title\x07\r\x08\x7f\u{85}\u{9b}2J\u{202a}\u{202b}\u{202c}\
                       \u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}>";

fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// A connection on which everything that a peer can choose is hostile.
fn hostile_capture() -> (TempDir, PathBuf) {
    let [client, server] =
        ["192.0.2.1:50000", "192.0.2.2:7272"].map(|a| a.parse().expect("an address"));
    // A request line and a header with what HTTP parsers let through: C1 and bidi as UTF-8 bytes.
    let path = "/\u{202e}\u{9b}31m";
    let headers = format!("X-Evil: {path}\tend\r\n");
    let mut forged = Forged::new(client, server, path, &headers);
    forged.client(&frame(TEXT, Some(MASK), HOSTILE.as_bytes()));
    forged.server(&frame(TEXT, None, HOSTILE.as_bytes()));
    forged.server(&frame(TEXT, None, b"not UTF-8: \xff\x1b[2J\xc2"));
    forged.client(&frame(PING, Some(MASK), HOSTILE.as_bytes()));
    let close = [&1000_u16.to_be_bytes()[..], HOSTILE.as_bytes()].concat();
    forged.client(&frame(CLOSE, Some(MASK), &close));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("hostile.pcap");
    fs::write(&path, pcap(&forged.finish())).expect("a file can be written there");
    (directory, path)
}

/// A capture file of link type RAW (101): packets that begin with the IP header.
fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for field in [0xa1b2_c3d4_u32, 4 << 16 | 2, 0, 0, 65535, 101] {
        file.extend(field.to_le_bytes());
    }
    for (second, packet) in packets.iter().enumerate() {
        let len = packet.len() as u32;
        for field in [1_800_000_000 + second as u32, 0, len, len] {
            file.extend(field.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

fn tracer(file: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command.arg("--read").arg(file).args(args).stdin(Stdio::null()).env_remove("NO_COLOR");
    command
}

fn capture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/captures", name].iter().collect()
}

#[test]
fn nothing_from_the_network_reaches_the_terminal_raw() {
    let (_directory, file) = hostile_capture();
    for more in [&[][..], &["--hex"], &["--frames"], &["--segments"]] {
        let output =
            tracer(&file, &["--format", "text"]).args(more).output().expect("the tracer runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stdout.is_empty());
        for text in [output.stdout, output.stderr] {
            let text = String::from_utf8(text).expect("the output is UTF-8");
            // The tracer itself indents dumps by a tab, as tcpdump does.
            let mut lines = text.lines().map(|line| line.strip_prefix('\t').unwrap_or(line));
            let harm = lines.find(|line| line.contains(is_harmful));
            assert!(harm.is_none(), "{more:?}: {:?}", harm.unwrap());
        }
    }
}

#[test]
fn what_was_escaped_can_still_be_read() {
    let (_directory, file) = hostile_capture();
    let output = tracer(&file, &["--format", "text"]).output().expect("the tracer runs");
    let text = String::from_utf8(output.stdout).expect("the output is UTF-8");
    // Twice as a message, once each as a ping and as a close reason.
    for readable in ["[31mred", "]0;title", "2J", ">"] {
        assert!(text.matches(readable).count() >= 4, "{readable:?} in:\n{text}");
    }
}

#[test]
fn json_escapes_the_same_and_gives_the_payload_back() {
    let (_directory, file) = hostile_capture();
    let output = tracer(&file, &["--format", "json"]).output().expect("the tracer runs");
    let text = String::from_utf8(output.stdout).expect("the output is UTF-8");
    assert!(!text.contains(is_harmful), "{text:?}");
    let mut given_back = 0;
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        given_back += usize::from(event["text"] == HOSTILE && event["event"] == "ws.message");
    }
    assert_eq!(given_back, 2);
}

/// What the tracer writes to a terminal, a new pseudo-terminal in fact.
fn on_a_terminal(mut command: Command) -> String {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&controller).expect("it is ours");
    unlockpt(&controller).expect("it is ours");
    let name = ptsname(&controller, Vec::new()).expect("it has a name");
    let name = name.to_str().expect("a UTF-8 path").to_owned();
    let terminal = OpenOptions::new().read(true).write(true).open(name).expect("it opens");
    let mut child =
        command.stdout(terminal).stderr(Stdio::null()).spawn().expect("the tracer runs");
    // The terminal's last other end is now the child's.
    drop(command);
    let mut text = Vec::new();
    // Linux answers EIO, not an end of file, once nobody has the terminal open any more.
    let _eio = File::from(controller).read_to_end(&mut text);
    assert!(child.wait().expect("the tracer ends").success());
    String::from_utf8(text).expect("the output is UTF-8")
}

#[test]
fn a_terminal_gets_coloured_text_unless_no_color_is_set() {
    let file = capture("ws-ipv6.pcap");
    let coloured = on_a_terminal(tracer(&file, &[]));
    assert!(coloured.contains("\x1b["), "no colour in:\n{coloured}");
    assert!(!coloured.contains(r#"{"event""#), "JSON on a terminal:\n{coloured}");
    let mut plain = tracer(&file, &[]);
    plain.env("NO_COLOR", "1");
    let plain = on_a_terminal(plain);
    assert!(plain.contains("six") && !plain.contains('\x1b'), "{plain}");
}

#[test]
fn no_color_counts_only_when_it_is_not_empty() {
    // The convention at no-color.org: "when present and not an empty string".
    let mut command = tracer(&capture("ws-ipv6.pcap"), &[]);
    command.env("NO_COLOR", "");
    assert!(on_a_terminal(command).contains("\x1b["));
}

#[test]
fn a_pipe_gets_json_unless_text_is_asked_for_and_then_no_colour() {
    let file = capture("ws-ipv6.pcap");
    let json = tracer(&file, &[]).output().expect("the tracer runs").stdout;
    let json = String::from_utf8(json).expect("the output is UTF-8");
    assert!(json.lines().count() > 20 && json.lines().all(|line| line.starts_with('{')), "{json}");
    let text = tracer(&file, &["--format", "text"]).output().expect("the tracer runs").stdout;
    let text = String::from_utf8(text).expect("the output is UTF-8");
    assert!(text.contains("six") && !text.contains(['\x1b', '\r']), "{text}");
}
