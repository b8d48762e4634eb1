//! What the program says about itself, apart from the events: sentences come in through `tracing`'s
//! macros, lines on stderr or entries of the journal go out. Nobody has to read them: what cannot be
//! written within a moment is left out.

#[cfg(feature = "live")]
mod journal;

use std::{
    fmt,
    io::{self, Write},
    sync::OnceLock,
};

use ::tracing::{Event, Level, Subscriber, info, level_filters::LevelFilter};
#[cfg(feature = "live")]
use journal::Journal;
use tracing_subscriber::{
    Layer, Registry,
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
    // Fails where somebody else has set a subscriber, who gets it all then.
    let (target, set) = match entries(target) {
        Some(entries) => (LogTarget::Journald, registry.with(entries).try_init()),
        None => (LogTarget::Stderr, registry.with(lines()).try_init()),
    };
    set.ok();
    TARGET.set(target).ok();
}

/// Writes from now on what is at least as important.
pub fn set_level(level: LevelFilter) {
    if let Some(handle) = LEVEL.get() {
        // Fails where the subscriber is gone, which is the process's.
        handle.modify(|filter| *filter = level).ok();
    }
}

/// Writes sentences in this form, each by one write.
fn layer<S, W>(
    form: Sentence,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: Write + 'static,
{
    tracing_subscriber::fmt::layer()
        .event_format(form)
        .with_writer(writer)
        .log_internal_errors(false)
        .boxed()
}

/// Sentences as lines on stderr.
fn lines<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    layer(Sentence::Line, || Impatient)
}

/// Sentences as entries of the journal, where it is wanted and there, or stderr leads there.
#[cfg(feature = "live")]
fn entries<S>(target: LogTarget) -> Option<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    static JOURNAL: OnceLock<Journal> = OnceLock::new();
    let is_wanted = match target {
        LogTarget::Auto => Journal::is_stderr(),
        LogTarget::Journald => true,
        LogTarget::Stderr => false,
    };
    let journal = Some(()).filter(|()| is_wanted).and_then(|()| Journal::connect().ok())?;
    let journal = JOURNAL.get_or_init(|| journal);
    Some(layer(Sentence::Entry, move || journal))
}

/// Nothing that runs without the kernel runs as a service.
#[cfg(not(feature = "live"))]
fn entries<S>(_: LogTarget) -> Option<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    None
}

/// A sentence, behind what says whose or how important it is.
enum Sentence {
    /// `tracer: ` and the sentence, as programs on a terminal do.
    Line,
    /// `<4>` and the sentence (sd-daemon(3)).
    #[cfg_attr(not(feature = "live"), expect(dead_code, reason = "no service, no journal"))]
    Entry,
}

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
        match self {
            Self::Line => to.write_str("tracer: ")?,
            Self::Entry => write!(to, "<{}>", priority(*event.metadata().level()))?,
        }
        context.field_format().format_fields(to.by_ref(), event)?;
        match self {
            Self::Line => writeln!(to),
            Self::Entry => Ok(()),
        }
    }
}

/// As syslog(3) counts them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
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
