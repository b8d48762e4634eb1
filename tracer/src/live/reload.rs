//! SIGHUP: how the program was called goes in, is read again, and the configuration to go on with comes out.

use ::tracing::{info, warn};

use super::{Tracing, changes::Awaited, consumers::Consumers, kernel_side::say_missing};
use crate::{
    cli::{CaptureName, Cli},
    config::{Config, Source},
    config_file::CHANGEABLE,
    invocation::{Reading, Refusal},
    logs,
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
        let (ports, interfaces) = (&self.config.options.ports, self.attachments.interfaces());
        let interfaces: Vec<_> = interfaces.into_iter().map(|(index, _)| index).collect();
        self.wishes.iter().for_each(|wishes| wishes.forget_all_but(ports, &interfaces));
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
pub(super) fn change(reading: &Reading, consumers: &mut Consumers) -> Awaited<Config> {
    // Whatever the file says: who rotates them waits for that.
    consumers.reopen_files();
    let stays = |problems: &str| {
        problems.lines().for_each(|problem| warn!("{problem}"));
        warn!("the configuration stays as it was");
    };
    let config = read(reading).inspect_err(|problems| stays(problems)).ok()?;
    let done = consumers.change(&config).inspect_err(|error| stays(&format!("{error:#}"))).ok()?;
    // At once: it may be wanted to see what goes wrong.
    logs::set_level(config.log_level);
    Some(Box::pin(async {
        done.await;
        config
    }))
}

/// What the file says by now, as far as it can be had. Which options that leaves out is told. The error is
/// all that is wrong with the file, a line each.
fn read(reading: &Reading) -> Result<Config, String> {
    let Reading { invocation, cli, written: before, .. } = reading;
    let (new, written) = invocation.load().map_err(told)?;
    let by_classifier = cli.source == CaptureName::Bpf;
    let is_fixed = |name: &&str| {
        !CHANGEABLE.contains(name) || (BY_CLASSIFIER.contains(name) && !by_classifier)
    };
    let fixed: Vec<_> = written.differing(before).filter(is_fixed).collect();
    if !fixed.is_empty() {
        warn!("only a restart changes {}", fixed.join(", "));
    }
    // Checked as a whole.
    invocation.config(merged(cli.clone(), new, by_classifier)).map_err(told)
}

fn told(refusal: Refusal) -> String {
    match refusal {
        Refusal::Arguments(error) => error.to_string(),
        Refusal::Config(problems) => problems,
    }
}

/// What can change as in `new`, everything else as it was at the start.
fn merged(old: Cli, new: Cli, by_classifier: bool) -> Cli {
    let Cli { port, interface, output, frames, show_secrets, stats_interval, log_level, .. } = new;
    let merged = Cli { output, frames, show_secrets, stats_interval, log_level, ..old };
    match by_classifier {
        true => Cli { port, interface, ..merged },
        false => merged,
    }
}
