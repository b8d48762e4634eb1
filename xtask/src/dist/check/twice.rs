//! Whether the same sources make the same packages: they are copied elsewhere, built there once more, from
//! nothing, and both results compared byte by byte.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Products, passed};
use crate::{
    dist::{directory, emptied, layout, moment::VARIABLE, program},
    shell,
};

pub(super) fn check(products: &Products) -> Result<()> {
    let elsewhere = directory().join("elsewhere");
    emptied(&elsewhere)?;
    let sources = elsewhere.join("a-longer-name");
    copy_sources(&sources)?;
    // The crates lie elsewhere, too, as far as compilers can see.
    let crates = elsewhere.join("crates");
    symlink(program::cargo_home()?, &crates)?;
    let mut cargo = shell::cargo();
    cargo.args(["xtask", "dist"]).current_dir(&sources);
    cargo.env("CARGO_HOME", &crates).env("CARGO_TARGET_DIR", sources.join("target"));
    // There is no commit to look at.
    cargo.env(VARIABLE, products.moment.0.to_string());
    eprintln!("dist: building once more, in {}", sources.display());
    shell::announce(&cargo);
    let printed = shell::output_with_errors(&mut cargo)?;
    let others: Vec<_> = printed.lines().map(Path::new).collect();
    let [package, tarball] = others[..] else { bail!("not two files were made: {printed}") };
    ensure_equal(&products.package, package)?;
    ensure_equal(&products.tarball, tarball)?;
    fs::remove_dir_all(&elsewhere)
        .with_context(|| format!("cannot remove {}", elsewhere.display()))?;
    passed("two builds in two directories have made the same bytes")
}

/// All that git knows, or would take, as it is here.
fn copy_sources(to: &Path) -> Result<()> {
    let sources = shell::workspace();
    let mut git = Command::new("git");
    git.current_dir(sources).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for name in shell::output(&mut git)?.split_terminator('\0') {
        // What was removed, and not committed yet, is still known.
        if sources.join(name).exists() {
            layout::copy(&sources.join(name), &to.join(name))?;
        }
    }
    Ok(())
}

fn ensure_equal(ours: &Path, other: &Path) -> Result<()> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (one, two) = (read(ours)?, read(other)?);
    let place = one.iter().zip(&two).position(|(one, two)| one != two);
    let place = place.unwrap_or(one.len().min(two.len()));
    ensure!(
        one == two,
        "{} and {} differ from byte {place} on ({} and {} bytes): compare what is in them, for one with \
         diffoscope",
        ours.display(),
        other.display(),
        one.len(),
        two.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn one_byte_makes_a_difference() {
        let path = |name: &str| env::temp_dir().join(format!("{name}-{}", process::id()));
        let (one, two) = (path("one"), path("two"));
        let compare = |a: &[u8], b: &[u8]| {
            fs::write(&one, a).expect("there is room");
            fs::write(&two, b).expect("there is room");
            ensure_equal(&one, &two).map_err(|told| told.to_string())
        };
        assert_eq!(compare(b"same", b"same"), Ok(()));
        for (other, told) in [(&b"some"[..], "from byte 1 on"), (b"same!", "from byte 4 on")] {
            let error = compare(b"same", other).expect_err("they differ");
            assert!(error.contains(told), "{error}");
        }
        fs::remove_file(&one).and_then(|()| fs::remove_file(&two)).expect("they are there");
    }
}
