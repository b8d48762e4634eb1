//! Network namespaces of a test's own: names and addresses come in, links come out. They vanish
//! with the last thread, process or file that uses them, whatever happens to the test.

use std::{
    fs::File,
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    panic::resume_unwind,
    process::{self, Command},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

use crate::tracer::wait_for;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// Tests share the machine, unless one needs it for itself to go at full speed.
static MACHINE: RwLock<()> = RwLock::new(());

/// What a test holds of the machine for as long as its namespaces live.
enum Claim {
    Shared {
        _guard: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
    /// The test's first namespace has a claim already.
    Included,
}

/// A network namespace with nothing in it but `lo`, which is up.
pub(crate) struct Namespace {
    handle: File,
    _claim: Claim,
}

impl Namespace {
    /// A test's first one; [`Namespace::cable`] makes more.
    pub(crate) fn new() -> Self {
        let _guard = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        Self::claiming(Claim::Shared { _guard })
    }

    /// The same for a test that must run alone.
    pub(crate) fn alone() -> Self {
        let _guard = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        Self::claiming(Claim::Alone { _guard })
    }

    fn claiming(claim: Claim) -> Self {
        let handle = thread::spawn(|| {
            unshare_network();
            File::open("/proc/thread-self/ns/net").expect("procfs is mounted")
        });
        let handle = handle.join().unwrap_or_else(|panic| resume_unwind(panic));
        let namespace = Self { handle, _claim: claim };
        namespace.ip("link set lo up");
        // A router asks for neighbours from its link-local address only, and that is not its own
        // until the kernel has looked for duplicates for up to two seconds: there are none here.
        for devices in ["all", "default"] {
            namespace.set(&format!("ipv6/conf/{devices}/accept_dad"), "0");
        }
        namespace
    }

    /// A second one for the same test, not connected to this one.
    pub(crate) fn another(&self) -> Self {
        Self::claiming(Claim::Included)
    }

    /// A new namespace at the other end of a new veth pair. This end, called `name`, has no address
    /// yet and is down; the other end has [`THERE`].
    pub(crate) fn cable(&self, name: &str) -> Self {
        let there = Self::claiming(Claim::Included);
        self.ip(&format!("link add {name} type veth peer name far netns {}", there.path()));
        there.address("far", THERE);
        there
    }

    /// One that exists already, by the file that stands for it.
    pub(crate) fn opened(&self, path: &str) -> Self {
        let handle = File::open(path).expect("a network namespace");
        Self { handle, _claim: Claim::Included }
    }

    /// The file that stands for it, while this lives.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", process::id(), self.handle.as_raw_fd())
    }

    /// The same, and this end has [`HERE`].
    pub(crate) fn connect(&self, name: &str) -> Self {
        let there = self.cable(name);
        self.address(name, HERE);
        there
    }

    /// Gives a device its addresses and takes it up.
    pub(crate) fn address(&self, device: &str, [v4, v6]: [&str; 2]) {
        self.ip(&format!("addr add {v4}/24 dev {device}"));
        // Without `nodad` an address waits a second before it can be used (RFC 4862 section 5.4).
        self.ip(&format!("addr add {v6}/64 dev {device} nodad"));
        self.ip(&format!("link set {device} up"));
    }

    /// Writes a setting below `/proc/sys/net`.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.run(|| std::fs::write(format!("/proc/sys/net/{name}"), value)).expect("a setting");
    }

    /// Waits until an address answers from here: neighbours on the way are asked for up to three
    /// times a second apart, and where the machine is busy, their links may not be up by then.
    pub(crate) fn reach(&self, address: &str) {
        // Nobody listens on the discard port, and no tracer looks at it.
        let discard = SocketAddr::new(address.parse().expect("an address"), 9);
        wait_for("the way to be open", || {
            let answer = self.run(|| TcpStream::connect(discard));
            let refused = answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
            refused.then_some(())
        });
    }

    /// Runs `job` on a thread inside the namespace. Sockets it opens, threads it spawns and
    /// processes it starts belong there for good.
    pub(crate) fn run<R: Send>(&self, job: impl FnOnce() -> R + Send) -> R {
        let inside = || {
            move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("the namespace can be entered");
            job()
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `ip` with these arguments inside.
    pub(crate) fn ip(&self, arguments: &str) {
        self.command("ip", arguments);
    }

    /// Runs a program inside, which has to succeed; what it printed.
    pub(crate) fn command(&self, program: &str, arguments: &str) -> String {
        self.try_command(program, arguments)
            .unwrap_or_else(|stderr| panic!("{program} {arguments}: {stderr}"))
    }

    /// Runs a program inside: what it printed, or what it complained of.
    pub(crate) fn try_command(&self, program: &str, arguments: &str) -> Result<String, String> {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        let output = self.run(|| command.output()).unwrap_or_else(|e| {
            panic!("cannot run {program} ({e}): it comes with the package iproute2")
        });
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
        if output.status.success() { Ok(stdout) } else { Err(stderr) }
    }

    /// How many segments TCP has sent again inside (`RetransSegs` of RFC 1213). It does, even on
    /// loopback: where a thread that changed CPUs reordered a packet, or a peer had no CPU for long.
    pub(crate) fn sent_again(&self) -> u64 {
        // The two lines of a protocol: names, values.
        let counters = self.command("cat", "/proc/thread-self/net/snmp");
        let mut tcp = counters.lines().filter(|l| l.starts_with("Tcp:")).map(str::split_whitespace);
        let (names, values) = tcp.next().zip(tcp.next()).expect("TCP is counted");
        let counter = names.zip(values).find(|(name, _)| *name == "RetransSegs");
        counter.and_then(|(_, value)| value.parse().ok()).expect("a number")
    }
}

/// Moves the thread into a new namespace. No live test is skipped in silence: it fails without the
/// privileges for this.
#[expect(unsafe_code, reason = "rustix marks all kinds of unsharing unsafe because of one of them")]
fn unshare_network() {
    // SAFETY: only unsharing the file table can break I/O safety, and this does not.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap_or_else(|e| {
        panic!(
            "cannot make a network namespace ({e}): live tests need root; run `cargo xtask test` \
             as root, or leave them out with `cargo xtask test --no-live`"
        )
    });
}

/// IPv4 and IPv6 address of a link's first end.
pub(crate) const HERE: [&str; 2] = ["10.77.0.1", "fd77::1"];
/// Of the other end.
pub(crate) const THERE: [&str; 2] = ["10.77.0.2", "fd77::2"];
