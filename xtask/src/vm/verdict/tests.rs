use std::time::Duration;

use super::*;

/// What machines have really written: Debian's 6.12, some of the tests, and what was done to it.
const PASSED: &str = include_str!("../consoles/passed.log");
/// With the wrong attach path asked for.
const FAILED: &str = include_str!("../consoles/failed.log");
/// `echo c > /proc/sysrq-trigger` before the tests.
const PANIC: &str = include_str!("../consoles/panic.log");
/// Without a first process.
const NO_INIT: &str = include_str!("../consoles/noinit.log");
/// A program after the tests that never ends.
const HUNG: &str = include_str!("../consoles/hung.log");
/// A program before the tests that was killed.
const KILLED: &str = include_str!("../consoles/killed.log");

fn of(console: &str) -> Report {
    report(console, Ended::Alone)
}

/// The log without its lines from the first one on that begins like this.
fn cut(console: &str, begin: &str) -> String {
    let lines = console.lines().take_while(|line| !line.starts_with(begin));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn passed() {
    let report = of(PASSED);
    assert_eq!(report.verdict, Verdict::Passed);
    assert_eq!(report.counts, Counts { passed: 3, failed: 0, ignored: 0 });
    assert_eq!(report.booted, Some(13.25));
    assert!(report.left_out.is_empty() && report.remarks.is_empty(), "{report:?}");
    let measured = |name: &str| report.measured[name].as_str();
    assert_eq!(measured("attach path"), "tcx");
    assert_eq!(measured("verified, Ethernet"), "106609");
    assert_eq!(measured("bytes"), "17816, 11273");
}

#[test]
fn a_serial_line_ends_lines_in_its_own_way() {
    let report = of(&PASSED.replace('\n', "\r\n"));
    assert_eq!(report, of(PASSED));
}

#[test]
fn a_failed_test_is_named() {
    let report = of(FAILED);
    let name = "budget::a_tracer_attaches_in_the_best_way_that_the_kernel_has";
    assert_eq!(report.verdict, Verdict::Failed(vec![name.to_owned()]));
    assert_eq!(report.counts, Counts { passed: 1, failed: 1, ignored: 0 });
}

#[test]
fn a_kernel_that_gives_up_is_a_panic_whenever_it_does() {
    let panic = |log: &str| match of(log).verdict {
        Verdict::Panic(message) => message,
        other => panic!("{other}"),
    };
    assert_eq!(panic(PANIC), "Kernel panic - not syncing: sysrq triggered crash");
    let message = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
    assert_eq!(panic(NO_INIT), message);
    // Even if the tests did not mind.
    let oops = "test x ... [  117.090203] BUG: kernel NULL pointer dereference, address: 08\n";
    assert!(panic(&format!("{PASSED}{oops}")).starts_with("BUG: kernel NULL pointer"));
    assert!(panic("[    2.000001] Oops: 0002 [#1] PREEMPT SMP\n").starts_with("Oops"));
}

#[test]
fn a_test_that_speaks_of_panics_is_none() {
    assert_eq!(
        of(&format!("thread 'x' said: Kernel panic, BUG: Oops\n{PASSED}")).verdict,
        Verdict::Passed
    );
}

#[test]
fn what_had_to_be_stopped_hung_and_its_last_word_is_told() {
    let ended = Ended::Silent(Duration::from_secs(600));
    let expected = "silent for 600 s; the last line: vm: ended live status 0";
    assert_eq!(report(HUNG, ended).verdict, Verdict::Hung(expected.to_owned()));
    let ended = Ended::Late(Duration::from_secs(3600));
    assert!(matches!(report(HUNG, ended).verdict, Verdict::Hung(_)));
    assert!(matches!(report("", ended).verdict, Verdict::Hung(_)));
    // It had said all before.
    assert_eq!(report(PASSED, ended).verdict, Verdict::Passed);
}

#[test]
fn a_program_that_was_killed_failed() {
    let expected = Verdict::Failed(vec!["provoked status 137".to_owned()]);
    assert_eq!(of(KILLED).verdict, expected);
}

#[test]
fn a_machine_that_ends_early_has_no_verdict() {
    let expected = Verdict::Missing("it ended before the tests did");
    assert_eq!(of(&cut(PASSED, "vm: done")).verdict, expected);
    assert_eq!(of(&cut(PASSED, "running")).verdict, expected);
    assert_eq!(of(&cut(PASSED, "vm: booted")).verdict, Verdict::DidNotBoot);
    assert_eq!(of("qemu: could not load kernel 'x'\n").verdict, Verdict::DidNotBoot);
    assert_eq!(of("").verdict, Verdict::DidNotBoot);
}

#[test]
fn tests_that_do_not_run_pass_nothing() {
    let none = PASSED.replace("3 passed", "0 passed");
    assert_eq!(of(&none).verdict, Verdict::Missing("no test ran"));
}

#[test]
fn what_was_left_out_and_what_the_kernel_minded_is_kept() {
    // As the kernel and busybox write it.
    let console = "test x ... left out: interfaces::on_vxlan: no vxlan here\n\
        vm: note: cannot load the module tun\n\
        [  117.090203] WARNING: CPU: 0 PID: 1 at net/core/dev.c:11 f+0x1/0x2\n\
        [  130.000001] rcu: INFO: rcu_preempt self-detected stall on CPU\n\
        [  131.000001] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [live:190]\n";
    let report = of(&format!("{console}{PASSED}"));
    assert_eq!(report.verdict, Verdict::Passed);
    assert_eq!(report.left_out, ["interfaces::on_vxlan: no vxlan here"]);
    assert_eq!(report.remarks.len(), 4, "{:?}", report.remarks);
}
