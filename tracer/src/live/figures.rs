//! Where the figures of a live run come from: its parts are handed in as they are made, and a
//! [`Snapshot`] of them comes out whenever somebody asks.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    param::page_size,
    time::{ClockId, clock_gettime},
};

use crate::{
    capture::live::{attach::Method, counters::KernelCounters, level::RingLevel},
    config::Config,
    metrics::{Attached, Board, Limits, OutputFigures, Process, Ring, Snapshot},
    sink::{Monitor, State},
};

/// What a run's figures are taken from.
pub(super) struct Figures {
    pub(super) board: Arc<Board>,
    pub(super) kernel: Option<Arc<KernelCounters>>,
    pub(super) rings: Vec<RingLevel>,
    pub(super) standing: Arc<Standing>,
    /// The outputs that can fall behind.
    outputs: Monitor,
    limits: Limits,
    process: ThisProcess,
}

/// On how many interfaces the tracer listens now, and in which way.
#[derive(Default)]
pub(super) struct Standing {
    tcx: AtomicU64,
    clsact: AtomicU64,
    libpcap: AtomicU64,
    refused: AtomicU64,
}

impl Standing {
    /// Takes note of what is attached by the classifier's loader.
    pub(super) fn note(&self, method: Option<Method>, attached: usize, refused: usize) {
        let by = |wanted| if method == Some(wanted) { attached as u64 } else { 0 };
        self.tcx.store(by(Method::Tcx), Relaxed);
        self.clsact.store(by(Method::Clsact), Relaxed);
        self.refused.store(refused as u64, Relaxed);
    }

    /// Takes note that libpcap captures on so many interfaces.
    #[cfg(feature = "libpcap")]
    pub(super) fn note_libpcap(&self, interfaces: usize) {
        self.libpcap.store(interfaces as u64, Relaxed);
    }

    fn now(&self) -> Attached {
        let Self { tcx, clsact, libpcap, refused } = self;
        Attached {
            tcx: tcx.load(Relaxed),
            clsact: clsact.load(Relaxed),
            libpcap: libpcap.load(Relaxed),
            refused: refused.load(Relaxed),
        }
    }
}

impl Figures {
    /// Those that the pipelines of a board count, with the limits that were configured.
    pub(super) fn new(board: Arc<Board>, config: &Config, outputs: Monitor) -> Self {
        let limits = &config.options.limits;
        Self {
            board,
            kernel: None,
            rings: Vec::new(),
            standing: Arc::default(),
            outputs,
            limits: Limits {
                memory: limits.memory as u64,
                connections: limits.connections as u64,
                half_open: limits.half_open as u64,
            },
            process: ThisProcess::new(),
        }
    }

    /// All of them as they are now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let ring =
            |level: &RingLevel| Ring { used: level.used() as u64, size: level.size() as u64 };
        Snapshot {
            counted: self.board.sum(),
            kernel: self.kernel.as_ref().map(|counters| counters.read()),
            rings: self.rings.iter().map(ring).collect(),
            attached: self.standing.now(),
            limits: self.limits,
            outputs: outputs(self.outputs.states()),
            process: self.process.now(),
        }
    }
}

/// One for each name: an output that a reload has taken away, and another has brought back, may still have
/// something to write from before.
fn outputs(states: Vec<State>) -> Vec<OutputFigures> {
    let mut outputs: Vec<OutputFigures> = Vec::new();
    for State { name, waiting, written, dropped, has_ended: _ } in states {
        let (dropped, queued) = (dropped.events, waiting as u64);
        match outputs.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                known.written += written;
                known.dropped += dropped;
                known.queued += queued;
            }
            None => outputs.push(OutputFigures { name, written, dropped, queued }),
        }
    }
    outputs
}

/// What the kernel says of us.
struct ThisProcess {
    started: f64,
    /// `/proc/self/statm`, opened while files can be opened.
    memory: Option<File>,
}

impl ThisProcess {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: now.as_secs_f64(), memory: File::open("/proc/self/statm").ok() }
    }

    fn now(&self) -> Process {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        Process { started: self.started, cpu, resident: self.resident() }
    }

    /// Pages are the second field (proc(5)).
    fn resident(&self) -> Option<u64> {
        let mut text = [0; 128];
        let len = self.memory.as_ref()?.read_at(&mut text, 0).ok()?;
        let fields = str::from_utf8(&text[..len]).ok()?;
        let pages: u64 = fields.split(' ').nth(1)?.parse().ok()?;
        Some(pages * page_size() as u64)
    }
}
