//! What a kernel makes of the program: how it is attached, how far the verifier is from its limit,
//! and what loading takes. Measured on every kernel, so that growth is seen.

use std::{
    env,
    sync::mpsc::channel,
    thread::{self, sleep},
    time::Instant,
};

use rustix::{system::uname, thread::gettid};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};
use tracer::{
    capture::live::{
        interface::LinkLayer,
        program::{Classifier, Settings},
    },
    config::PortList,
};

use crate::{
    attached::{attached, is_one_set},
    kernel::{left_out, measured},
    netns::Namespace,
    tracer::Tracer,
};

/// What the verifier goes through before it refuses (`BPF_COMPLEXITY_LIMIT_INSNS` of
/// `linux/bpf.h`).
const VERIFIER_LIMIT: u32 = 1_000_000;

const LAYERS: [(&str, LinkLayer); 2] = [("Ethernet", LinkLayer::Ethernet), ("IP", LinkLayer::Ip)];

/// All that the verifier treats differently: a constant takes away what it makes unreachable.
fn all_settings() -> Vec<Settings> {
    let mut all = Vec::new();
    for rings in [1, 4] {
        // The default of --payload-limit, and no limit.
        for shown in [4096, u32::MAX] {
            let snaplen = u32::MAX;
            all.push(Settings { rings, ring_size: 1 << 20, snaplen, pure_acks: false, shown });
        }
        let (snaplen, shown) = (96, u32::MAX);
        all.push(Settings { rings, ring_size: 1 << 20, snaplen, pure_acks: true, shown });
    }
    all
}

fn load(settings: Settings) -> Classifier {
    let ports: PortList = "7272".parse().expect("a port");
    Classifier::load(settings, &ports.set()).expect("it can be loaded")
}

/// Sends a signal to one thread of ours.
fn signal_thread(thread: libc::pid_t) {
    // SAFETY: it reads and writes no memory, and the signal has a handler.
    #[expect(unsafe_code, reason = "rustix sends signals to processes only")]
    let sent =
        unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, libc::SIGUSR1) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn signals_that_interrupt_the_verifier_make_no_difference() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _guard = runtime.enter();
    let _handler = signal(SignalKind::user_defined1()).expect("a handler");
    let start = Instant::now();
    drop(load(all_settings()[0]));
    let undisturbed = start.elapsed();
    let (sender, receiver) = channel();
    let (done, is_done) = channel::<()>();
    let loading = thread::spawn(move || {
        sender.send(gettid().as_raw_nonzero().get()).expect("somebody waits for it");
        drop(load(all_settings()[0]));
        // The thread stays until nobody sends it anything any more.
        is_done.recv().ok();
    });
    let thread = receiver.recv().expect("it has begun");
    // Each ends one of the two system calls that an attempt makes, at most.
    for _ in 0..8 {
        sleep(undisturbed / 10);
        signal_thread(thread);
    }
    drop(done);
    loading.join().expect("it is loaded");
}

#[test]
fn the_verifier_is_far_from_its_limit() {
    let mut most = [0; LAYERS.len()];
    for settings in all_settings() {
        let mut classifier = load(settings);
        for ((name, layer), most) in LAYERS.into_iter().zip(&mut most) {
            let program = classifier.program(layer).expect("it is there");
            let info = program.info().expect("it is loaded");
            let Some(count) = info.verified_instruction_count() else {
                left_out("this kernel is from before 5.16, and does not count instructions");
                return;
            };
            assert!(count < VERIFIER_LIMIT / 2, "{name}: {count} with {settings:?}");
            *most = count.max(*most);
        }
    }
    for ((name, _), most) in LAYERS.into_iter().zip(most) {
        measured(&format!("verified, {name}"), most);
    }
}

#[test]
fn loading_is_measured() {
    // Alone, so that the time is the kernel's.
    let _machine = Namespace::alone();
    let settings = all_settings()[0];
    let start = Instant::now();
    let mut classifier = load(settings);
    measured("load time", format!("{} ms", start.elapsed().as_millis()));
    let info = classifier.program(LinkLayer::Ethernet).expect("it is there").info();
    let info = info.expect("it is loaded");
    let (translated, jitted) = (info.size_translated(), info.size_jitted());
    measured("bytes", format!("{}, {jitted}", translated.unwrap_or_default()));
    assert!(jitted > 0, "this kernel interprets the program: its CONFIG_BPF_JIT is not set");
}

/// How `--attach auto` has to attach here: as `cargo xtask vm` says, or as the version of the kernel
/// does. TCX came with 6.6.
fn expected() -> String {
    env::var("TRACER_EXPECT_ATTACH").unwrap_or_else(|_| {
        let name = uname();
        let release = name.release().to_str().expect("a release is ASCII");
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next().and_then(|n| n.parse::<u32>().ok()).expect("a version");
        if (next(), next()) < (6, 6) { "clsact" } else { "tcx" }.to_owned()
    })
}

#[test]
fn a_tracer_attaches_in_the_best_way_that_the_kernel_has() {
    let namespace = Namespace::new();
    let tracer = Tracer::start(&namespace, &["--port", "7272"]);
    let set = attached(&namespace);
    assert!(is_one_set(&set), "{set:?}");
    let expected = expected();
    assert!(set.iter().all(|classifier| classifier.2 == expected), "not {expected}: {set:?}");
    measured("attach path", &expected);
    // It has seen nothing, which it reports.
    assert_eq!(tracer.interrupt().status.code(), Some(1));
}
