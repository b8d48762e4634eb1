//! Kernels to run: a series of Debian's or the path of an image comes in; the image, its modules
//! and its release go out. Debian's packages are fetched and unpacked, once, without root.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::arch::Arch;
use crate::setup::Packages;

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    /// The newest of a series that Debian has, such as `6.12`.
    Series(String),
    /// A file.
    Image(PathBuf),
}

impl FromStr for Wanted {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_series = text.split_once('.').is_some_and(|(a, b)| is_number(a) && is_number(b));
        let series = || Self::Series(text.to_owned());
        Ok(if is_series { series() } else { Self::Image(text.into()) })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(series) => write!(f, "Debian's {series}"),
            Self::Image(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A kernel that can be started.
#[derive(Debug)]
pub(super) struct Kernel {
    /// As `uname -r` says inside.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// The directory of its modules. Without one, everything has to be built in.
    pub(super) modules: Option<PathBuf>,
}

impl Kernel {
    /// Makes sure that it is there.
    pub(super) fn get(
        wanted: &Wanted,
        modules: Option<&Path>,
        arch: &Arch,
        packages: &Packages,
    ) -> Result<Self> {
        match wanted {
            Wanted::Series(series) => {
                let image = image_of(&debian(series, arch, packages)?)?;
                Self::of_image(&image, modules)
            }
            Wanted::Image(image) => Self::of_image(image, modules),
        }
    }

    fn of_image(image: &Path, modules: Option<&Path>) -> Result<Self> {
        let bytes = fs::read(image).with_context(|| format!("cannot read {}", image.display()))?;
        let release = release(&bytes, image, modules)?;
        let modules = modules.map(Path::to_owned).or_else(|| modules_of(image, &release));
        Ok(Self { release, image: image.to_owned(), modules })
    }

    /// How the tracer has to attach: TCX came with 6.6. Of a release that is none we do not know.
    pub(super) fn attach_path(&self) -> Option<&'static str> {
        let mut numbers = self.release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(if version < (6, 6) { "clsact" } else { "tcx" })
    }
}

/// The directory into which the newest generic kernel of a series was unpacked.
fn debian(series: &str, arch: &Arch, packages: &Packages) -> Result<PathBuf> {
    // The default kernel's metapackage does not name its series.
    let metapackages =
        [format!("linux-image-{series}-{}", arch.debian), format!("linux-image-{}", arch.debian)];
    let package = packages
        .dependency(&metapackages, &format!("linux-image-{series}."))
        .with_context(|| {
            format!(
                "Debian's package lists offer no kernel {series}: name an image with --kernel, or \
                 leave the virtual machines out with --no-vm"
            )
        })?;
    packages.unpacked(&package)
}

/// The only image in a package.
fn image_of(unpacked: &Path) -> Result<PathBuf> {
    let boot = unpacked.join("boot");
    let entries = fs::read_dir(&boot).with_context(|| format!("no {}", boot.display()))?;
    let is_image = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
    };
    let mut images = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_image);
    images.next().with_context(|| format!("there is no vmlinuz in {}", boot.display()))
}

/// The modules of an image: beside it in the same tree, or those of this machine.
fn modules_of(image: &Path, release: &str) -> Option<PathBuf> {
    let tree = image.parent()?.parent().unwrap_or(Path::new("/"));
    let below = |root: &Path| root.join("lib/modules").join(release);
    [below(tree), below(Path::new("/"))].into_iter().find(|directory| directory.is_dir())
}

/// The release of a kernel: as its image says, or the name of its file, or of its modules.
fn release(image: &[u8], path: &Path, modules: Option<&Path>) -> Result<String> {
    if let Some(release) = release_in(image) {
        return Ok(release);
    }
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let of_file = name(path).and_then(|name| Some(name.strip_prefix("vmlinuz-")?.to_owned()));
    match of_file.or_else(|| modules.and_then(name)) {
        Some(release) => Ok(release),
        None => bail!(
            "{} does not say which release it is: name its file vmlinuz-RELEASE",
            path.display()
        ),
    }
}

/// The release in the header of an x86 image (Documentation/arch/x86/boot.rst: `HdrS` at 0x202, at
/// 0x20e where its version string is, from 0x200 on).
fn release_in(image: &[u8]) -> Option<String> {
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at = u16::from_le_bytes(image.get(0x20e..0x210)?.try_into().ok()?);
    let text = image.get(0x200 + usize::from(at)..)?;
    let release = text.split(|byte| *byte == b' ' || *byte == 0).next()?;
    let release = str::from_utf8(release).ok()?;
    (at != 0 && !release.is_empty()).then(|| release.to_owned())
}

/// Checks what was asked for: each directory of modules belongs to the image in the same place.
pub(super) fn pair(
    kernels: &[Wanted],
    modules: &[PathBuf],
) -> Result<Vec<(Wanted, Option<PathBuf>)>> {
    ensure!(
        modules.len() <= kernels.len(),
        "there are more --modules than --kernel: the first belongs to the first, and so on"
    );
    let modules = modules.iter().cloned().map(Some).chain(std::iter::repeat(None));
    Ok(kernels.iter().cloned().zip(modules).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_two_numbers_and_anything_else_is_a_file() {
        let wanted = |text: &str| text.parse::<Wanted>().expect("it cannot fail");
        assert_eq!(wanted("6.12"), Wanted::Series("6.12".to_owned()));
        for file in ["bzImage", "./6.1", "6.1.0", "linux-6.1/bzImage", "6.", ""] {
            assert_eq!(wanted(file), Wanted::Image(file.into()), "{file}");
        }
    }

    #[test]
    fn the_release_decides_how_to_attach() {
        let attach_path = |release: &str| {
            let release = release.to_owned();
            Kernel { release, image: PathBuf::new(), modules: None }.attach_path()
        };
        assert_eq!(attach_path("6.1.0-56-amd64"), Some("clsact"));
        assert_eq!(attach_path("5.10.0"), Some("clsact"));
        assert_eq!(attach_path("6.6.0-rc1"), Some("tcx"));
        assert_eq!(attach_path("6.12.117+deb12-amd64"), Some("tcx"));
        assert_eq!(attach_path("7.0"), Some("tcx"));
        assert_eq!(attach_path("mine"), None);
    }

    #[test]
    fn an_image_says_its_release_or_its_file_does() {
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x310].copy_from_slice(b"6.6.13-x (me) #1");
        let release = |image: &[u8], path| release(image, Path::new(path), None);
        assert_eq!(release(&image, "bzImage").expect("in the header"), "6.6.13-x");
        assert_eq!(release(b"MZ", "b/vmlinuz-6.1.0-arm64").expect("in the name"), "6.1.0-arm64");
        assert!(release(b"MZ", "Image").is_err());
        assert!(release(&image[..0x210], "Image").is_err(), "cut off");
    }

    #[test]
    fn modules_belong_to_the_kernel_in_the_same_place() {
        let kernels = ["a", "b"].map(|name| Wanted::Image(name.into()));
        let pairs = pair(&kernels, &["m".into()]).expect("fewer are fine");
        assert_eq!(pairs[0].1, Some("m".into()));
        assert_eq!(pairs[1].1, None);
        assert!(pair(&kernels[..1], &["m".into(), "n".into()]).is_err());
    }
}
