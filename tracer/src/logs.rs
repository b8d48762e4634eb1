//! What the program says about itself, apart from the events: sentences come in through `tracing`'s
//! macros, lines on stderr or entries of the journal go out. Nobody has to read them: what cannot be
//! written within a moment is left out.

use std::{
    fmt,
    io::{self, Write},
    sync::OnceLock,
};

use ::tracing::{Event, Subscriber, info, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer as _, Registry,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt as _,
};

use crate::cli::LogTarget;

/// Changes the level while sentences are written.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Where sentences go.
static TARGET: OnceLock<LogTarget> = OnceLock::new();

/// Writes what is said from now on. Once it does, it is [`set_level`] that changes something.
pub fn start(target: LogTarget, level: LevelFilter) {
    if LEVEL.get().is_some() {
        return;
    }
    let (filter, handle) = reload::Layer::new(level);
    LEVEL.set(handle).ok();
    let registry = tracing_subscriber::registry().with(filter);
    let (target, journal) = open(target);
    TARGET.set(target).ok();
    // Fails where somebody else has set a subscriber, who gets it all then.
    match journal {
        Some(journal) => registry.with(journal).try_init(),
        None => registry.with(lines()).try_init(),
    }
    .ok();
}

/// Writes from now on what is at least as important.
pub fn set_level(level: LevelFilter) {
    if let Some(handle) = LEVEL.get() {
        // Fails where the subscriber is gone, which is the process's.
        handle.modify(|filter| *filter = level).ok();
    }
}

/// Sentences as lines on stderr.
fn lines<S>() -> impl tracing_subscriber::Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer()
        .event_format(Sentence)
        .with_writer(|| Impatient)
        .log_internal_errors(false)
        .boxed()
}

/// `tracer: ` and the sentence, as programs on a terminal do.
struct Sentence;

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        to.write_str("tracer: ")?;
        context.field_format().format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}

#[cfg(feature = "live")]
type Journal = tracing_journald::Layer;
#[cfg(not(feature = "live"))]
type Journal = tracing_subscriber::layer::Identity;

/// The journal, where it is wanted and there, or stderr is connected with it (`JOURNAL_STREAM` of
/// systemd.exec(5)).
#[cfg(feature = "live")]
fn open(target: LogTarget) -> (LogTarget, Option<Journal>) {
    use std::{env, fs, os::linux::fs::MetadataExt as _};
    let is_connected = || {
        let stderr = fs::metadata("/proc/self/fd/2").ok()?;
        let stream = env::var("JOURNAL_STREAM").ok()?;
        Some(stream == format!("{}:{}", stderr.st_dev(), stderr.st_ino()))
    };
    let is_wanted = match target {
        LogTarget::Auto => is_connected().unwrap_or(false),
        LogTarget::Journald => true,
        LogTarget::Stderr => false,
    };
    let journal = Some(()).filter(|()| is_wanted).and_then(|()| Journal::new().ok());
    match journal {
        Some(journal) => {
            let journal = journal.with_field_prefix(None).with_syslog_identifier("tracer".into());
            // To tell them from events, which go there as well.
            let journal = journal.with_custom_fields([("TRACER_LOG", "1")]);
            (LogTarget::Journald, Some(journal))
        }
        None => (LogTarget::Stderr, None),
    }
}

/// Nothing that runs without the kernel runs as a service.
#[cfg(not(feature = "live"))]
fn open(_: LogTarget) -> (LogTarget, Option<Journal>) {
    (LogTarget::Stderr, None)
}

/// Says something of several lines, such as a table.
pub fn say(text: &str) {
    if TARGET.get() == Some(&LogTarget::Journald) {
        text.lines().filter(|line| !line.is_empty()).for_each(|line| info!("{line}"));
    } else {
        Impatient.write_all(text.as_bytes()).ok();
    }
}

/// Standard error, which does not wait long for a reader: `tracer 2>&1 | less` has to heed signals
/// when its pipe is full.
struct Impatient;

impl Write for Impatient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        wait(&stderr)?;
        // So much goes into a pipe that has room, as one (pipe(7)).
        stderr.write(&bytes[..bytes.len().min(4096)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for a reader, until one has let us wait too long.
#[cfg(feature = "live")]
fn wait(stderr: &io::StderrLock<'_>) -> io::Result<()> {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    /// Seconds.
    const PATIENCE: i64 = 2;
    static IS_STUCK: AtomicBool = AtomicBool::new(false);
    let patience = if IS_STUCK.load(Relaxed) { 0 } else { PATIENCE };
    let has_room = crate::writable::has_room(stderr, Some(patience))?;
    IS_STUCK.store(!has_room, Relaxed);
    if has_room { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

/// Without live runs no signal that ends us is ours to handle.
#[cfg(not(feature = "live"))]
fn wait(_: &io::StderrLock<'_>) -> io::Result<()> {
    Ok(())
}
