//! The page: what was measured, how, where, and what it came to.

use super::{Table, goals, lost, mismatch, plots, shown, spread};
use crate::bench::{
    figures::{self, Figures},
    load::{LOADS, Load},
    machine::Machine,
    observer::OBSERVERS,
    results::Results,
};

const METHOD: &str = "\
Server and clients of a load are our own: one process each, pinned to CPU 0 and CPU 1, with frames made \
beforehand, so that what is measured is nearly all kernel. Observers run where the kernel puts them. Every round \
has a network namespace of its own, in which the observer is started first, then the connections are opened; 0.3 s \
later the measured part begins. Rounds with nobody and with an observer take turns (none, A, none, B, …, none), and \
what is told of an observer is the median, and the quartiles, of its rounds over the mean of the two next to each in \
which nobody watched.

- **retained**: messages a second, over those without an observer. Everybody shares two CPUs, so what an observer takes, \
the service lacks; where the CPUs have time left (streams), an observer changes how both ends batch, and *cost* tells more.
- **cost**: CPU time of the whole machine per message (of streams: per MB of payload), over that without an observer. From \
/proc/stat: elapsed time of all CPUs in the measured part less what was idle or stolen by the host; and what the observer still \
used later, until it had caught up.
- **service, observer**: of that CPU time, what their processes used (/proc/PID/stat, user + system). Interrupts that run on \
top of a process count as its system time: the classifier's work is in the service's.
- **lost**: what the observer says it did not get, of all that it should have got.
- **shown**: messages that it printed, of those that both ends have counted. tcpdump and tcpflow do not show messages.
- **wake-ups**: how often its threads went to sleep, in a second of the measured part.
";

/// The whole page, in Markdown.
pub(super) fn page(results: &Results, figures: &[Figures]) -> String {
    let mut page = format!(
        "# What observing costs\n\nWritten by `cargo xtask bench`; all raw figures are in \
         [results.json](results.json).\n\n{}\n{METHOD}",
        machine(&results.machine, results)
    );
    page += &section("To reach", &goals::table(results, figures));
    for plot in plots(figures) {
        page += &format!("\n![{}]({}.svg)\n", plot.title, plot.name);
    }
    for load in &LOADS {
        page += &section(&format!("{}: {}", load.name, load.what), &load_table(load, figures));
    }
    page += &section("From segment to line", &latency(results));
    page += &section("The classifier, a packet", &classifier(results));
    page += &section("Capture files", &files(results));
    page += &section("Observers", &observers());
    if !results.failures.is_empty() {
        page += &format!("\n## Failed rounds\n\n- {}\n", results.failures.join("\n- "));
    }
    page
}

/// Nothing for a table without rows.
fn section(title: &str, table: &Table) -> String {
    if table.is_empty() {
        return String::new();
    }
    format!("\n## {title}\n\n{}", table.to_markdown())
}

fn machine(machine: &Machine, results: &Results) -> String {
    let Machine { date, cpu, cpus, memory_mib, kernel, distribution, .. } = machine;
    let Machine { commit, background, programs, .. } = machine;
    format!(
        "{date}, commit {commit}. {cpus} CPUs ({cpu}), {memory_mib} MiB, Linux {kernel}, \
         {distribution}. {} rounds of {} s; before them others used {:.1}% of the CPUs.\n\n- {}\n",
        results.rounds.len(),
        results.seconds,
        background * 100.0,
        programs.join("\n- ")
    )
}

fn load_table(load: &Load, figures: &[Figures]) -> Table {
    let unit = if load.is_stream() { "MB" } else { "message" };
    let rate = if load.is_stream() { "MB/s" } else { "messages/s" };
    let mut table = Table::new(&[
        "observer",
        "rounds",
        rate,
        "retained",
        "cost",
        &format!("CPU µs a {unit}"),
        "of it service",
        "observer",
        "lost",
        "shown",
        "memory",
        "wake-ups/s",
        "",
    ]);
    for figures in figures.iter().filter(|figures| figures.load.name == load.name) {
        table.row(row(figures));
    }
    table
}

fn row(figures: &Figures) -> [String; 13] {
    let is_stream = figures.load.is_stream();
    let parts = figures.parts;
    let is_nobody = figures.memory_kib == 0;
    let unless_nobody = |text: String| if is_nobody { String::new() } else { text };
    [
        figures.observer.name.to_owned(),
        figures.rounds.to_string(),
        if is_stream {
            format!("{:.0}", figures.bytes_rate / 1e6)
        } else {
            format!("{:.0}", figures.rate)
        },
        spread(figures.retained),
        spread(figures.cost),
        format!("{:.2}", parts.all),
        format!("{:.2} + {:.2}", parts.service_user, parts.service_system),
        unless_nobody(format!("{:.2} + {:.2}", parts.observer_user, parts.observer_system)),
        unless_nobody(lost(figures.lost)),
        shown(figures),
        unless_nobody(format!("{:.1} MiB", figures.memory_kib as f64 / 1024.0)),
        unless_nobody(format!("{:.0}", figures.wakeups)),
        mismatch(figures),
    ]
}

fn latency(results: &Results) -> Table {
    let mut table = Table::new(&[
        "load",
        "observer",
        "median",
        "p99",
        "messages shown",
        "wake-ups/s in silence after",
    ]);
    for latency in figures::latencies(&results.rounds) {
        let command = latency.observer.promptly.unwrap_or_default();
        table.row([
            format!("{}: {}", latency.load.name, latency.load.what),
            format!("{} (`{command}`)", latency.observer.name),
            format!("{:.3} ms", latency.median / 1e3),
            format!("{:.3} ms", latency.p99 / 1e3),
            latency.shown.to_string(),
            format!("{:.1}", latency.idle_wakeups),
        ]);
    }
    table
}

fn classifier(results: &Results) -> Table {
    let mut table = Table::new(&["load", "ns, measuring included (BPF statistics)"]);
    for (load, nanos) in figures::classifier(&results.rounds) {
        let text = format!("{:.0} ({:.0}–{:.0})", nanos.median, nanos.low, nanos.high);
        table.row([format!("{}: {}", load.name, load.what), text]);
    }
    table
}

fn files(results: &Results) -> Table {
    let mut table = Table::new(&["command", "file", "seconds", "messages a second", "GB/s"]);
    for file in &results.offline {
        table.row([
            format!("`{}`", file.command),
            format!("{} messages of {} bytes", file.messages, file.length()),
            format!("{:.3}", file.seconds),
            format!("{:.0}", file.messages as f64 / file.seconds),
            format!("{:.3}", file.bytes as f64 / file.seconds / 1e9),
        ]);
    }
    table
}

fn observers() -> Table {
    let mut table = Table::new(&["observer", "command"]);
    for observer in &OBSERVERS {
        table.row([observer.name.to_owned(), format!("`{}`", observer.command_line())]);
    }
    table
}
