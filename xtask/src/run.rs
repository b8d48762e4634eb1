//! `cargo xtask run`: the tracer is built and takes our place, as root if what it is asked needs it.

use std::{ffi::OsString, os::unix::ffi::OsStrExt as _, process::Command};

use anyhow::Result;

use crate::{build, shell};

/// Builds the tracer and becomes it.
pub(crate) fn command(args: &[OsString]) -> Result<()> {
    let tracer = build::release()?;
    let mut command =
        if needs_root(args) { shell::privileged(&tracer) } else { Command::new(&tracer) };
    command.args(args);
    shell::announce(&command);
    shell::replace(&mut command)
}

/// Only the live network needs privileges: not a file, nor a question about the tracer itself.
fn needs_root(args: &[OsString]) -> bool {
    !args.iter().take_while(|arg| *arg != "--").any(|arg| is_harmless(arg.as_bytes()))
}

fn is_harmless(arg: &[u8]) -> bool {
    match arg {
        [b'-', b'-', long @ ..] => {
            let name = long.split(|&byte| byte == b'=').next().unwrap_or_default();
            matches!(name, b"read" | b"help" | b"version")
        }
        // Short options may be joined, as in `-Xr FILE`; -X takes no value, the others end the word.
        [b'-', short @ ..] => {
            matches!(short.iter().find(|&&letter| letter != b'X'), Some(b'r' | b'h' | b'V'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks_for_root(line: &str) -> bool {
        needs_root(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_network_needs_root() {
        for line in ["", "-p 7272", "--port 7272 -i lo", "-X", "--segments", "-p7r", "-- -r"] {
            assert!(asks_for_root(line), "{line}");
        }
    }

    #[test]
    fn files_and_questions_do_not() {
        for line in ["-r f.pcap", "-rf.pcap", "-Xr f", "-p 80 --read=f", "--read -", "-h", "-V"] {
            assert!(!asks_for_root(line), "{line}");
        }
    }
}
