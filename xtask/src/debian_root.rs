//! Directories that are Debian systems: names of packages come in; a root directory in which they are
//! installed goes out, and programs that run in it, without the network. Making one needs root.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::{setup, shell};

/// The root of a small Debian system.
pub(crate) struct Root {
    directory: PathBuf,
    is_scratch: bool,
}

impl Root {
    /// Of the release that this machine has, with these packages and what they depend on. Made once, and not
    /// to be changed: see [`Root::scratch`].
    pub(crate) fn with(packages: &[&str]) -> Result<Self> {
        ensure!(shell::is_root(), "making a Debian system in a directory needs root");
        let place = shell::workspace().join("target/debian");
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        let release = release()?;
        let directory = place.join(name(&release, packages));
        if !directory.is_dir() {
            install(&place, &release, packages, &directory)?;
        }
        Ok(Self { directory, is_scratch: false })
    }

    /// A copy to be changed, which goes when it is dropped.
    pub(crate) fn scratch(&self) -> Result<Self> {
        let directory = self.directory.with_extension("scratch");
        remove(&directory)?;
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto"]).arg(&self.directory).arg(&directory);
        shell::output(&mut copy)?;
        Ok(Self { directory, is_scratch: true })
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where that is which has this path inside.
    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.directory.join(path.trim_start_matches('/'))
    }

    /// A program in it, with processes of its own, no network, and an environment that says nothing.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]);
        // A mount of that namespace, which goes with it.
        command.arg(format!("--mount-proc={}", self.outside("/proc").display()));
        command.arg("chroot").arg(&self.directory).args(["/usr/bin/env", "--ignore-environment"]);
        command.args(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
        command.args(["HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", program]);
        command
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if self.is_scratch
            && let Err(error) = remove(&self.directory)
        {
            eprintln!("note: {error:#}");
        }
    }
}

/// A name for what is in it.
fn name(release: &str, packages: &[&str]) -> String {
    let digest = Sha256::digest(packages.join(" "));
    let digest: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{release}-{digest}")
}

fn install(place: &Path, release: &str, packages: &[&str], directory: &Path) -> Result<()> {
    setup::program("mmdebstrap", "mmdebstrap", "which makes Debian systems in directories")?;
    let (sources, settings) = (place.join("mirrors.list"), place.join("apt.conf"));
    let write = fs::write(&sources, mirrors()?).and_then(|()| fs::write(&settings, transport()?));
    write.with_context(|| format!("cannot write to {}", place.display()))?;
    let incoming = place.join("incoming");
    remove(&incoming)?;
    let mut make = Command::new("mmdebstrap");
    make.args(["--quiet", "--variant=minbase", "--mode=root"]);
    make.arg(format!("--include={}", packages.join(",")));
    make.arg("--aptopt").arg(&settings).arg(release).arg(&incoming).arg(&sources);
    shell::run(&mut make).context("cannot make a Debian system in a directory")?;
    fs::rename(&incoming, directory).context("cannot name the Debian system")
}

/// The release of Debian that is running here.
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = |key| text.lines().find_map(|line| line.strip_prefix(key));
    match (value("ID="), value("VERSION_CODENAME=")) {
        (Some("debian"), Some(release)) => Ok(release.to_owned()),
        _ => bail!("this is not a release of Debian, and where its mirrors are is not known here"),
    }
}

/// The mirrors of Debian that this machine uses, and no others'.
fn mirrors() -> Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"]);
    let mirrors = shell::output(targets.args(["Identifier: Packages", "Origin: Debian"]))?;
    if mirrors.trim().is_empty() {
        bail!("apt knows no mirror of Debian: run `apt-get update`");
    }
    Ok(mirrors)
}

/// How apt gets at mirrors here.
fn transport() -> std::io::Result<String> {
    let output = Command::new("apt-config").arg("dump").output()?;
    let settings = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = settings.lines().filter(|line| line.starts_with("Acquire::"));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn other_packages_make_another_system() {
        assert_eq!(name("bookworm", &["systemd"]), name("bookworm", &["systemd"]));
        assert_ne!(name("bookworm", &["systemd"]), name("bookworm", &["systemd", "dbus"]));
        assert!(name("bookworm", &[]).starts_with("bookworm-"));
    }
}
