//! What differs between processor architectures: a name comes in; the emulator, the machine, its
//! console and Debian's names go out.

use std::{
    env::consts::ARCH,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Error, Result, bail};

/// An architecture that machines can have.
#[derive(Debug, PartialEq)]
pub(super) struct Arch {
    /// As Rust and `uname -m` call it.
    pub(super) name: &'static str,
    /// As Debian calls it.
    pub(super) debian: &'static str,
    /// Before the names of libraries' directories, compilers, and so on.
    pub(super) gnu: &'static str,
    /// The program that emulates it.
    pub(super) emulator: &'static str,
    /// The Debian package that this comes with.
    pub(super) emulator_package: &'static str,
    /// The kind of machine; with it come the devices.
    pub(super) machine: &'static str,
    /// The processor where it is emulated.
    pub(super) emulated_cpu: &'static str,
    /// The first serial line, as the kernel calls it.
    pub(super) console: &'static str,
    /// The series of Debian's kernels that are run unless others are asked for.
    pub(super) series: &'static [&'static str],
}

/// All that are known. On x86, a kernel from before TCX, and one from after.
static ALL: [Arch; 2] = [
    Arch {
        name: "x86_64",
        debian: "amd64",
        gnu: "x86_64-linux-gnu",
        emulator: "qemu-system-x86_64",
        emulator_package: "qemu-system-x86",
        machine: "q35",
        // Loading the program takes 40% less time without instructions that copy and clear bytes one
        // by one when they are emulated (and without clearing memory twice, `init_on_alloc=0`).
        emulated_cpu: "max,erms=off,fsrm=off,la57=off",
        console: "ttyS0",
        series: &["6.1", "6.12"],
    },
    Arch {
        name: "aarch64",
        debian: "arm64",
        gnu: "aarch64-linux-gnu",
        emulator: "qemu-system-aarch64",
        emulator_package: "qemu-system-arm",
        machine: "virt",
        // Pointer authentication as the architecture has it takes half of an emulator's time.
        emulated_cpu: "max,pauth-impdef=on",
        console: "ttyAMA0",
        series: &["6.1"],
    },
];

impl Arch {
    /// That of the machine we are on.
    pub(super) fn of_this_machine() -> Result<&'static Self> {
        match ALL.iter().find(|arch| arch.is_ours()) {
            Some(arch) => Ok(arch),
            None => bail!(
                "no virtual machines are known for {ARCH}: leave them out (--no-vm), or add the \
                 architecture to xtask/src/vm/arch.rs"
            ),
        }
    }

    /// Those of other machines.
    pub(super) fn others() -> impl Iterator<Item = &'static Self> {
        ALL.iter().filter(|arch| !arch.is_ours())
    }

    /// Whether it is that of the machine we are on.
    pub(super) fn is_ours(&self) -> bool {
        self.name == ARCH
    }

    /// Where the dynamic linker looks for libraries.
    pub(super) fn libraries(&self) -> [PathBuf; 6] {
        let gnu = |directory| Path::new(directory).join(self.gnu);
        let plain = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from);
        let [lib64, usr_lib64, lib, usr_lib] = plain;
        [gnu("/lib"), gnu("/usr/lib"), lib64, usr_lib64, lib, usr_lib]
    }
}

/// An architecture that was asked for by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named(pub(super) &'static Arch);

impl FromStr for Named {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match ALL.iter().find(|arch| [arch.name, arch.debian].contains(&name)) {
            Some(arch) => Ok(Self(arch)),
            None => bail!("known are {}", ALL.each_ref().map(|arch| arch.name).join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_has_two_names() {
        let named = |name: &str| name.parse::<Named>().map(|named| named.0.debian);
        assert_eq!(named("aarch64").expect("as Rust calls it"), "arm64");
        assert_eq!(named("amd64").expect("as Debian calls it"), "amd64");
        assert_eq!(named("mips").expect_err("unknown").to_string(), "known are x86_64, aarch64");
    }
}
