//! The threads of a live run that decode: captures come in, one for each, and when the run ends, what
//! it came to.

use std::{future::Future, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinSet,
    time::sleep,
};

use super::{
    consumer::{Consumer, Ended, set_clock},
    orders::{Inbox, Order, Orders, orders},
    signals::{Asked, Signals},
};
use crate::{
    capture::{Capture, clock, netns},
    config::Config,
    event::Stats,
    logs,
    metrics::Board,
    output::summary,
    pipeline::{Change, Finished, Listening, Pipeline},
    session::busiest,
    sink::{Monitor, Outputs},
};

/// Signals that come so close together are one.
const SAME_SIGNAL: Duration = Duration::from_millis(300);
/// How long outputs may write nothing when the run has been asked to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A signal has asked for it.
    Asked,
    /// There is nothing more to do, or to do it with.
    Done,
}

/// Consumers at work, each in its thread.
pub(super) struct Consumers {
    /// Wait for the ends of those that are at work.
    at_work: JoinSet<Result<Ended>>,
    ended: Vec<Ended>,
    outputs: Outputs,
    /// An output has failed that the run cannot go on without.
    failed: Arc<Notify>,
    /// To each of them.
    orders: Vec<Orders>,
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
        let (at_work, ended, orders) = Default::default();
        let failed = Arc::<Notify>::default();
        let told = Arc::clone(&failed);
        outputs.on_failure(move || told.notify_one());
        let mut consumers = Self { at_work, ended, outputs, failed, orders };
        for (number, (capture, pipeline)) in captures.into_iter().zip(pipelines).enumerate() {
            let inbox = consumers.inbox()?;
            let mut consumer = Consumer::new(capture, pipeline, inbox);
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

    fn inbox(&mut self) -> Result<Inbox> {
        let (orders, inbox) = orders()?;
        self.orders.push(orders);
        Ok(inbox)
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

    /// Waits until one of them has ended, or an output without which they need not go on.
    pub(super) async fn ended(&mut self) -> Result<End> {
        let failed = Arc::clone(&self.failed);
        tokio::select! {
            ended = self.next_to_end() => ended.map(|_| End::Done),
            () = failed.notified() => Ok(End::Done),
        }
    }

    /// Waits until one of them has ended. None is left: false.
    async fn next_to_end(&mut self) -> Result<bool> {
        let Some(ended) = self.at_work.join_next().await else { return Ok(false) };
        self.ended.push(ended.context("the decoder has failed")??);
        Ok(true)
    }

    /// Has files opened again that somebody has given other names.
    pub(super) fn reopen_files(&self) {
        self.outputs.reopen();
    }

    /// Has them go on as is configured now. What comes back ends when all of them do. An error where
    /// outputs cannot be opened; then everything is as before.
    pub(super) fn change(&mut self, config: &Config) -> Result<impl Future<Output = ()> + use<>> {
        self.outputs.set(&config.outputs)?;
        let mut answers = Vec::new();
        for orders in &self.orders {
            let (done, answer) = oneshot::channel();
            let change = Change {
                options: config.options.clone(),
                stats_interval: config.stats_interval,
                feed: self.outputs.feed(),
            };
            orders.give(Order::Change(Box::new(change), done));
            answers.push(answer);
        }
        Ok(async {
            for answer in answers {
                // One that has ended does not answer.
                answer.await.ok();
            }
        })
    }

    /// Asks each of them to answer. What comes back ends when all have, with what the run has counted by
    /// then.
    pub(super) fn ask(&self) -> impl Future<Output = Stats> + use<> {
        let mut answers = Vec::new();
        for orders in &self.orders {
            let (to, answer) = oneshot::channel();
            orders.give(Order::Answer(to));
            answers.push(answer);
        }
        async {
            let mut counted = Stats::default();
            for answer in answers {
                counted = answer.await.unwrap_or(counted);
            }
            counted
        }
    }

    /// Ends them and waits for what is left to write. A second signal ends the wait, and where the run
    /// has been asked to end, a reader that does not read.
    pub(super) async fn stop(mut self, end: End, signals: &mut Signals) -> Result<Vec<Ended>> {
        self.orders.iter().for_each(|orders| orders.give(Order::Stop));
        let impatience = async {
            // timeout(1) and terminals signal a process and its group: that is one signal twice.
            sleep(SAME_SIGNAL).await;
            signals.forget();
            while signals.next().await != Asked::End {}
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
            () = standstill(&monitor), if end == End::Asked => {
                bail!("{}: what was not written yet is lost", blocked(&monitor))
            }
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

/// Waits until outputs have not got on for a while.
async fn standstill(monitor: &Monitor) {
    let sum = || {
        let states = monitor.states().into_iter();
        states.fold((0, 0), |(w, q), state| (w + state.written, q + state.waiting))
    };
    let mut before = sum();
    loop {
        sleep(PATIENCE).await;
        let now = sum();
        if now == before {
            return;
        }
        before = now;
    }
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
    // Whoever waits for it is not to wait for traffic.
    pipeline.flush().context("cannot write the output")
}

/// The command that lists the ports in use where we trace.
fn list_ports(config: &Config) -> String {
    const LIST: &str = "ss -tln";
    config.netns().map_or_else(|| LIST.to_owned(), |wanted| netns::command(wanted, LIST))
}

/// Tells what the run came to. Who waits for a first message is told, as a failure, when there was none;
/// a service that has seen nothing has done what it should.
pub(super) fn report(all: Vec<Ended>, config: &Config, is_service: bool) -> Result<()> {
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
    if stats.segments == 0 && stats.lost == 0 && !is_service {
        bail!(
            "no segment on port {} was seen: see which ports are in use with `{}`, and choose with \
             --port",
            config.ports,
            list_ports(config)
        );
    }
    Ok(())
}
