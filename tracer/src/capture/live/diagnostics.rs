//! The classifier's own log lines, on stderr. Only in builds with the feature `ebpf-log`: a line for
//! each packet that could not be parsed is too much for a service.

use std::thread;

use anyhow::{Context as _, Result};
use aya_log::EbpfLogger;
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, poll};

use super::program::Classifier;
use crate::notice::notice;

/// Writes what the classifier logs, from now on.
pub fn follow(classifier: &mut Classifier) -> Result<()> {
    log::set_logger(&Stderr).context("there is another logger")?;
    log::set_max_level(LevelFilter::Debug);
    let logger = classifier.logger()?;
    thread::Builder::new().name("diagnostics".to_owned()).spawn(move || write(logger))?;
    Ok(())
}

fn write(mut logger: EbpfLogger<&'static dyn Log>) {
    while poll(&mut [PollFd::new(&logger, PollFlags::IN)], None).is_ok() {
        logger.flush();
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
