//! What lies between pipelines and one output: batches of events come in from several threads, one
//! thread takes them out. It is bounded: what finds no room is dropped and counted, or waited for.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{
    Overflow,
    batch::{Amount, Batch, Portion},
    counters::Counters,
};

/// Makes a queue that holds about so many bytes. What it drops is added to `all`, too.
pub(super) fn queue(limit: usize, overflow: Overflow, all: Arc<Counters>) -> (Sender, Receiver) {
    let state = Mutex::new(State { senders: 1, ..State::default() });
    let (news, orders, room) = Default::default();
    let shared = Arc::new(Shared { state, news, orders, room, limit, overflow, all });
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

struct Shared {
    state: Mutex<State>,
    /// There is something to take, or there will be nothing more.
    news: Condvar,
    /// There is something that one who waits for better times has to know.
    orders: Condvar,
    /// Something was taken, or nobody takes anything any more.
    room: Condvar,
    limit: usize,
    overflow: Overflow,
    all: Arc<Counters>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// What they take of the room.
    held: usize,
    /// What was dropped behind the last item.
    missed: Missed,
    /// Until half of the room is free, so that there are few gaps instead of many.
    is_dropping: bool,
    dropped: Amount,
    /// Events that were written.
    written: u64,
    senders: usize,
    /// Nobody takes anything any more: its reader has left, or it has failed, which ends the run.
    is_abandoned: bool,
    is_to_reopen: bool,
}

enum Item {
    Events(Portion),
    Missed(Missed),
}

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) amount: Amount,
    /// When the last of it was.
    pub(super) until: Option<SystemTime>,
}

/// What is next for an output.
#[derive(Debug)]
pub(super) enum Next {
    /// To be written.
    Events(Portion),
    /// To be told.
    Missed(Missed),
    /// The file is to be opened again.
    Reopen,
    /// There will be nothing more.
    End,
}

/// How a pause ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paused {
    /// It took as long as it was to.
    Over,
    /// The file is to be opened again.
    Reopen,
    /// Nothing more will come.
    Ending,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in the queue, or nobody is there who would take it.
    Whole,
    /// It is the first of which something was dropped since there was room.
    BeginsToDrop,
    /// Something was dropped, as before.
    GoesOnDropping,
}

/// The end where events come in. When the last one goes, the output ends.
pub(super) struct Sender {
    shared: Arc<Shared>,
}

/// The end where they are taken.
pub(super) struct Receiver {
    shared: Arc<Shared>,
}

/// Looks at a queue, and holds nothing up.
#[derive(Clone)]
pub(super) struct Observer {
    shared: Arc<Shared>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here can be left half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, on: &Condvar, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        on.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of a batch's first events can be taken.
    fn fitting(&self, state: &State, batch: &Batch) -> usize {
        if state.is_dropping && state.held > self.limit / 2 {
            return 0;
        }
        // A batch is small, unless it has an event that is larger than the queue: that has to come
        // through some time, too.
        match state.held <= self.limit / 2 {
            true => batch.events(),
            false => batch.fitting(self.limit.saturating_sub(state.held)),
        }
    }

    fn reopen(&self) {
        self.state().is_to_reopen = true;
        self.news.notify_all();
        self.orders.notify_all();
    }
}

impl State {
    /// Takes a batch's first events.
    fn add(&mut self, batch: &Arc<Batch>, events: usize) {
        if self.missed != Missed::default() {
            self.items.push_back(Item::Missed(std::mem::take(&mut self.missed)));
        }
        let portion = Portion::new(Arc::clone(batch), events);
        self.held += portion.cost();
        self.items.push_back(Item::Events(portion));
    }

    /// Counts the events behind the first so many as dropped.
    fn drop_behind(&mut self, batch: &Batch, events: usize) -> Amount {
        let all = batch.amount(batch.events());
        let taken = batch.amount(events);
        let amount = Amount { events: all.events - taken.events, bytes: all.bytes - taken.bytes };
        self.missed.amount += amount;
        self.missed.until = Some(SystemTime::now());
        self.dropped += amount;
        amount
    }
}

impl Sender {
    /// Hands over a batch.
    pub(super) fn push(&self, batch: &Arc<Batch>) -> Pushed {
        let mut state = self.shared.state();
        if self.shared.overflow == Overflow::Wait {
            state = self.wait_for_room(state, batch);
        }
        if state.is_abandoned {
            return Pushed::Whole;
        }
        let fitting = self.shared.fitting(&state, batch);
        if fitting > 0 {
            state.add(batch, fitting);
            self.shared.news.notify_one();
        }
        let is_first = !state.is_dropping || fitting > 0;
        state.is_dropping = fitting < batch.events();
        if !state.is_dropping {
            return Pushed::Whole;
        }
        let dropped = state.drop_behind(batch, fitting);
        drop(state);
        self.shared.all.add(dropped);
        if is_first { Pushed::BeginsToDrop } else { Pushed::GoesOnDropping }
    }

    /// Hands over the last batch of a run. It is small, and finds room in any case: it tells how much
    /// has found none.
    pub(super) fn conclude(&self, batch: &Arc<Batch>) {
        let mut state = self.shared.state();
        if !state.is_abandoned {
            state.add(batch, batch.events());
            self.shared.news.notify_one();
        }
    }

    fn wait_for_room<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        batch: &Batch,
    ) -> MutexGuard<'s, State> {
        let cost = batch.cost(batch.events());
        while state.held > 0 && state.held + cost > self.shared.limit && !state.is_abandoned {
            state = self.shared.wait(&self.shared.room, state);
        }
        state
    }

    pub(super) fn observe(&self) -> Observer {
        Observer { shared: Arc::clone(&self.shared) }
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.shared.state().senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.senders -= 1;
        if state.senders == 0 {
            self.shared.news.notify_all();
            self.shared.orders.notify_all();
        }
    }
}

impl Receiver {
    /// Waits for what is next.
    pub(super) fn next(&self) -> Next {
        let mut state = self.shared.state();
        loop {
            if std::mem::take(&mut state.is_to_reopen) {
                return Next::Reopen;
            }
            match state.items.pop_front() {
                Some(Item::Missed(missed)) => return Next::Missed(missed),
                Some(Item::Events(portion)) => {
                    state.held -= portion.cost();
                    self.shared.room.notify_all();
                    return Next::Events(portion);
                }
                None if state.missed != Missed::default() => {
                    return Next::Missed(std::mem::take(&mut state.missed));
                }
                None if state.senders == 0 => return Next::End,
                None => state = self.shared.wait(&self.shared.news, state),
            }
        }
    }

    /// Counts events that are written to their ends.
    pub(super) fn note_written(&self, events: u64) {
        self.shared.state().written += events;
    }

    /// Waits for better times, but not when something is to be done at once.
    pub(super) fn pause(&self, pause: Duration) -> Paused {
        let end = Instant::now() + pause;
        let mut state = self.shared.state();
        loop {
            if std::mem::take(&mut state.is_to_reopen) {
                return Paused::Reopen;
            }
            if state.senders == 0 {
                return Paused::Ending;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Paused::Over;
            }
            let waited = self.shared.orders.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Gives up: what is in the queue, and `more`, counts as dropped. How much that is comes out.
    pub(super) fn give_up(self, more: Amount) -> Amount {
        let mut state = self.shared.state();
        let mut lost = more;
        for item in state.items.drain(..) {
            if let Item::Events(portion) = item {
                lost += portion.amount();
            }
        }
        state.held = 0;
        state.dropped += lost;
        drop(state);
        self.shared.all.add(lost);
        lost
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_abandoned = true;
        state.items.clear();
        state.held = 0;
        self.shared.room.notify_all();
    }
}

impl Observer {
    /// What is in the queue, and takes its room.
    pub(super) fn held(&self) -> usize {
        self.shared.state().held
    }

    /// Events that were written.
    pub(super) fn written(&self) -> u64 {
        self.shared.state().written
    }

    /// What was dropped in all.
    pub(super) fn dropped(&self) -> Amount {
        self.shared.state().dropped
    }

    /// Waits until nobody takes anything any more.
    pub(super) fn wait_for_end(&self) {
        let mut state = self.shared.state();
        while !state.is_abandoned {
            state = self.shared.wait(&self.shared.room, state);
        }
    }

    /// Whether nobody takes anything any more.
    pub(super) fn has_ended(&self) -> bool {
        self.shared.state().is_abandoned
    }

    /// Has the output open its file again.
    pub(super) fn reopen(&self) {
        self.shared.reopen();
    }
}

#[cfg(test)]
mod tests;
