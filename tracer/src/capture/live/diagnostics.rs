//! The classifier's own log lines, on stderr. Only in builds with the feature `ebpf-log`: a line for
//! each packet that could not be parsed is too much for a service.

use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use log::{Level, LevelFilter, Log, Metadata, Record};
use tokio::io::{Interest, unix::AsyncFd};

use super::program::Classifier;
use crate::notice::notice;

/// Writes what the classifier logs, from now on.
pub fn follow(classifier: &mut Classifier) -> Result<()> {
    log::set_logger(&Stderr).context("there is another logger")?;
    log::set_max_level(LevelFilter::Debug);
    let logger = AsyncFd::register_with_interest(classifier.logger()?, Interest::READABLE)?;
    tokio::spawn(write(logger));
    Ok(())
}

async fn write(mut logger: AsyncFd<EbpfLogger<&'static dyn Log>>) {
    while let Ok(mut ready) = logger.readable_mut().await {
        ready.get_inner_mut().flush();
        ready.clear_ready();
    }
}

/// A logger that has the classifier's lines and no others.
struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Debug && metadata.target().starts_with("tracer_ebpf")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            notice(format_args!("classifier: {}", record.args()));
        }
    }

    fn flush(&self) {}
}
