//! The program that runs machines: the one that is installed, or else Debian's, unpacked with all that it is
//! linked with. That needs no root, and is in no installed package's way: Debian's qemu-system and a newer
//! qemu-utils cannot be installed together.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::arch::Arch;
use crate::{setup::Packages, shell};

/// Where QEMU finds what it loads at run time.
const MODULES: &str = "QEMU_MODULE_DIR";

/// How it is started.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Emulator {
    program: PathBuf,
    /// What comes before all other arguments.
    arguments: Vec<OsString>,
    modules: Option<PathBuf>,
}

impl Emulator {
    /// That of an architecture, on this machine. `directory` is for what is not installed.
    pub(super) fn of(arch: &Arch, directory: &Path) -> Result<Self> {
        if let Some(program) = shell::find(arch.emulator) {
            return Ok(Self { program, arguments: Vec::new(), modules: None });
        }
        let ours = Arch::of_this_machine()?;
        let package = arch.emulator_package;
        let get = || {
            let packages = Packages::apart(ours.debian, directory.join("packages/emulators"))?;
            let root = packages.tree(package)?;
            let linker = linker(&libraries(&root, ours.gnu))
                .context("its libraries have no dynamic linker with them")?;
            Self::unpacked(&root, linker, ours.gnu, arch.emulator)
        };
        get().with_context(|| format!("there is no {}: install {package} by hand", arch.emulator))
    }

    /// Out of packages' files: with the dynamic linker and the libraries that are there, not with the
    /// system's, which may be older.
    fn unpacked(root: &Path, linker: PathBuf, gnu: &str, name: &str) -> Result<Self> {
        let libraries = libraries(root, gnu);
        let mut arguments: Vec<OsString> = vec!["--library-path".into()];
        arguments.push(std::env::join_paths(&libraries)?);
        arguments.push(root.join("usr/bin").join(name).into());
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            arguments.extend(["-L".into(), root.join(firmware).into()]);
        }
        Ok(Self { program: linker, arguments, modules: Some(libraries[1].join("qemu")) })
    }

    /// A command that takes QEMU's options. The kernel kills it when we end in a way that leaves us no time
    /// to.
    pub(super) fn command(&self) -> Command {
        let mut command = match shell::find("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(&self.arguments);
        if let Some(modules) = &self.modules {
            command.env(MODULES, modules);
        }
        command
    }
}

fn libraries(root: &Path, gnu: &str) -> [PathBuf; 2] {
    ["lib", "usr/lib"].map(|directory| root.join(directory).join(gnu))
}

/// `ld-linux-x86-64.so.2`, or what it is called for another architecture. It has moved to /usr with Debian 13.
fn linker(directories: &[PathBuf]) -> Option<PathBuf> {
    let entries = directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpacked_one_has_nothing_of_the_systems() {
        let (root, linker) = (Path::new("/root"), PathBuf::from("/root/lib/x-gnu/ld-linux-x.so.1"));
        let emulator = Emulator::unpacked(root, linker, "x-gnu", "qemu").expect("paths");
        let arguments = emulator.arguments.join(" ".as_ref());
        assert_eq!(
            arguments.to_str().expect("UTF-8"),
            "--library-path /root/lib/x-gnu:/root/usr/lib/x-gnu /root/usr/bin/qemu \
             -L /root/usr/share/qemu -L /root/usr/share/seabios"
        );
        assert_eq!(emulator.modules.as_deref(), Some(Path::new("/root/usr/lib/x-gnu/qemu")));
    }
}
