//! The file system of a machine: programs, modules and settings come in; an archive goes out that
//! the kernel unpacks and starts [`INIT`] from.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    arch::Arch,
    cpio::Archive,
    elf,
    modules::{Found, Modules},
    programs::{self, Programs},
};
use crate::shell;

/// The first process.
const INIT: &str = include_str!("init.sh");

/// What the tests want of the kernel, where it is not built in. What those need comes with them.
const MODULES: [&str; 28] = [
    // The hook, and other people's filters there.
    "sch_ingress",
    "cls_bpf",
    "cls_u32",
    "cls_flower",
    "cls_matchall",
    "act_gact",
    "act_mirred",
    "act_police",
    "sch_fq_codel",
    "sch_htb",
    "sch_netem",
    // Interfaces.
    "veth",
    "bridge",
    "8021q",
    "tun",
    "macvlan",
    "vxlan",
    "dummy",
    "ipvlan",
    "vrf",
    "bonding",
    "geneve",
    "ip_gre",
    "ip6_gre",
    "ip6_tunnel",
    "ipip",
    "sit",
    "wireguard",
];

/// Programs of the host that the tests start.
const TOOLS: [&str; 2] = ["ip", "tc"];

/// What a machine is made of, whatever its kernel.
#[derive(Clone)]
pub(super) struct Guest {
    arch: &'static Arch,
    /// Where its programs and libraries are, by the paths that they have inside.
    root: PathBuf,
    archive: Archive,
    libraries: BTreeSet<String>,
}

impl Guest {
    /// All but modules and settings. `scratch` is for copies.
    pub(super) fn new(
        arch: &'static Arch,
        root: PathBuf,
        busybox: &Path,
        programs: &Programs,
        scratch: &Path,
    ) -> Result<Self> {
        let (archive, libraries) = (Archive::default(), BTreeSet::new());
        let mut guest = Self { arch, root, archive, libraries };
        // The kernel opens it before there is anything else.
        guest.archive.character_device(Path::new("/dev/console"), (5, 1));
        for directory in ["/proc", "/sys", "/sbin"] {
            guest.archive.directory(Path::new(directory));
        }
        guest.archive.file(Path::new("/init"), 0o755, INIT.as_bytes());
        guest.archive.file(Path::new("/bin/busybox"), 0o755, &read(busybox)?);
        for tool in TOOLS {
            let path = guest.tool(tool)?;
            guest.program(&Path::new("/sbin").join(tool), &read(&path)?)?;
        }
        guest.program(&programs.tracer, &programs::stripped(arch, &programs.tracer, scratch)?)?;
        for (name, path) in &programs.tests {
            guest.program(
                &Path::new("/tests").join(name),
                &programs::stripped(arch, path, scratch)?,
            )?;
        }
        Ok(guest)
    }

    /// Where a program is that comes with the system. A link may lead out of another system, to a
    /// program of ours.
    fn tool(&self, name: &str) -> Result<PathBuf> {
        let is_it = |path: &PathBuf| path.is_file() && !path.is_symlink();
        let places = ["sbin", "usr/sbin", "bin", "usr/bin"];
        let path = places.map(|place| self.root.join(place).join(name)).into_iter().find(is_it);
        path.or_else(|| shell::find(name).filter(|_| self.arch.is_ours()))
            .with_context(|| format!("there is no program {name}"))
    }

    /// A program, and the libraries that it needs.
    fn program(&mut self, path: &Path, contents: &[u8]) -> Result<()> {
        self.archive.file(path, 0o755, contents);
        let needs =
            elf::needs(contents).with_context(|| format!("cannot read {}", path.display()))?;
        // It is asked for by its path, libraries by their names.
        if let Some(interpreter) = &needs.interpreter
            && self.libraries.insert(interpreter.clone())
        {
            let contents = read(&self.outside(Path::new(interpreter)))?;
            self.archive.file(Path::new(interpreter), 0o755, &contents);
        }
        needs.libraries.iter().try_for_each(|library| self.library(library))
    }

    fn library(&mut self, name: &str) -> Result<()> {
        if !self.libraries.insert(name.to_owned()) {
            return Ok(());
        }
        let places = self.arch.libraries();
        let path = places
            .iter()
            .map(|place| place.join(name))
            .find(|path| self.outside(path).is_file())
            .with_context(|| format!("the library {name} is not where libraries are"))?;
        self.program(&path, &read(&self.outside(&path))?)
    }

    /// Where that is which has this path inside.
    fn outside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Completes it for a kernel: its modules, and settings as a shell reads them. What is missing
    /// of the modules is returned, too.
    pub(super) fn finish(
        mut self,
        modules: Option<&Path>,
        settings: &str,
    ) -> Result<(Vec<u8>, Vec<String>)> {
        let found = match modules {
            Some(directory) => Modules::find(directory)?.take(&MODULES)?,
            None => Found::default(),
        };
        let order: Vec<_> = found.modules.iter().map(|module| module.name.as_str()).collect();
        self.archive.file(Path::new("/modules/order"), 0o644, order.join("\n").as_bytes());
        for module in &found.modules {
            let path = PathBuf::from(format!("/modules/{}.ko", module.name));
            self.archive.file(&path, 0o644, &module.contents);
        }
        self.archive.file(Path::new("/settings"), 0o644, settings.as_bytes());
        Ok((self.archive.finish(), found.missing))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
