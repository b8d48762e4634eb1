//! Outputs that change while a run goes on.

use std::{fs, path::PathBuf, slice};
#[cfg(feature = "live")]
use std::{sync::mpsc, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::event::{Body, Event, Sink as _};

/// A place for files.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn wanted(&self, name: &str) -> Wanted {
        Wanted {
            target: Target::File(self.path(name)),
            look: Look::Json,
            buffer: Some(1 << 20),
            rotation: Rotation { size: None, age: None, keep: 1 },
        }
    }

    /// The numbers of the events in a file.
    fn numbers(&self, name: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let number = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
            event["rtt_us"].as_u64().expect("a number")
        };
        text.lines().map(number).collect()
    }
}

fn emit(feed: &mut Feed, number: u64) {
    let body = Body::TcpOpen { rtt_us: number };
    feed.emit(&Event { time: 0, conn: None, from: None, body });
}

#[test]
fn outputs_change_between_two_events_and_none_is_lost() {
    let disk = Disk::new();
    let wanted = ["stays", "goes", "comes"].map(|name| disk.wanted(name));
    let mut outputs = Outputs::open(&wanted[..2], Overflow::Drop, 0, || Ok(())).unwrap();
    let mut feeds = [outputs.feed(), outputs.feed()];
    emit(&mut feeds[0], 1);
    // Opened again it would be another file.
    let renamed = disk.path("renamed");
    fs::rename(disk.path("stays"), &renamed).unwrap();
    outputs.set(&[wanted[2].clone(), wanted[0].clone()]).unwrap();
    // One pipeline has not heard of it yet.
    emit(&mut feeds[1], 2);
    feeds[0] = outputs.feed();
    emit(&mut feeds[0], 3);
    feeds[1] = outputs.feed();
    drop(feeds);
    outputs.finish().unwrap();
    assert!(!disk.path("stays").exists(), "it was opened again");
    let sorted = |name| {
        let mut numbers = disk.numbers(name);
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(
        (sorted("renamed"), sorted("goes"), sorted("comes")),
        (vec![1, 2, 3], vec![1, 2], vec![3])
    );
}

#[test]
fn an_output_that_is_not_wanted_any_more_ends_and_is_not_looked_at_any_more() {
    let disk = Disk::new();
    let wanted = ["stays", "goes"].map(|name| disk.wanted(name));
    let mut outputs = Outputs::open(&wanted, Overflow::Drop, 0, || Ok(())).unwrap();
    let mut feed = outputs.feed();
    emit(&mut feed, 1);
    outputs.set(&wanted[..1]).unwrap();
    assert_eq!(outputs.monitor().states().len(), 2, "somebody may still give it something");
    feed = outputs.feed();
    while !outputs.leaving[0].thread.is_finished() {
        std::thread::yield_now();
    }
    outputs.set(&wanted[..1]).unwrap();
    assert_eq!((outputs.monitor().states().len(), outputs.leaving.len()), (1, 0));
    assert_eq!(disk.numbers("goes"), [1]);
    assert!(!feed.has_failed());
    drop(feed);
    outputs.finish().unwrap();
}

#[test]
fn outputs_that_cannot_be_opened_leave_the_others_as_they_were() {
    let disk = Disk::new();
    let wanted = ["good", "also", "no/such"].map(|name| disk.wanted(name));
    let mut outputs = Outputs::open(&wanted[..1], Overflow::Drop, 0, || Ok(())).unwrap();
    let told = outputs.set(&wanted[1..]).unwrap_err();
    assert!(format!("{told:#}").contains("no/such: No such file"), "{told:#}");
    let mut feed = outputs.feed();
    emit(&mut feed, 1);
    drop(feed);
    let monitor = outputs.monitor();
    let names: Vec<_> = monitor.states().into_iter().map(|state| state.name).collect();
    assert_eq!(names, [disk.path("good").display().to_string()]);
    outputs.finish().unwrap();
    assert!(monitor.states()[0].has_ended);
    assert_eq!(disk.numbers("good"), [1]);
}

/// Standard output, of which nothing is written here: cargo's tests share it.
fn stdout() -> Wanted {
    Wanted { target: Target::Stdout, ..Disk::new().wanted("") }
}

#[test]
fn standard_output_alone_has_a_queue_unless_a_file_is_read() {
    let outputs = Outputs::open(&[stdout()], Overflow::Wait, 0, || Ok(())).unwrap();
    assert!(matches!(outputs.feed(), Feed::Direct(_)));
    assert!(outputs.monitor().states().is_empty());
    outputs.finish().unwrap();
    let outputs = Outputs::open(&[stdout()], Overflow::Drop, 0, || Ok(())).unwrap();
    assert!(matches!(outputs.feed(), Feed::Queued(_)));
    assert_eq!(outputs.monitor().states().len(), 1);
    outputs.finish().unwrap();
}

#[test]
fn a_run_ends_with_standard_output_only_as_long_as_that_is_alone() {
    let disk = Disk::new();
    let both = [stdout(), disk.wanted("file")];
    let mut outputs = Outputs::open(&both[..1], Overflow::Drop, 0, || Ok(())).unwrap();
    let is_alone = Arc::clone(&outputs.running[0].is_alone);
    let is_alone = || is_alone.load(Relaxed);
    assert!(is_alone());
    outputs.set(&both).unwrap();
    assert!(!is_alone());
    outputs.set(&both[..1]).unwrap();
    assert!(is_alone());
    outputs.set(&both[1..]).unwrap();
    assert!(!is_alone() && !outputs.running[0].is_alone.load(Relaxed));
    outputs.finish().unwrap();
}

#[test]
fn an_output_that_is_wanted_again_begins_behind_what_it_still_has_to_write() {
    let disk = Disk::new();
    let [name, other] = ["again", "other"].map(|name| disk.wanted(name));
    let mut outputs = Outputs::open(slice::from_ref(&name), Overflow::Drop, 0, || Ok(())).unwrap();
    let mut old = outputs.feed();
    outputs.set(slice::from_ref(&other)).unwrap();
    outputs.set(slice::from_ref(&name)).unwrap();
    let mut new = outputs.feed();
    emit(&mut new, 2);
    new.flush().unwrap();
    emit(&mut old, 1);
    drop((old, new));
    outputs.finish().unwrap();
    assert_eq!(disk.numbers("again"), [1, 2]);
}

#[cfg(feature = "live")]
#[test]
fn who_is_to_know_of_a_failure_does() {
    let disk = Disk::new();
    let mut wanted = disk.wanted("");
    wanted.target = Target::File("/dev/full".into());
    for is_late in [false, true] {
        let outputs =
            Outputs::open(slice::from_ref(&wanted), Overflow::Wait, 0, || Ok(())).unwrap();
        let (tell, told) = mpsc::channel();
        let tell = move || tell.send(()).unwrap();
        if !is_late {
            outputs.on_failure(tell.clone());
        }
        let mut feed = outputs.feed();
        emit(&mut feed, 1);
        feed.flush().unwrap();
        if is_late {
            while !outputs.monitor().states()[0].has_ended {
                std::thread::yield_now();
            }
            outputs.on_failure(tell);
        }
        told.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(feed.has_failed());
        drop(feed);
        outputs.finish().unwrap_err();
    }
}
