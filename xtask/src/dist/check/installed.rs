//! The Debian package: installed in a small Debian system, used, upgraded, removed and purged. Nothing of it
//! is to be left then.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{CAPTURE, Products, is_decoded, is_our_version, passed, snapshot::Snapshot};
use crate::{debian_root::Root, shell, vm::systemd};

const SETTINGS: &str = "/etc/tracer/tracer.toml";

/// Where the package and the capture are inside.
const FILES: [&str; 2] = ["/srv/tracer.deb", "/srv/capture.pcap"];

pub(super) fn check(products: &Products) -> Result<()> {
    let root = Root::with(&systemd::PACKAGES)?.scratch()?;
    let [package, capture] = FILES.map(|path| root.outside(path));
    fs::copy(&products.package, &package)?;
    fs::copy(shell::workspace().join(CAPTURE), &capture)?;
    let system = System(root);
    let before = system.snapshot()?;
    system.install().context("the package does not install")?;
    system.ensure_complete()?;
    system.ensure_runs()?;
    system.ensure_idle()?;
    system.upgrade()?;
    system.remove()?;
    system.run("dpkg", &["--purge", "tracer"])?;
    before.ensure_equal(&system.snapshot()?).context("the package leaves something")?;
    passed("the package installs, runs, is upgraded and removed, and leaves nothing when purged")
}

struct System(Root);

impl System {
    fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::of(self.0.directory())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.0.command(program);
        command.args(arguments);
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        shell::output(&mut self.command(program, arguments))
    }

    fn install(&self) -> Result<()> {
        // Without changes of its own, dpkg would ask nobody; with them it keeps them.
        self.run("dpkg", &["--force-confold", "--install", FILES[0]]).map(drop)
    }

    /// All files are where dpkg says, and those that people look for are among them.
    fn ensure_complete(&self) -> Result<()> {
        let listed = self.run("dpkg", &["--listfiles", "tracer"])?;
        for path in listed.lines() {
            ensure!(self.0.outside(path).exists(), "{path} is missing");
        }
        let wanted = [
            "/usr/bin/tracer",
            "/etc/logrotate.d/tracer",
            SETTINGS,
            "/usr/share/man/man1/tracer.1.gz",
            "/usr/share/man/man5/tracer.toml.5.gz",
            "/usr/share/bash-completion/completions/tracer",
            "/usr/share/zsh/vendor-completions/_tracer",
            "/usr/share/fish/vendor_completions.d/tracer.fish",
            "/usr/share/doc/tracer/copyright",
            "/usr/share/doc/tracer/changelog.Debian.gz",
        ];
        // Below /usr since Debian 13.
        let is_unit = |line: &str| line.ends_with("/lib/systemd/system/tracer.service");
        ensure!(listed.lines().any(is_unit), "there is no unit in the package");
        for path in wanted {
            ensure!(listed.lines().any(|line| line == path), "there is no {path} in the package");
        }
        Ok(())
    }

    /// As the user of the service, which has no privileges here.
    fn ensure_runs(&self) -> Result<()> {
        let run = |arguments: &[&str]| {
            let user = ["--user", "tracer", "--", "tracer"];
            self.run("runuser", &[&user, arguments].concat())
        };
        is_our_version(&run(&["--version"])?)?;
        run(&["--check-config"]).context("the configuration that comes with it is wrong")?;
        is_decoded(&run(&["--read", FILES[1]])?)
    }

    /// Nobody has asked for the service yet.
    fn ensure_idle(&self) -> Result<()> {
        let output = self.command("systemctl", &["is-enabled", "tracer"]).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(said.trim_end() == "disabled", "the service is {}", said.trim_end());
        Ok(())
    }

    /// What was set, and that it is enabled, stays.
    fn upgrade(&self) -> Result<()> {
        let settings = self.0.outside(SETTINGS);
        let ours = fs::read_to_string(&settings)? + "port = 7273\n";
        fs::write(&settings, &ours)?;
        self.run("systemctl", &["enable", "tracer"])?;
        self.install().context("the package does not upgrade itself")?;
        ensure!(fs::read_to_string(&settings)? == ours, "an upgrade has changed {SETTINGS}");
        let enabled = self.run("systemctl", &["is-enabled", "tracer"])?;
        ensure!(enabled.trim_end() == "enabled", "an upgrade has left the service {enabled}");
        self.run("runuser", &["--user", "tracer", "--", "tracer", "--check-config"]).map(drop)
    }

    /// The program goes; what was set and recorded stays, and whose it is.
    fn remove(&self) -> Result<()> {
        let log = "/var/log/tracer/events.jsonl";
        self.run("install", &["-o", "tracer", "-g", "tracer", "-d", "/var/log/tracer"])?;
        fs::write(self.0.outside(log), "{}\n")?;
        self.run("dpkg", &["--remove", "tracer"])?;
        let is_there = |path: &str| Path::exists(&self.0.outside(path));
        ensure!(!is_there("/usr/bin/tracer"), "removing has left the program");
        ensure!(is_there(SETTINGS) && is_there(log), "removing has taken {SETTINGS} or {log}");
        self.run("getent", &["passwd", "tracer"]).context("removing has taken the user").map(drop)
    }
}
