//! A whole Debian system in a machine, with systemd as its first process: a root directory and a script come
//! in; what the script has said on the console goes out. The directory stays as it was.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{
    PATIENCE,
    arch::Arch,
    cpio::Archive,
    emulator::Emulator,
    kernel::{Kernel, Wanted},
    machine::{Accelerator, Machine},
    modules::{Module, Modules},
    packages,
};
use crate::{setup, shell};

/// What such a system is made of, for [`crate::debian_root::Root::with`].
pub(crate) const PACKAGES: [&str; 5] = ["dbus", "kmod", "logrotate", "systemd", "systemd-sysv"];

/// What the kernel wants to attach by clsact: a minimal system loads no modules by itself.
const MODULES: [&str; 2] = ["sch_ingress", "cls_bpf"];

/// What a machine has in memory for nothing.
const LEFT_OUT: [&str; 9] = [
    "dev/console",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zoneinfo",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log/bootstrap.log",
];

/// Starts the script when the system is up; the machine ends with it.
const UNIT: &str = "\
[Unit]
Description=what this machine is for
Requires=dbus.service
After=dbus.service systemd-user-sessions.service
FailureAction=poweroff-force
SuccessAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/script
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
";

/// No status of units between the script's lines, and no colours.
const PARAMETERS: &str = "rdinit=/sbin/init systemd.show_status=0 systemd.log_color=0";

/// What a script says last, when nothing went wrong.
const GOOD: &str = "vm: the script is done";

/// Boots the directory with the newest kernel that there is, and runs a shell script in it, whose first failure
/// ends it. What is written is kept in target/vm/systemd/console.log.
pub(crate) fn run(root: &Path, script: &str) -> Result<String> {
    let arch = Arch::of_this_machine()?;
    setup::virtual_machines()?;
    let directory = shell::workspace().join("target/vm");
    let emulator = Emulator::of(arch, &directory)?;
    let packages = packages(arch, &directory)?;
    let series = arch.series.last().context("each architecture has a kernel")?;
    let kernel = Kernel::get(&Wanted::Series((*series).to_owned()), None, arch, &packages)?;
    let place = directory.join("systemd");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let (initramfs, console) = (place.join("initramfs.cpio"), place.join("console.log"));
    fs::write(&initramfs, archive(root, script, kernel.modules.as_deref())?)
        .with_context(|| format!("cannot write {}", initramfs.display()))?;
    let machine = Machine {
        arch,
        emulator: &emulator,
        accelerator: Accelerator::Tcg,
        kernel: &kernel.image,
        initramfs: &initramfs,
        console: &console,
        patience: PATIENCE,
    };
    let run = machine.run(PARAMETERS)?;
    fs::remove_file(&initramfs)?;
    if let Some(hang) = run.ended.hang() {
        bail!("the machine was {hang}; what it wrote is in {}", console.display());
    }
    if !run.console.contains(GOOD) {
        bail!("the script has failed; what it wrote is in {}", console.display());
    }
    Ok(run.console)
}

fn archive(root: &Path, script: &str, modules: Option<&Path>) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.tree(root, &LEFT_OUT).with_context(|| format!("cannot read {}", root.display()))?;
    // The kernel opens it before there is anything else.
    archive.character_device(Path::new("/dev/console"), (5, 1));
    let mut inserting = String::new();
    if let Some(directory) = modules {
        for Module { name, contents } in Modules::find(directory)?.take(&MODULES)?.modules {
            let path = format!("/modules/{name}.ko");
            archive.file(Path::new(&path), 0o644, &contents);
            inserting += &format!("insmod {path}\n");
        }
    }
    let script = format!("#!/bin/sh\nset -eux\n{inserting}{script}\necho '{GOOD}'\n");
    archive.file(Path::new("/script"), 0o755, script.as_bytes());
    let units = Path::new("/etc/systemd/system");
    archive.file(&units.join("script.service"), 0o644, UNIT.as_bytes());
    let wants = b"[Unit]\nWants=script.service\n";
    archive.file(&units.join("multi-user.target.d/script.conf"), 0o644, wants);
    Ok(archive.finish())
}
