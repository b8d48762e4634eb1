//! What a tracer needs to start, what it still has when it runs, and that nothing gives it back the
//! rest.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io,
    net::{SocketAddr, ToSocketAddrs as _, UdpSocket},
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::Command,
    thread,
};

use rustix::{
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change},
    net::{AddressFamily, SocketType, socket},
    process::{Pid, Uid},
    thread::{
        CapabilitySet, CapabilitySets, UnshareFlags, configure_capability_in_ambient_set,
        set_capabilities, set_keep_capabilities, set_thread_uid, unshare_unsafe,
    },
};
use tracer::{
    capture::live::{
        privilege::FOR_BPF,
        program::{Classifier, Settings},
    },
    config::PortList,
    sandbox,
};

use crate::{
    assert_shows,
    attached::{attached, knows_tcx},
    left_out,
    netns::{HERE, Namespace},
    server::{HANG, Server},
    talk,
    tracer::{Tracer, wait_for},
    traffic::SMALL,
};

const TCX: &[&str] = &["--port", "7272", "--attach", "tcx"];
const CLSACT: &[&str] = &["--port", "7272", "--attach", "clsact"];
const NOBODY: u32 = 65534;

/// What `/proc` says of each thread.
fn threads(pid: Pid) -> Vec<BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let status = |task: fs::DirEntry| {
        let text = fs::read_to_string(task.path().join("status")).expect("the thread is there");
        let lines = text.lines().filter_map(|line| line.split_once(":\t"));
        lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    tasks.map(|task| status(task.expect("a thread"))).collect()
}

#[test]
fn a_running_tracer_has_nothing_left_and_follows_interfaces_all_the_same() {
    for (options, kept) in [(TCX, 0), (CLSACT, CapabilitySet::NET_ADMIN.bits())] {
        let here = Namespace::new();
        if options == TCX && !knows_tcx(&here) {
            continue;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("events.jsonl");
        let file = file.to_str().expect("a UTF-8 path");
        let options = [options, &["-o", "-", "-o", file]].concat();
        let tracer = Tracer::start(&here, &options);
        let threads = threads(tracer.pid());
        assert!(threads.len() > 4, "one for the kernel, one that decodes, those that write");
        for thread in threads {
            for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                let is_for_attaching = !thread["Name"].starts_with("output");
                let inherits = ["CapInh", "CapAmb"].contains(&set);
                let expected = if is_for_attaching && !inherits { kept } else { 0 };
                assert_eq!(thread[set], format!("{expected:016x}"), "{set} of {thread:?}");
            }
            assert_eq!((&*thread["NoNewPrivs"], &*thread["Seccomp"]), ("1", "2"), "{thread:?}");
        }
        let there = here.connect("late0");
        wait_for("the new interface to be traced", || tracer.has_said("tracing late0 too"));
        let said = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
        assert_shows(&tracer.interrupt(), said);
        assert_eq!(attached(&here), []);
        assert!(!here.command("tc", "qdisc show").contains("clsact"));
    }
}

/// Becomes somebody who has nothing but some capabilities, and hands those on.
fn become_nobody_with(capabilities: CapabilitySet) {
    set_keep_capabilities(true).expect("root may");
    set_thread_uid(Uid::from_raw(NOBODY)).expect("root may");
    set_capabilities(
        None,
        CapabilitySets {
            effective: capabilities,
            permitted: capabilities,
            inheritable: capabilities,
        },
    )
    .expect("fewer than there were");
    for capability in capabilities.iter() {
        configure_capability_in_ambient_set(capability, true).expect("it is inheritable");
    }
}

#[test]
fn three_capabilities_are_enough_for_somebody_else_than_root() {
    for options in [TCX, CLSACT] {
        let here = Namespace::new();
        if options == TCX && !knows_tcx(&here) {
            continue;
        }
        let there = here.connect("veth0");
        let tracer = Tracer::start_by(&here, options, || become_nobody_with(FOR_BPF));
        assert!(threads(tracer.pid()).iter().all(|thread| thread["Uid"].starts_with("65534\t")));
        let said = talk(&there, Server::start(&here, HERE[0], 1), &[SMALL]);
        assert_shows(&tracer.interrupt(), said);
        assert_eq!(attached(&here), []);
    }
}

fn load() -> anyhow::Result<Classifier> {
    let ports: PortList = "7272".parse().expect("a port");
    let (ring_size, limit) = (1 << 20, u32::MAX);
    let settings = Settings { rings: 1, ring_size, snaplen: limit, pure_acks: false, shown: 4096 };
    Classifier::load(settings, &ports.set())
}

#[test]
fn the_kernel_wants_each_of_the_three() {
    for missing in FOR_BPF.iter() {
        let loading = thread::spawn(move || {
            become_nobody_with(FOR_BPF - missing);
            load().map(drop).map_err(|error| format!("{error:#}"))
        });
        let result = loading.join().expect("no panic");
        assert!(result.is_err(), "without {missing:?}");
    }
    let loading = thread::spawn(|| {
        become_nobody_with(FOR_BPF);
        load().map(drop).map_err(|error| format!("{error:#}"))
    });
    assert_eq!(loading.join().expect("no panic"), Ok(()));
}

/// What clone(2) says to a process with a network of its own. If it made one, that would end at once.
fn clone_with_namespace() -> i32 {
    let flags = i64::from(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::SIGCHLD);
    // SAFETY: without a stack of its own it is a copy of this process, as of fork(2), which only ends.
    #[expect(unsafe_code, reason = "no library makes such processes")]
    let made = unsafe {
        let made = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
        if made == 0 {
            libc::_exit(0);
        }
        made
    };
    errno_of(made)
}

/// What clone3(2) says to nothing.
fn clone3() -> i32 {
    // SAFETY: it reads nothing from there.
    #[expect(unsafe_code, reason = "no library calls it like this")]
    let made = unsafe { libc::syscall(libc::SYS_clone3, 0, 0) };
    errno_of(made)
}

/// What ioctl(2) says to a character that is put where a terminal's user types.
fn type_into_terminal() -> i32 {
    let character = b'x';
    // SAFETY: it reads one byte, which is there.
    #[expect(unsafe_code, reason = "no library offers it")]
    let typed = unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const character) };
    errno_of(typed.into())
}

fn errno_of(result: i64) -> i32 {
    if result == -1 { io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}

/// What ptrace(2) says to the other threads of this process, which are as good as another process.
fn trace(thread: i32) -> i32 {
    const NONE: usize = 0;
    // SAFETY: it reads and writes no memory.
    #[expect(unsafe_code, reason = "no library that we use offers it")]
    let traced = unsafe { libc::ptrace(libc::PTRACE_SEIZE, thread, NONE, NONE) };
    errno_of(traced)
}

/// What bpf(2) says to the smallest of all programs, a socket filter, which everybody may load where
/// `kernel.unprivileged_bpf_disabled` is 0.
fn load_filter() -> i32 {
    /// `BPF_PROG_LOAD` and the beginning of its attributes (`linux/bpf.h`).
    const LOAD: u32 = 5;
    #[repr(C)]
    struct Attributes {
        kind: u32,
        len: u32,
        program: *const u64,
        license: *const libc::c_char,
    }
    // r0 = 0; exit
    let program: [u64; 2] = [0xb7, 0x95];
    let license = c"GPL".as_ptr();
    let attributes = Attributes { kind: 1, len: 2, program: program.as_ptr(), license };
    // SAFETY: it reads the attributes, and what they point to, which all are there.
    #[expect(unsafe_code, reason = "aya loads nothing so small")]
    let loaded = unsafe {
        libc::syscall(libc::SYS_bpf, LOAD, &raw const attributes, size_of::<Attributes>())
    };
    errno_of(loaded)
}

/// What somebody tries who has taken over the tracer, and whether it is refused.
fn attempts(secret: &Path, other_thread: i32) -> Vec<(&'static str, bool)> {
    let all = CapabilitySet::all();
    let sets = CapabilitySets { effective: all, permitted: all, inheritable: all };
    // SAFETY: nothing of what this thread would unshare is used.
    #[expect(unsafe_code, reason = "rustix asks for it")]
    let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWNET) };
    let is_refused = |error: Option<Errno>| error == Some(Errno::PERM);
    let packets = socket(AddressFamily::PACKET, SocketType::RAW, None);
    let mounted = mount("none", "/tmp", "tmpfs", MountFlags::empty(), None);
    vec![
        ("capabilities", is_refused(set_capabilities(None, sets).err())),
        ("another user", is_refused(set_thread_uid(Uid::from_raw(NOBODY)).err())),
        ("another namespace", is_refused(unshared.err())),
        ("a process with namespaces of its own", clone_with_namespace() == libc::EPERM),
        ("the same where no filter can look", clone3() == libc::ENOSYS),
        ("another thread's memory", trace(other_thread) == libc::EPERM),
        ("the terminal", type_into_terminal() == libc::EPERM),
        ("a packet socket", is_refused(packets.err())),
        ("a file system", is_refused(mounted.err())),
        ("another program", Command::new("/proc/self/exe").arg("--list").spawn().is_err()),
        ("the classifier, once more", load().is_err()),
        ("another program in the kernel", load_filter() == libc::EPERM),
        ("somebody else's file", File::open(secret).is_err()),
        // More rules can only forbid more, and not even those can be added.
        ("other rules", sandbox::enter(all).is_err()),
    ]
}

#[test]
fn what_was_given_up_cannot_be_had_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret");
    fs::write(&secret, "of somebody else").expect("a file");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("it is ours");
    chown(&secret, Some(NOBODY), None).expect("root may");
    let this = rustix::thread::gettid().as_raw_nonzero().get();
    // By TCX, and by clsact.
    for kept in [CapabilitySet::empty(), CapabilitySet::NET_ADMIN] {
        let refused = thread::scope(|scope| {
            let trying = scope.spawn(|| {
                sandbox::enter(kept).expect("everybody may give up");
                attempts(&secret, this)
            });
            trying.join().expect("no panic")
        });
        for (what, is_refused) in refused {
            assert!(is_refused, "with {kept:?}, {what} could be had");
        }
    }
}

/// Has names of hosts asked for at 127.0.0.1, by this thread only.
fn ask_here() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("resolv.conf");
    fs::write(&file, "nameserver 127.0.0.1\n")?;
    // SAFETY: no other thread relies on sharing directories with this one.
    #[expect(unsafe_code, reason = "rustix asks for it")]
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(mount_bind(&file, "/etc/resolv.conf")?)
}

/// Answers questions for IPv4 addresses with 10.1.2.3, and says of all others that there are none (RFC 1035
/// section 4).
fn answer(server: &UdpSocket) {
    const HEAD: usize = 12;
    const IPV4: [u8; 2] = [0, 1];
    let mut question = [0; 512];
    while let Ok((len, from)) = server.recv_from(&mut question) {
        let name = question[HEAD..len].iter().position(|&byte| byte == 0).expect("a name's end");
        let end = HEAD + name + 5;
        let has_address = question[HEAD + name + 1..][..2] == IPV4;
        let head = [0x81, 0x80, 0, 1, 0, u8::from(has_address), 0, 0, 0, 0];
        let mut answer = [&question[..2], &head, &question[HEAD..end]].concat();
        if has_address {
            // The name is the one of the question; class, seconds to live, length, address.
            answer.extend([0xc0, HEAD as u8, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 1, 2, 3]);
        }
        server.send_to(&answer, from).expect("an answer");
    }
}

#[test]
fn names_of_hosts_can_be_asked_for_afterwards() {
    let here = Namespace::new();
    let server = here.run(|| UdpSocket::bind("127.0.0.1:53")).expect("nobody else is there");
    server.set_read_timeout(Some(HANG)).expect("a timeout");
    let closing = server.try_clone().expect("a descriptor");
    let answering = thread::spawn(move || answer(&closing));
    let found = here.run(|| {
        if let Err(error) = ask_here() {
            left_out(&format!("no /etc/resolv.conf of our own: {error}"));
            return None;
        }
        sandbox::enter(CapabilitySet::empty()).expect("everybody may give up");
        let found = ("collector.example", 5170).to_socket_addrs().expect("an answer");
        Some(found.collect::<Vec<_>>())
    });
    if let Some(found) = found {
        assert_eq!(found, [SocketAddr::from(([10, 1, 2, 3], 5170))]);
    }
    drop((server, answering));
}
