//! Kernel modules: the names that are wanted come in, and the files to load, in an order in which
//! each finds what it needs. Read from the modules themselves, because a package that was only
//! unpacked has no `modules.dep`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::elf;

/// A module as the kernel wants it.
pub(super) struct Module {
    pub(super) name: String,
    pub(super) contents: Vec<u8>,
}

/// What was found of the wanted modules.
#[derive(Default)]
pub(super) struct Found {
    /// In the order to load them.
    pub(super) modules: Vec<Module>,
    /// Wanted, and neither a module nor built in.
    pub(super) missing: Vec<String>,
}

/// A kernel's modules: the files below `lib/modules/RELEASE`.
pub(super) struct Modules {
    files: BTreeMap<String, PathBuf>,
    built_in: String,
}

impl Modules {
    /// Looks what is there.
    pub(super) fn find(directory: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(directory, &mut files)
            .with_context(|| format!("cannot read modules from {}", directory.display()))?;
        // Where there is no list, nothing can be told to be built in.
        let built_in = fs::read_to_string(directory.join("modules.builtin")).unwrap_or_default();
        Ok(Self { files, built_in })
    }

    /// The wanted modules, with all that they need.
    pub(super) fn take(&self, wanted: &[&str]) -> Result<Found> {
        let mut found = Found::default();
        for name in wanted {
            if self.files.contains_key(*name) {
                self.take_one(name, &mut found.modules)?;
            } else if !self.is_built_in(name) {
                found.missing.push((*name).to_owned());
            }
        }
        Ok(found)
    }

    fn take_one(&self, name: &str, taken: &mut Vec<Module>) -> Result<()> {
        if taken.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let Some(path) = self.files.get(name) else {
            bail!("the module {name} is needed, and is not there");
        };
        let contents = decompressed(path)?;
        let needs = elf::module_dependencies(&contents)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for needed in needs.iter().filter(|needed| !self.is_built_in(needed)) {
            self.take_one(needed, taken).with_context(|| format!("{name} needs {needed}"))?;
        }
        taken.push(Module { name: name.to_owned(), contents });
        Ok(())
    }

    fn is_built_in(&self, name: &str) -> bool {
        self.built_in.lines().any(|line| module_name(Path::new(line)).as_deref() == Some(name))
    }
}

/// All modules below a directory.
fn collect(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Links, such as `build`, lead to where no modules are.
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Some(name) = module_name(&entry.path()) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// The name of the module in a file: `cls_bpf` of `cls_bpf.ko.xz`. Files may have `-` in their
/// names, modules have `_`.
fn module_name(path: &Path) -> Option<String> {
    let (name, compression) = path.file_name()?.to_str()?.split_once(".ko")?;
    let is_module = ["", ".xz", ".zst", ".gz"].contains(&compression);
    is_module.then(|| name.replace('-', "_"))
}

fn decompressed(path: &Path) -> Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    let output = Command::new(program).arg("-dc").arg(path).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program} cannot decompress {}", path.display());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    /// A directory of modules, gone with the test.
    struct Directory(PathBuf);

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("it was made");
        }
    }

    fn directory(name: &str, modules: &[(&str, &str)]) -> Directory {
        let directory = env::temp_dir().join(format!("{name}-{}", process::id()));
        fs::create_dir_all(directory.join("kernel/net")).expect("a directory");
        for (name, depends) in modules {
            fs::write(directory.join("kernel/net").join(name), elf::module(depends))
                .expect("a file");
        }
        fs::write(directory.join("modules.builtin"), "kernel/net/p8022.ko\n").expect("a file");
        Directory(directory)
    }

    #[test]
    fn what_a_module_needs_comes_before_it_and_once() {
        let modules =
            [("bridge.ko", "llc,stp"), ("stp.ko", "llc,p8022"), ("llc.ko", ""), ("x.ko", "")];
        let directory = directory("order", &modules);
        let modules = Modules::find(&directory.0).expect("it can be read");
        let found = modules.take(&["bridge", "stp", "p8022", "veth"]).expect("all needs are there");
        let order: Vec<_> = found.modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(order, ["llc", "stp", "bridge"]);
        assert_eq!(found.missing, ["veth"], "neither there nor built in");
    }

    #[test]
    fn a_need_that_is_not_there_is_named() {
        let directory = directory("need", &[("vxlan.ko", "udp_tunnel")]);
        let modules = Modules::find(&directory.0).expect("it can be read");
        let error = modules.take(&["vxlan"]).map(|_| ()).expect_err("not there");
        let expected = "vxlan needs udp_tunnel: the module udp_tunnel is needed, and is not there";
        assert_eq!(format!("{error:#}"), expected);
    }

    #[test]
    fn files_are_called_otherwise_than_modules() {
        let name = |path: &str| module_name(Path::new(path));
        assert_eq!(name("a/sch_ingress.ko"), Some("sch_ingress".to_owned()));
        assert_eq!(name("a/8021q.ko.xz"), Some("8021q".to_owned()));
        assert_eq!(name("intel-rapl.ko.zst"), Some("intel_rapl".to_owned()));
        assert_eq!(name("modules.order"), None);
        assert_eq!(name("x.ko.sig"), None);
    }
}
