//! The loaded classifier: one owner, typed access to its maps and programs.

use std::io;

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError, MapType, PerCpuArray, RingBuf},
    programs::{ProgramError, SchedClassifier},
};
use tracer_common::{counters::Counters, ports::PortSet};

use super::{flows::Flows, interface::LinkLayer};

/// The program, compiled by the build script.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf"));

/// Bytes of a ring buffer that nobody uses; aya makes a page of it, where pages are larger.
const SMALLEST_RING: u32 = 4096;

/// How often loading a program is tried at most.
const ATTEMPTS: usize = 5;

/// What is fixed when the program is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Ring buffers, each with the flows that [`tracer_common::flow::ring`] gives it.
    pub rings: u32,
    /// Bytes of each ring buffer: a power of two, of whole pages.
    pub ring_size: u32,
    /// Payload bytes to copy of each segment at most.
    pub snaplen: u32,
    /// Copy pure acknowledgments too.
    pub pure_acks: bool,
    /// Payload bytes of a binary message behind which not to copy; `u32::MAX`: copy all.
    pub shown: u32,
}

/// The classifier in the kernel. Dropping it takes it out again.
pub struct Classifier {
    ebpf: Ebpf,
    /// The ring buffers, where there are several.
    rings: Vec<MapData>,
}

impl Classifier {
    /// Loads it; nothing is attached yet.
    pub fn load(settings: Settings, ports: &PortSet) -> Result<Self> {
        let Settings { rings, ring_size, snaplen, pure_acks, shown } = settings;
        lift_memory_limit();
        let pure_acks = u8::from(pure_acks);
        // One of several is looked up; the only one need not be. It is small where it is not used.
        let only_ring = if rings == 1 { ring_size } else { SMALLEST_RING };
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("RECORDS", only_ring)
            .override_global("RING_COUNT", &rings, true)
            .override_global("SNAPLEN", &snaplen, true)
            .override_global("SHOWN", &shown, true)
            .override_global("PURE_ACKS", &pure_acks, true)
            .load(OBJECT)
            .map_err(explain_load)?;
        let rings = if rings == 1 { Vec::new() } else { make_rings(&mut ebpf, rings, ring_size)? };
        for layer in [LinkLayer::Ethernet, LinkLayer::Ip] {
            let program = program(&mut ebpf, layer)?;
            load(program).map_err(|error| explain_load(error.into()))?;
        }
        let mut classifier = Self { ebpf, rings };
        classifier.set_ports(ports)?;
        Ok(classifier)
    }

    /// The program for interfaces of this kind.
    pub fn program(&mut self, layer: LinkLayer) -> Result<&mut SchedClassifier> {
        program(&mut self.ebpf, layer)
    }

    /// Sets the traced ports, at once for the next packet.
    pub fn set_ports(&mut self, ports: &PortSet) -> Result<()> {
        let map = self.ebpf.map_mut("PORTS").context("the program has no map PORTS")?;
        Array::<_, PortSet>::try_from(map)?.set(0, ports, 0).context("cannot set the traced ports")
    }

    /// The ways that records come. Can be taken once.
    pub fn take_records(&mut self) -> Result<Vec<RingBuf<MapData>>> {
        let only = self.ebpf.take_map("RECORDS").context("the program has no map RECORDS")?;
        if self.rings.is_empty() {
            return Ok(vec![RingBuf::try_from(only)?]);
        }
        let several = self.rings.drain(..);
        several.map(|ring| Ok(RingBuf::try_from(Map::from_map_data(ring)?)?)).collect()
    }

    /// The kernel's counters. Can be taken once.
    pub fn take_counters(&mut self) -> Result<PerCpuArray<MapData, Counters>> {
        let map = self.ebpf.take_map("COUNTERS").context("the program has no map COUNTERS")?;
        Ok(PerCpuArray::try_from(map)?)
    }

    /// The tables of what need not be copied. Can be taken once.
    pub fn take_flows(&mut self) -> Result<Flows> {
        let mut take = |name| {
            self.ebpf.take_map(name).with_context(|| format!("the program has no map {name}"))
        };
        Ok(Flows {
            has_bypassed: Array::try_from(take("HAS_BYPASSED")?)?,
            bypassed: HashMap::try_from(take("BYPASSED")?)?,
            confirmed: HashMap::try_from(take("CONFIRMED")?)?,
            followed: HashMap::try_from(take("FOLLOWED")?)?,
            has_followed: Array::try_from(take("HAS_FOLLOWED")?)?,
        })
    }

    /// The classifier's diagnostics, when they were compiled in.
    #[cfg(feature = "ebpf-log")]
    pub fn logger(&mut self) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>> {
        Ok(aya_log::EbpfLogger::init(&mut self.ebpf)?)
    }
}

/// Makes ring buffers, and gives them to the classifier. As the only one, they are of a size that is
/// not known when the classifier is compiled.
fn make_rings(ebpf: &mut Ebpf, count: u32, size: u32) -> Result<Vec<MapData>> {
    let map = ebpf.map_mut("RINGS").context("the program has no map RINGS")?;
    let mut slots = ArrayOfMaps::<_, MapData>::try_from(map)?;
    let make = |slot| {
        let ring = aya_obj::Map::new_from_params(MapType::RingBuf as u32, 0, 0, size, 0);
        let ring = MapData::create(ring, "RECORDS", None)?;
        slots.set(slot, &ring, 0)?;
        Ok(ring)
    };
    (0..count)
        .map(make)
        .collect::<Result<_, MapError>>()
        .map_err(|error| explain_load(error.into()))
}

fn program(ebpf: &mut Ebpf, layer: LinkLayer) -> Result<&mut SchedClassifier> {
    let name = layer.program_name();
    let program = ebpf.program_mut(name).with_context(|| format!("there is no program {name}"))?;
    Ok(program.try_into()?)
}

/// Kernels before 5.11 charge maps to the locked-memory limit; later ones do not care.
fn lift_memory_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit { current: None, maximum: None };
    // Without CAP_SYS_RESOURCE this fails, and on a kernel that needs it the load will tell.
    setrlimit(Resource::Memlock, unlimited).ok();
}

/// Says what a failure to load means for the user. The verifier's log is for those who can do
/// something about it.
fn explain_load(error: EbpfError) -> anyhow::Error {
    let Some(cause) = os_error(&error) else {
        return anyhow!(error).context("cannot load the program");
    };
    let sentence = match &error {
        _ if cause.raw_os_error() == Some(libc_errno::ENOSYS) => {
            "this kernel has no BPF: use Linux 5.8 or later with CONFIG_BPF_SYSCALL".to_owned()
        }
        // The verifier's refusals are EACCES, or EINVAL.
        _ if cause.raw_os_error() == Some(libc_errno::EPERM) => {
            return anyhow!(
                "the kernel does not allow to load the program ({cause}): run as root, or with \
                 CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, outside of kernel lockdown"
            );
        }
        _ if matches!(cause.raw_os_error(), Some(libc_errno::ENFILE | libc_errno::EMFILE)) => {
            return anyhow!(
                "cannot load the program ({cause}): allow more open files with `ulimit -Hn 4096`"
            );
        }
        EbpfError::MapError(MapError::CreateError { name, .. })
            if name == "RECORDS" && cause.kind() == io::ErrorKind::InvalidInput =>
        {
            "this kernel has no BPF ring buffers: use Linux 5.8 or later".to_owned()
        }
        EbpfError::MapError(MapError::CreateError { .. })
            if cause.kind() == io::ErrorKind::OutOfMemory =>
        {
            "not enough memory for the ring buffer: choose a smaller one with --ring-size"
                .to_owned()
        }
        EbpfError::ProgramError(ProgramError::LoadError { .. }) => {
            "this kernel's verifier refuses the program: please report it with the output below"
                .to_owned()
        }
        _ => "cannot load the program".to_owned(),
    };
    anyhow!(error).context(sentence)
}

/// Loads a program, and tries it again when a signal has interrupted the verifier (`EAGAIN`), as libbpf does.
fn load(program: &mut SchedClassifier) -> Result<(), ProgramError> {
    let is_interrupted = |result: &Result<(), ProgramError>| {
        matches!(result, Err(ProgramError::LoadError { io_error, .. })
            if io_error.kind() == io::ErrorKind::WouldBlock)
    };
    let mut result = program.load();
    for _ in 1..ATTEMPTS {
        if !is_interrupted(&result) {
            break;
        }
        result = program.load();
    }
    result
}

/// Error numbers that [`io::ErrorKind`] has no stable name for.
mod libc_errno {
    /// Function not implemented.
    pub(super) const ENOSYS: i32 = 38;
    /// Operation not permitted.
    pub(super) const EPERM: i32 = 1;
    /// Too many open files in the system.
    pub(super) const ENFILE: i32 = 23;
    /// Too many open files.
    pub(super) const EMFILE: i32 = 24;
}

/// The system's error at the root.
fn os_error(error: &EbpfError) -> Option<&io::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(error: EbpfError) -> String {
        explain_load(error).to_string()
    }

    fn no_map(name: &str, errno: i32) -> EbpfError {
        let io_error = io::Error::from_raw_os_error(errno);
        MapError::CreateError { name: name.to_owned(), io_error }.into()
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let (enomem, einval) = (12, 22);
        assert!(sentence(no_map("PORTS", libc_errno::ENOSYS)).contains("has no BPF:"));
        assert!(sentence(no_map("RECORDS", einval)).contains("no BPF ring buffers"));
        assert!(sentence(no_map("RECORDS", libc_errno::EPERM)).contains("run as root"));
        assert!(sentence(no_map("RECORDS", enomem)).contains("--ring-size"));
        assert!(sentence(no_map("RECORDS", libc_errno::EMFILE)).contains("ulimit"));
    }
}
