//! What differs between processor architectures: a name comes in; the emulator, the machine, its
//! console and Debian's names go out.

use anyhow::{Result, bail};

/// An architecture that machines can have.
pub(super) struct Arch {
    /// As Rust and `uname -m` call it.
    pub(super) name: &'static str,
    /// As Debian calls it.
    pub(super) debian: &'static str,
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
    /// Where the dynamic linker looks for libraries.
    pub(super) libraries: [&'static str; 6],
}

const X86_64: Arch = Arch {
    name: "x86_64",
    debian: "amd64",
    emulator: "qemu-system-x86_64",
    emulator_package: "qemu-system-x86",
    machine: "q35",
    // Loading the program takes 40% less time without instructions that copy and clear bytes one by
    // one when they are emulated (and without clearing memory twice, `init_on_alloc=0`).
    emulated_cpu: "max,erms=off,fsrm=off,la57=off",
    console: "ttyS0",
    libraries: [
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib64",
        "/lib",
        "/usr/lib",
    ],
};

impl Arch {
    /// That of the machine we are on.
    pub(super) fn of_this_machine() -> Result<&'static Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(&X86_64),
            other => bail!(
                "no virtual machines are known for {other}: leave them out (--no-vm), or add the \
                 architecture to xtask/src/vm/arch.rs"
            ),
        }
    }
}
