//! A place that fails as it is told to.

use std::sync::{Mutex, mpsc};

use super::*;
use crate::sink::{
    batch::of_lengths,
    counters::Counters,
    queue::{Sender, queue},
};

/// What a place does with the next write.
#[derive(Clone, Copy)]
enum Do {
    Take(usize),
    Fail,
    Rewind,
}

/// Takes what a script says, then everything.
struct Scripted {
    script: Vec<Do>,
    taken: Arc<Mutex<Vec<u8>>>,
    reopened: Arc<Mutex<u32>>,
    failing: mpsc::Sender<()>,
    is_over: bool,
}

impl Place for Scripted {
    fn write(&mut self, portion: &mut Portion) -> io::Result<()> {
        let next =
            if self.script.is_empty() { Do::Take(usize::MAX) } else { self.script.remove(0) };
        let count = match next {
            Do::Take(count) => count.min(portion.rest().len()),
            Do::Rewind => {
                portion.rewind();
                return Err(io::Error::other("begin again"));
            }
            Do::Fail => {
                // Nobody may want to know.
                self.failing.send(()).ok();
                return Err(io::Error::other("not now"));
            }
        };
        self.taken.lock().unwrap().extend(&portion.rest()[..count]);
        portion.advance(count);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<bool> {
        *self.reopened.lock().unwrap() += 1;
        self.script.clear();
        Ok(true)
    }

    fn is_over(&self, _: &io::Error) -> bool {
        self.is_over
    }
}

/// A worker, and what can be seen of it.
struct Bench {
    sender: Sender,
    worker: Worker,
    taken: Arc<Mutex<Vec<u8>>>,
    reopened: Arc<Mutex<u32>>,
    failing: mpsc::Receiver<()>,
    counters: Arc<Counters>,
}

fn bench(overflow: Overflow, script: &[Do], is_over: bool) -> Bench {
    let counters = Arc::<Counters>::default();
    let (sender, receiver) = queue(10_000, overflow, Arc::clone(&counters));
    let (taken, reopened) = (Arc::default(), Arc::default());
    let (told, failing) = mpsc::channel();
    let place = Scripted {
        script: script.to_vec(),
        taken: Arc::clone(&taken),
        reopened: Arc::clone(&reopened),
        failing: told,
        is_over,
    };
    let told = Arc::new(Told::new("a test's output", 10_000));
    let place = Box::new(place);
    let (look, is_alone) = (Look::Json, Arc::default());
    let worker = Worker { receiver, place, look, overflow, told, is_alone };
    Bench { sender, worker, taken, reopened, failing, counters }
}

#[test]
fn what_fails_is_tried_again_from_where_it_stopped() {
    let script = [Do::Take(2), Do::Fail, Do::Take(1), Do::Fail, Do::Take(3)];
    let Bench { sender, worker, taken, counters, .. } = bench(Overflow::Drop, &script, false);
    sender.push(&of_lengths(&[4, 6]));
    let running = std::thread::spawn(|| worker.run());
    // The end must not come before the second attempt: then there would be only one more.
    while taken.lock().unwrap().len() < 10 {
        std::thread::yield_now();
    }
    drop(sender);
    assert!(running.join().unwrap().is_ok());
    assert_eq!(*taken.lock().unwrap(), (0..10).collect::<Vec<u8>>());
    assert!(counters.amount().is_zero());
}

#[test]
fn a_place_may_ask_for_whole_events() {
    let script = [Do::Take(5), Do::Rewind];
    let Bench { sender, worker, taken, .. } = bench(Overflow::Drop, &script, false);
    sender.push(&of_lengths(&[4, 6]));
    drop(sender);
    assert!(worker.run().is_ok());
    assert_eq!(*taken.lock().unwrap(), [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn at_the_end_there_is_one_more_attempt_and_the_loss_is_counted() {
    let Bench { sender, worker, taken, counters, .. } =
        bench(Overflow::Drop, &[Do::Take(5), Do::Fail, Do::Fail], false);
    sender.push(&of_lengths(&[4, 6]));
    sender.push(&of_lengths(&[7]));
    drop(sender);
    let Loss { error, lost, .. } = worker.run().unwrap_err();
    assert_eq!(error.to_string(), "not now");
    assert_eq!(lost, Amount { events: 2, bytes: 13 });
    assert_eq!((counters.amount(), taken.lock().unwrap().len()), (lost, 5));
}

#[test]
fn where_nothing_is_to_be_lost_an_error_is_the_end() {
    let Bench { sender, worker, .. } = bench(Overflow::Wait, &[Do::Fail], false);
    sender.push(&of_lengths(&[4]));
    assert_eq!(worker.run().unwrap_err().lost.events, 1);
    sender.push(&of_lengths(&[20_000]));
}

#[test]
fn a_reader_that_has_left_is_no_loss() {
    let Bench { sender, worker, counters, .. } = bench(Overflow::Drop, &[Do::Fail], true);
    sender.push(&of_lengths(&[4, 5]));
    assert!(worker.run().is_ok());
    sender.push(&of_lengths(&[4]));
    assert!(counters.amount().is_zero());
}

#[test]
fn what_is_alone_is_not_tried_again_and_its_reader_is_missed() {
    for is_over in [false, true] {
        let Bench { sender, worker, counters, .. } = bench(Overflow::Drop, &[Do::Fail], is_over);
        worker.is_alone.store(true, Relaxed);
        sender.push(&of_lengths(&[4, 5]));
        let loss = worker.run().unwrap_err();
        assert_eq!((loss.lost.events, counters.amount().events), (2, 2));
        let error = loss.into_error("a test's output");
        assert_eq!(error.is::<io::Error>(), is_over, "{error}");
    }
}

#[test]
fn a_file_is_opened_again_in_the_midst_of_trouble_and_begins_with_a_whole_event() {
    let mut script = vec![Do::Take(6)];
    script.extend([Do::Fail; 1000]);
    let Bench { sender, worker, taken, reopened, failing, .. } =
        bench(Overflow::Drop, &script, false);
    sender.push(&of_lengths(&[4, 6]));
    let running = std::thread::spawn(|| worker.run());
    // By now it waits for ever longer.
    (0..3).for_each(|_| failing.recv().unwrap());
    sender.observe().reopen();
    drop(sender);
    assert!(running.join().unwrap().is_ok());
    assert_eq!(*reopened.lock().unwrap(), 1);
    assert_eq!(*taken.lock().unwrap(), [0, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn what_was_missed_is_told_in_the_output() {
    let Bench { sender, worker, taken, .. } = bench(Overflow::Drop, &[], false);
    sender.push(&of_lengths(&[9_000]));
    sender.push(&of_lengths(&[500, 5_000, 60]));
    drop(sender);
    assert!(worker.run().is_ok());
    let taken = taken.lock().unwrap();
    let note = str::from_utf8(&taken[9_500..]).unwrap();
    assert!(note.ends_with("\"event\":\"dropped\",\"events\":2,\"bytes\":5060}\n"), "{note}");
    assert!(note.starts_with("{\"ts\":\"20"), "{note}");
}
