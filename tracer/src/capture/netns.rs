//! Network namespaces: what the user calls one comes in, and the calling thread moves there.
//!
//! Sockets stay where they were made, and threads begin where their creator is: a run that moves
//! before it makes any captures inside, and still writes to what was opened outside.

use std::{
    fs,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Error, Result, anyhow};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// Where `ip netns` keeps the names.
const NAMES: &str = "/run/netns";

/// Moves the calling thread into a network namespace, which is named as ip(8) takes it: a path where
/// there is a slash, a name, or the number of a process that is inside.
pub fn enter(wanted: &str) -> Result<()> {
    let (path, namespace) = open(wanted)?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| refused(errno, wanted, &path))
}

/// How to run a command inside, for a hint.
pub fn command(wanted: &str, command: &str) -> String {
    let candidates = candidates(wanted);
    let path = candidates.iter().find(|path| path.exists()).or(candidates.first());
    let path = path.map(|path| path.display().to_string()).unwrap_or_default();
    format!("nsenter --net={path} {command}")
}

fn open(wanted: &str) -> Result<(PathBuf, OwnedFd)> {
    // Without NONBLOCK a named pipe would be waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for path in candidates(wanted) {
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => return Ok((path, file)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(refused(errno, wanted, &path)),
        }
    }
    Err(unknown(wanted, &names()))
}

/// What may be meant, in the order in which ip(8) tries it.
fn candidates(wanted: &str) -> Vec<PathBuf> {
    if wanted.contains('/') {
        return vec![wanted.into()];
    }
    let mut candidates = vec![Path::new(NAMES).join(wanted)];
    if is_number(wanted) {
        candidates.push(format!("/proc/{wanted}/ns/net").into());
    }
    candidates
}

fn is_number(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

/// The names that there are, in order.
fn names() -> Vec<String> {
    let entries = fs::read_dir(NAMES).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn unknown(wanted: &str, names: &[String]) -> Error {
    if wanted.contains('/') {
        return anyhow!("there is no network namespace {wanted}: no such file");
    }
    let what = if is_number(wanted) { "process" } else { "network namespace" };
    let known = match names {
        [] => format!("{NAMES} has no names"),
        names => format!("{NAMES} has {}", names.join(", ")),
    };
    anyhow!("there is no {what} {wanted}: {known}; give one of these, a process id, or a path")
}

/// What the kernel's answer means.
fn refused(errno: Errno, wanted: &str, path: &Path) -> Error {
    match errno {
        Errno::PERM | Errno::ACCESS => anyhow!(
            "no permission to enter the network namespace {wanted}: run `sudo tracer ...` (it wants \
             CAP_SYS_ADMIN)"
        ),
        // Some other file, or another kind of namespace.
        Errno::INVAL | Errno::BADF => anyhow!("{} is no network namespace", path.display()),
        errno => anyhow!("cannot enter the network namespace {wanted}: {errno}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_before_a_process_and_a_slash_makes_a_path() {
        let expect = |wanted, paths: &[&str]| {
            assert_eq!(candidates(wanted), paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        };
        expect("blue", &["/run/netns/blue"]);
        expect("1234", &["/run/netns/1234", "/proc/1234/ns/net"]);
        expect("./1234", &["./1234"]);
        expect("/run/docker/netns/x", &["/run/docker/netns/x"]);
        // No number of a process: it would name another file of /proc.
        expect("self", &["/run/netns/self"]);
    }

    #[test]
    fn what_does_not_exist_is_named_with_what_does() {
        let sentence = unknown("blue", &["green".to_owned(), "red".to_owned()]).to_string();
        assert!(sentence.starts_with("there is no network namespace blue: "), "{sentence}");
        assert!(sentence.contains("has green, red;"), "{sentence}");
        assert!(unknown("77", &[]).to_string().starts_with("there is no process 77: "));
    }
}
