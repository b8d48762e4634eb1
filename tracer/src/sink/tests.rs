//! Outputs that change while a run goes on.

use std::{fs, path::PathBuf};

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
            buffer: 1 << 20,
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
    let mut outputs = Outputs::open(&wanted[..2], Overflow::Drop, || Ok(())).unwrap();
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
    let mut outputs = Outputs::open(&wanted, Overflow::Drop, || Ok(())).unwrap();
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
    let mut outputs = Outputs::open(&wanted[..1], Overflow::Drop, || Ok(())).unwrap();
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

#[test]
fn standard_output_alone_is_written_by_whoever_decodes() {
    let stdout = Wanted { target: Target::Stdout, ..Disk::new().wanted("") };
    let mut outputs = Outputs::open(&[stdout], Overflow::Drop, || Ok(())).unwrap();
    assert!(matches!(outputs.feed(), Feed::Direct(..)));
    assert!(outputs.monitor().states().is_empty());
    let disk = Disk::new();
    outputs.set(&[disk.wanted("file")]).unwrap();
    assert!(matches!(outputs.feed(), Feed::Queued(_)));
    outputs.finish().unwrap();
}

#[test]
fn standard_output_keeps_its_queue_where_something_may_wait_in_it() {
    let disk = Disk::new();
    let stdout = Wanted { target: Target::Stdout, ..disk.wanted("") };
    let both = [stdout.clone(), disk.wanted("file")];
    let mut outputs = Outputs::open(&both, Overflow::Drop, || Ok(())).unwrap();
    outputs.set(&[stdout]).unwrap();
    assert!(matches!(outputs.feed(), Feed::Queued(_)));
    outputs.finish().unwrap();
}
