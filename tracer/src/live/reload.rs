//! SIGHUP: how the program was called goes in, is read again, and the configuration to go on with comes out.

use ::tracing::{info, warn};

use super::{Tracing, changes::Awaited, consumers::Consumers, kernel_side::say_missing};
use crate::{
    cli::CaptureName,
    config::{Config, Live, Source},
    config_file::CHANGEABLE,
    invocation::{Reading, Refusal},
    logs,
    session::Options,
};

/// Of [`CHANGEABLE`], those that a capture with libpcap does not change.
const BY_CLASSIFIER: [&str; 2] = ["interface", "port"];

impl Tracing {
    /// Goes on with a configuration that consumers have already: now what is new to them may come.
    pub(super) async fn go_on_with(&mut self, config: Config) {
        if let Err(error) = self.classifier.set_ports(&config.options.ports) {
            warn!("{error:#}");
        }
        if let Source::Live(live) = &config.source {
            self.live = live.clone();
        }
        self.config = config;
        self.choose_again().await;
        info!("reloaded: {}", self.describe());
    }

    /// Detaches from interfaces that are not wanted any more, and attaches to those that are now.
    async fn choose_again(&mut self) {
        for (index, name) in self.attachments.interfaces() {
            if self.live.wants(&name) {
                continue;
            }
            self.attachments.detach(&mut self.classifier, index);
            info!("{name} is not traced any more");
        }
        let live = &self.live;
        self.refused.retain(|_, interface| live.wants(&interface.name));
        self.untraceable.clear();
        self.remove_unused_qdiscs().await;
        match self.interfaces.list().await {
            Ok(present) => {
                self.compare(&present).await;
                let names = present.iter().map(|interface| interface.name.as_str());
                self.live.missing(names).for_each(say_missing);
            }
            Err(error) => warn!("{error:#}: some may not be traced"),
        }
    }
}

/// Has consumers go on with what the file says by now. What comes back ends when they do, with that. None,
/// and told why, where it cannot be had: then everything stays as it is.
pub(super) fn change(
    reading: &Reading,
    old: &Config,
    consumers: &mut Consumers,
) -> Awaited<Config> {
    // Whatever the file says: who rotates them waits for that.
    consumers.reopen_files();
    let stays = |problems: &str| {
        problems.lines().for_each(|problem| warn!("{problem}"));
        warn!("the configuration stays as it was");
    };
    let config = read(reading, old).inspect_err(|problems| stays(problems)).ok()?;
    let done = consumers.change(&config).inspect_err(|error| stays(&format!("{error:#}"))).ok()?;
    // At once: it may be wanted to see what goes wrong.
    logs::set_level(config.log_level);
    Some(Box::pin(async {
        done.await;
        config
    }))
}

/// What the file says by now, as far as it can be had, instead of `old`. Which options that leaves out is
/// told. The error is all that is wrong with the file, a line each.
fn read(reading: &Reading, old: &Config) -> Result<Config, String> {
    let (cli, written) = reading.invocation.load().map_err(told)?;
    let new = reading.invocation.config(cli).map_err(told)?;
    let has_classifier =
        matches!(&old.source, Source::Live(live) if live.capture == CaptureName::Bpf);
    let is_fixed = |name: &&str| {
        !CHANGEABLE.contains(name) || (BY_CLASSIFIER.contains(name) && !has_classifier)
    };
    let fixed: Vec<_> = written.differing(&reading.written).filter(is_fixed).collect();
    if !fixed.is_empty() {
        warn!("only a restart changes {}", fixed.join(", "));
    }
    Ok(merged(old, new, has_classifier))
}

fn told(refusal: Refusal) -> String {
    match refusal {
        Refusal::Arguments(error) => error.to_string(),
        Refusal::Config(problems) => problems,
    }
}

/// What can change as in `new`, everything else as in `old`.
fn merged(old: &Config, new: Config, has_classifier: bool) -> Config {
    let Config { source, ports, options, outputs, count: _, stats_interval, log_level } = new;
    let Options { ports: port_set, segments: _, frames, show_secrets, limits: _ } = options;
    let mut next = Config { outputs, stats_interval, log_level, ..old.clone() };
    next.options = Options { frames, show_secrets, ..next.options };
    if has_classifier {
        next.ports = ports;
        next.options.ports = port_set;
        if let (Source::Live(next), Source::Live(Live { interfaces, .. })) =
            (&mut next.source, source)
        {
            next.interfaces = interfaces;
        }
    }
    next
}
