//! The service: the package is installed in a Debian system that boots in a virtual machine, and systemd
//! starts and stops it.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{Products, passed};
use crate::{debian_root::Root, shell, vm::systemd};

/// As systemd rates services: 10 is one that may do everything.
const MAX_EXPOSURE: f32 = 1.5;

/// The first event is there when the tracer has attached, which takes long in an emulated machine.
const SCRIPT: &str = r#"
systemctl start tracer
until journalctl --unit tracer --output cat | grep '"event":"start"'; do
    systemctl is-active tracer
    sleep 1
done
systemd-analyze security --no-pager tracer | grep 'Overall exposure'
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' "/proc/$(systemctl show --property MainPID --value tracer)/status"
systemctl stop tracer
"#;

pub(super) fn check(products: &Products) -> Result<()> {
    let root = Root::with(&systemd::PACKAGES)?.scratch()?;
    fs::copy(&products.package, root.outside("/srv/tracer.deb"))?;
    shell::output(root.command("dpkg").args(["--install", "/srv/tracer.deb"]))?;
    let said = systemd::run(root.directory(), SCRIPT).context("the service does not start")?;
    let exposure = exposure(&said).with_context(|| format!("systemd has no rating: {said}"))?;
    ensure!(
        exposure <= MAX_EXPOSURE,
        "systemd rates the service {exposure}, {MAX_EXPOSURE} at most"
    );
    // CAP_NET_ADMIN is bit 12, CAP_PERFMON 38, CAP_BPF 39 (linux/capability.h).
    for line in ["CapEff:\t000000c000001000", "CapBnd:\t000000c000001000", "NoNewPrivs:\t1"] {
        ensure!(said.contains(line), "the service runs without `{line}`: {said}");
    }
    ensure!(!said.contains("Uid:\t0"), "the service runs as root: {said}");
    passed("systemd starts the service, as its own user and with three capabilities, and stops it")
}

/// Of a line such as `→ Overall exposure level for tracer.service: 1.5 OK 🙂`.
fn exposure(said: &str) -> Option<f32> {
    let (_, rest) = said.split_once("Overall exposure level for tracer.service: ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::exposure;

    #[test]
    fn the_rating_is_read() {
        let said = "+ grep x\r\n→ Overall exposure level for tracer.service: 1.7 OK 🙂\r\n";
        assert_eq!(exposure(said), Some(1.7));
        assert_eq!(exposure("Overall exposure level for"), None);
    }
}
