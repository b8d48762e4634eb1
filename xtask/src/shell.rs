//! Other programs: finding them, starting them, and saying which. What goes out is printed first,
//! as one would type it, so that every step can be repeated by hand.

use std::{
    env,
    ffi::OsStr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail};

/// Directories that Debian keeps out of an ordinary user's `PATH`, though `ip` is in one of them.
const SYSTEM_PATH: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Runs a command to its end; a failure names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", describe(command));
    }
    Ok(())
}

/// Runs a command silently and gives what it printed; a failure carries what it complained about.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", describe(command), output.status, complaint.trim());
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed something that is not text", describe(command)))
}

/// The same, what it complains about going straight to our stderr.
pub(crate) fn output_with_errors(command: &mut Command) -> Result<String> {
    output(command.stderr(Stdio::inherit()))
}

/// Becomes another program, so that its exit status and its signals are ours.
pub(crate) fn replace(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(anyhow!(error).context(cannot_start(command)))
}

/// Prints a command as one would type it.
pub(crate) fn announce(command: &Command) {
    eprintln!("$ {}", describe(command));
}

/// The cargo that runs us, at the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace());
    cargo
}

/// A program as root: as it is when we are root already, else through sudo.
pub(crate) fn privileged(program: impl AsRef<OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    // NO_COLOR, TERM and the tests' own variables have to arrive.
    sudo.arg("-E").arg("--").arg(program);
    sudo
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a program is, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_PATH.map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member)
}

fn cannot_start(command: &Command) -> String {
    let program = command.get_program();
    if program == "sudo" {
        return "this needs root, and sudo cannot be started: try again as root".to_owned();
    }
    format!("cannot start {}", program.display())
}

fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let settings = command.get_envs().filter_map(|(key, value)| {
        value.map(|value| format!("{}={}", key.display(), quote(value)))
    });
    let words = [quote(name)].into_iter().chain(command.get_args().map(quote));
    settings.chain(words).collect::<Vec<_>>().join(" ")
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut command = Command::new("/usr/bin/env");
        command.env("LLVM", "/usr/lib").args(["--x", "two words", "it's", ""]);
        assert_eq!(describe(&command), r"LLVM=/usr/lib env --x 'two words' 'it'\''s' ''");
    }

    #[test]
    fn a_failure_carries_the_complaint() {
        let error = output(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"]));
        let error = format!("{:#}", error.expect_err("exit status 3"));
        assert!(error.contains("exit status: 3") && error.contains("no luck"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut Command::new("/no/such/program")).expect_err("it does not exist");
        assert!(format!("{error:#}").starts_with("cannot start /no/such/program"), "{error:#}");
    }
}
