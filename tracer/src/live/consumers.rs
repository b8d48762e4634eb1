//! The threads of a live run that decode: captures come in, one for each, and when the run ends, what
//! it came to.

use std::{os::fd::OwnedFd, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use rustix::event::{EventfdFlags, eventfd};
use tokio::{sync::oneshot, task::JoinSet, time::sleep};

use super::{
    consumer::{Consumer, Ended, set_clock},
    signals::Signals,
};
use crate::{
    capture::{Capture, clock, netns},
    config::Config,
    logs,
    metrics::Board,
    output::summary,
    pipeline::{Finished, Listening, Pipeline},
    session::busiest,
    sink::{Monitor, Outputs, standard_output},
};

/// Signals that come so close together are one.
const SAME_SIGNAL: Duration = Duration::from_millis(300);
/// How long consumers that are stuck in a write may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Consumers at work, each in its thread.
pub(super) struct Consumers {
    /// Wait for the ends of those that are at work.
    at_work: JoinSet<Result<Ended>>,
    ended: Vec<Ended>,
    outputs: Outputs,
    /// Written to, it ends them all.
    stop: OwnedFd,
}

impl Consumers {
    /// Starts a consumer of what each of the captures yields. They count for the board, if there is one.
    pub(super) fn start<C: Capture + Send + 'static>(
        captures: Vec<C>,
        source: &str,
        interfaces: &[String],
        config: &Config,
        outputs: Outputs,
        board: Option<&Arc<Board>>,
    ) -> Result<Self> {
        let feeds = captures.iter().map(|_| outputs.feed()).collect();
        let mut pipelines = Pipeline::several(config, feeds);
        if let Some(board) = board {
            pipelines.iter_mut().for_each(|pipeline| pipeline.count_for(board));
        }
        if let Some(first) = pipelines.first_mut() {
            begin(first, source, interfaces, config)?;
        }
        let stop = eventfd(0, EventfdFlags::CLOEXEC).context("cannot make an eventfd")?;
        let mut consumers = Self { at_work: JoinSet::new(), ended: Vec::new(), outputs, stop };
        for (number, (capture, pipeline)) in captures.into_iter().zip(pipelines).enumerate() {
            let mut consumer = Consumer::new(capture, pipeline, consumers.stop.try_clone()?);
            if number == 0 {
                let (ports, list) = (&config.ports, list_ports(config));
                consumer = consumer.hinting(format!(
                    "nothing on port {ports} so far; see which are in use with `{list}`"
                ));
            }
            consumers.spawn(number, consumer)?;
        }
        Ok(consumers)
    }

    fn spawn<C>(&mut self, number: usize, consumer: Consumer<C>) -> Result<()>
    where
        C: Capture + Send + 'static,
    {
        let (sender, ended) = oneshot::channel();
        thread::Builder::new().name(format!("decode-{number}")).spawn(move || {
            // Nobody listens any more when the run has lost its patience.
            sender.send(consumer.run()).ok();
        })?;
        self.at_work.spawn(async { ended.await.context("the decoder has failed") });
        Ok(())
    }

    /// Waits until one of them has ended. None is left: false.
    pub(super) async fn next_to_end(&mut self) -> Result<bool> {
        let Some(ended) = self.at_work.join_next().await else { return Ok(false) };
        self.ended.push(ended.context("the decoder has failed")??);
        Ok(true)
    }

    /// Ends them and waits for what they have left to write. A second signal, or a reader that does
    /// not read, ends the wait.
    pub(super) async fn stop(mut self, signals: &mut Signals) -> Result<Vec<Ended>> {
        rustix::io::write(&self.stop, &1u64.to_ne_bytes()).context("cannot stop the decoder")?;
        let impatience = async {
            // timeout(1) and terminals signal a process and its group: that is one signal twice.
            sleep(SAME_SIGNAL).await;
            signals.forget();
            signals.next().await;
        };
        let monitor = self.outputs.monitor();
        let all = async {
            while self.next_to_end().await? {}
            let Self { mut ended, outputs, .. } = self;
            finish(outputs, &mut ended).await?;
            Ok(ended)
        };
        tokio::select! {
            all = all => all,
            () = impatience => bail!("interrupted before everything was written"),
            () = sleep(PATIENCE) => bail!("{}: what was not written yet is lost", blocked(&monitor)),
        }
    }
}

/// Waits until outputs have written what waits for them, in a thread of its own: one that is stuck must
/// not keep us from losing our patience.
async fn finish(outputs: Outputs, ended: &mut [Ended]) -> Result<()> {
    let (sender, finished) = oneshot::channel();
    let dropped = outputs.total();
    thread::Builder::new().name("outputs".to_owned()).spawn(move || {
        sender.send(outputs.finish()).ok();
    })?;
    finished.await.context("an output has failed")??;
    for stats in ended.iter_mut().filter_map(|ended| ended.finished.stats.as_mut()) {
        stats.dropped = dropped.amount().events;
    }
    Ok(())
}

/// Which outputs have not come to their ends.
fn blocked(monitor: &Monitor) -> String {
    let states = monitor.states().into_iter();
    let names: Vec<_> = states.filter(|state| !state.has_ended).map(|state| state.name).collect();
    match names.as_slice() {
        [] => "the output is blocked".to_owned(),
        names => format!("the output is blocked ({})", names.join(", ")),
    }
}

/// Says that the run begins.
fn begin(
    pipeline: &mut Pipeline,
    source: &str,
    interfaces: &[String],
    config: &Config,
) -> Result<()> {
    let uname = rustix::system::uname();
    let listening = Listening {
        source,
        netns: config.netns(),
        interfaces,
        host: &uname.nodename().to_string_lossy(),
        kernel: &uname.release().to_string_lossy(),
    };
    set_clock(pipeline);
    pipeline.start(clock::monotonic(), &listening);
    // A full disk is an error right now; a reader who does not read must not keep signals waiting.
    if standard_output::has_room() {
        pipeline.flush().context("cannot write the output")?;
    }
    Ok(())
}

/// The command that lists the ports in use where we trace.
fn list_ports(config: &Config) -> String {
    const LIST: &str = "ss -tln";
    config.netns().map_or_else(|| LIST.to_owned(), |wanted| netns::command(wanted, LIST))
}

/// Tells what the run came to.
pub(super) fn report(all: Vec<Ended>, config: &Config) -> Result<()> {
    let mut sums = None;
    let mut busy = Vec::new();
    let mut failure = None;
    for Ended { finished, failed } in all {
        let Finished { stats, connections, written } = finished;
        written.context("cannot write the output")?;
        sums = sums.or(stats);
        busy.extend(connections);
        failure = failure.or(failed);
    }
    let stats = sums.unwrap_or_default();
    logs::say(&summary(&stats, &busiest(busy)));
    if let Some(error) = failure {
        return Err(error);
    }
    if stats.segments == 0 && stats.lost == 0 {
        bail!(
            "no segment on port {} was seen: see which ports are in use with `{}`, and choose with \
             --port",
            config.ports,
            list_ports(config)
        );
    }
    Ok(())
}
