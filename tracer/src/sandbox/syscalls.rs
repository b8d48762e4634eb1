//! Lets the kernel refuse the system calls that a running tracer has no use for (seccomp(2)). Refused
//! means EPERM: what a library tries and can do without is no reason to die.

use std::{collections::BTreeMap, env::consts::ARCH};

use anyhow::Result;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Whatever the arguments.
const ANYHOW: &[c_long] = &[
    // Reading and writing what is open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    // Files of events, which rotate, and the configuration.
    libc::SYS_openat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_fchmod,
    libc::SYS_memfd_create,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // Sockets: netlink, outputs, metrics, the journal. Their kinds are below.
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    // Names of hosts are asked for two at a time.
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_socketpair,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_membarrier,
    // Threads and signals.
    // How it begins is behind a pointer, where no filter can look: see `NOT_THERE`.
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // What the machine is called, and has.
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_prlimit64,
];

/// The same by the numbers of an older processor.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_readlink,
    libc::SYS_access,
    libc::SYS_rename,
    libc::SYS_unlink,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// A process or thread with namespaces of its own (clone(2)): in those it would have all capabilities.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// Refused as if the kernel did not know it: then the C library uses clone(2).
const NOT_THERE: c_long = libc::SYS_clone3;

/// Only with one of these as an argument: the call, which argument, the values.
const SOME: [(c_long, u8, &[u32]); 4] = [
    // The names of interfaces, what waits in a socket, whether a call waits, and whether something is a terminal;
    // not what is typed into one.
    (
        libc::SYS_ioctl,
        1,
        &[
            libc::SIOCGIFNAME as u32,
            libc::SIOCGIFINDEX as u32,
            libc::FIONREAD as u32,
            libc::FIONBIO as u32,
            libc::FIOCLEX as u32,
            libc::TCGETS as u32,
        ],
    ),
    // No packet sockets.
    (
        libc::SYS_socket,
        0,
        &[
            libc::AF_UNIX as u32,
            libc::AF_INET as u32,
            libc::AF_INET6 as u32,
            libc::AF_NETLINK as u32,
        ],
    ),
    // The elements of maps, and attaching what is loaded; no maps and programs (`enum bpf_cmd`).
    (libc::SYS_bpf, 0, &[1, 2, 3, 4, 15, 16, 28]),
    (libc::SYS_prctl, 0, &[libc::PR_SET_NAME as u32, libc::PR_GET_NAME as u32]),
];

/// Refuses everything else from now on, to this thread and those that it starts.
pub(super) fn restrict() -> Result<()> {
    let not_there = [(NOT_THERE, Vec::new())].into();
    // The second one allows no third.
    apply(not_there, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    apply(allowed()?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn allowed() -> Result<Rules> {
    let mut rules: Rules = ANYHOW.iter().chain(OLD).map(|call| (*call, Vec::new())).collect();
    for (call, argument, values) in SOME {
        let equal = |value: &u32| rule(argument, SeccompCmpOp::Eq, *value);
        rules.insert(call, values.iter().map(equal).collect::<Result<_>>()?);
    }
    let in_ours = rule(0, SeccompCmpOp::MaskedEq(NAMESPACES.into()), 0)?;
    rules.insert(libc::SYS_clone, vec![in_ours]);
    Ok(rules)
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u32) -> Result<SeccompRule> {
    let condition =
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn apply(rules: Rules, others: SeccompAction, these: SeccompAction) -> Result<()> {
    let program: BpfProgram =
        SeccompFilter::new(rules, others, these, ARCH.try_into()?)?.try_into()?;
    Ok(apply_filter(&program)?)
}
