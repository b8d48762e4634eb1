//! Builds the classifier for the kernel, when live capture is wanted at all.

fn main() -> anyhow::Result<()> {
    #[cfg(feature = "live")]
    classifier::build()?;
    Ok(())
}

#[cfg(feature = "live")]
mod classifier {
    use std::{env, path::Path};

    use anyhow::{Context as _, Result};
    use aya_build::{Package, Toolchain, build_ebpf};

    /// The toolchain that can build `core` for BPF. `cargo xtask setup` provides one by this name.
    const TOOLCHAIN: &str = "tracer-ebpf";

    pub(super) fn build() -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tracer-ebpf");
        let common = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tracer-common");
        println!("cargo:rerun-if-changed={}", common.display());
        let features: &[&str] = if cfg!(feature = "ebpf-log") { &["log"] } else { &[] };
        let package = Package {
            name: "tracer-ebpf",
            root_dir: root.to_str().context("the path of the project is not UTF-8")?,
            no_default_features: false,
            features,
        };
        build_ebpf([package], Toolchain::Custom(TOOLCHAIN)).context(
            "cannot build the eBPF program: run `cargo xtask setup` once, then build with \
             `cargo xtask build`; for reading capture files only, build with --no-default-features",
        )
    }
}
