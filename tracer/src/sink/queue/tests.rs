//! Batches go in by several threads; what comes out, and what is said to be missing, adds up.

use std::thread;

use super::*;
use crate::sink::batch::of_lengths;

const LIMIT: usize = 1000;

fn dropping() -> (Sender, Receiver, Arc<Counters>) {
    let all = Arc::<Counters>::default();
    let (sender, receiver) = queue(LIMIT, Overflow::Drop, Arc::clone(&all));
    (sender, receiver, all)
}

/// Events in, and events said to be missing, in their order.
fn drain(receiver: &Receiver) -> Vec<(char, u64)> {
    let mut drained = Vec::new();
    loop {
        match receiver.next() {
            Next::Events(portion) => drained.push(('+', portion.amount().events)),
            Next::Missed(missed) => drained.push(('-', missed.amount.events)),
            Next::Reopen => drained.push(('r', 0)),
            Next::End => return drained,
        }
    }
}

#[test]
fn what_finds_no_room_is_dropped_as_whole_events_and_told_in_its_place() {
    let (sender, receiver, all) = dropping();
    assert_eq!(sender.push(&of_lengths(&[200, 200])), Pushed::Whole);
    assert_eq!(sender.push(&of_lengths(&[100, 400])), Pushed::BeginsToDrop);
    assert_eq!(sender.push(&of_lengths(&[1])), Pushed::GoesOnDropping, "there is room for it");
    assert_eq!(all.amount(), Amount { events: 2, bytes: 401 });
    let Next::Events(first) = receiver.next() else { panic!("events") };
    assert_eq!(first.amount().events, 2);
    assert_eq!(sender.push(&of_lengths(&[7])), Pushed::Whole, "half of it is free");
    drop(sender);
    assert_eq!(drain(&receiver), [('+', 1), ('-', 2), ('+', 1)]);
}

#[test]
fn what_was_dropped_last_is_told_without_anything_behind_it() {
    let (sender, receiver, _) = dropping();
    sender.push(&of_lengths(&[600]));
    sender.push(&of_lengths(&[600]));
    assert!(matches!(receiver.next(), Next::Events(_)));
    let Next::Missed(missed) = receiver.next() else { panic!("something was dropped") };
    assert_eq!(missed.amount, Amount { events: 1, bytes: 600 });
    assert!(missed.until.is_some());
    drop(sender);
    assert_eq!(drain(&receiver), []);
}

#[test]
fn an_event_that_is_larger_than_the_queue_comes_through_when_half_of_it_is_free() {
    let (sender, receiver, all) = dropping();
    assert_eq!(sender.push(&of_lengths(&[10])), Pushed::Whole);
    assert_eq!(sender.push(&of_lengths(&[10, LIMIT * 5, 10])), Pushed::Whole);
    assert_eq!(sender.push(&of_lengths(&[LIMIT * 5])), Pushed::BeginsToDrop);
    drop(sender);
    assert_eq!(drain(&receiver), [('+', 1), ('+', 3), ('-', 1)]);
    assert_eq!(all.amount().events, 1);
}

#[test]
fn the_last_words_find_room_behind_what_is_missing() {
    let (sender, receiver, all) = dropping();
    assert_eq!(sender.push(&of_lengths(&[800])), Pushed::Whole);
    assert_eq!(sender.push(&of_lengths(&[300])), Pushed::BeginsToDrop);
    sender.conclude(&of_lengths(&[300]));
    drop(sender);
    assert_eq!(drain(&receiver), [('+', 1), ('-', 1), ('+', 1)]);
    assert_eq!(all.amount().events, 1);
}

#[test]
fn whoever_waits_loses_nothing() {
    let all = Arc::<Counters>::default();
    let (sender, receiver) = queue(LIMIT, Overflow::Wait, Arc::clone(&all));
    let senders = [sender.clone(), sender];
    let threads = senders.map(|sender| {
        thread::spawn(move || {
            (0..500).for_each(|n| assert_eq!(sender.push(&of_lengths(&[n, 300])), Pushed::Whole));
        })
    });
    let drained = drain(&receiver);
    assert_eq!(drained, vec![('+', 2); 1000]);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(all.amount().is_zero());
}

#[test]
fn what_comes_out_and_what_is_dropped_add_up_among_threads() {
    let (sender, receiver, all) = dropping();
    let senders = [(); 3].map(|()| sender.clone());
    drop(sender);
    let threads = senders.map(|sender| {
        thread::spawn(move || {
            for _ in 0..2000 {
                sender.push(&of_lengths(&[40, 9]));
            }
        })
    });
    let drained = drain(&receiver);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let sum = |sign| drained.iter().filter(|item| item.0 == sign).map(|item| item.1).sum::<u64>();
    assert_eq!((sum('+') + sum('-'), sum('-')), (3 * 2000 * 2, all.amount().events));
}

#[test]
fn nobody_waits_for_an_output_that_has_ended() {
    let (sender, receiver) = queue(LIMIT, Overflow::Wait, Arc::default());
    sender.push(&of_lengths(&[900]));
    let waiting = thread::spawn({
        let sender = sender.clone();
        move || sender.push(&of_lengths(&[900]))
    });
    drop(receiver);
    assert_eq!(waiting.join().unwrap(), Pushed::Whole);
    assert!(sender.observe().has_ended());
}

#[test]
fn what_comes_after_an_output_has_ended_is_no_loss() {
    let (sender, receiver, all) = dropping();
    drop(receiver);
    assert_eq!(sender.push(&of_lengths(&[1, 2])), Pushed::Whole);
    assert!(all.amount().is_zero());
}

#[test]
fn who_gives_up_says_what_is_lost_by_that() {
    let (sender, receiver, all) = dropping();
    sender.push(&of_lengths(&[500, 400]));
    sender.push(&of_lengths(&[500]));
    let lost = receiver.give_up(Amount { events: 1, bytes: 7 });
    assert_eq!(lost, Amount { events: 3, bytes: 907 });
    assert_eq!(all.amount(), Amount { events: 4, bytes: 1407 });
    assert_eq!(sender.observe().dropped(), all.amount());
}

#[test]
fn a_pause_is_over_when_there_is_something_to_do() {
    let (sender, receiver, _) = dropping();
    assert_eq!(receiver.pause(Duration::from_millis(1)), Paused::Over);
    sender.observe().reopen();
    assert_eq!(receiver.pause(Duration::from_hours(1)), Paused::Reopen);
    let pausing = thread::spawn(move || receiver.pause(Duration::from_hours(1)));
    drop(sender);
    assert_eq!(pausing.join().unwrap(), Paused::Ending);
}

#[test]
fn a_file_is_opened_again_before_what_waits() {
    let (sender, receiver, _) = dropping();
    sender.push(&of_lengths(&[1]));
    sender.observe().reopen();
    drop(sender);
    assert_eq!(drain(&receiver), [('r', 0), ('+', 1)]);
}
