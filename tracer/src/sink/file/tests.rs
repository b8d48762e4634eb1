//! Files on a disk: what is in them afterwards, and what they are called.

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;
use crate::{
    sink::batch::{Batch, of_lengths},
    test_random::Random,
};

const KEEP_ALL: Rotation = Rotation { size: None, age: None, keep: 9_999 };

fn by_size(size: u64, keep: u32) -> Rotation {
    Rotation { size: Some(size), age: None, keep }
}

struct Disk {
    directory: TempDir,
}

impl Disk {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self, rotation: Rotation) -> LogFile {
        LogFile::open(&self.path("events"), rotation).expect("it can be opened")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names of all files.
    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.directory.path()).expect("it is there");
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// What is in all files, from the oldest to the newest, each of them.
    fn all(&self) -> Vec<String> {
        let old = self.names().len() - 1;
        let names = (1..=old).rev().map(|number| format!("events.{number}"));
        names.chain(["events".to_owned()]).map(|name| self.read(&name)).collect()
    }
}

/// Lines as events.
fn lines(lines: &[&str]) -> Portion {
    let text = lines.iter().map(|line| format!("{line}\n"));
    let mut bytes = Vec::new();
    let ends = text.map(|line| {
        bytes.extend(line.as_bytes());
        bytes.len()
    });
    let ends: Vec<_> = ends.collect();
    Portion::new(Arc::new(Batch::new(bytes, ends)), lines.len())
}

fn write(file: &mut LogFile, portion: Portion) {
    let mut portion = portion;
    while !portion.is_done() {
        file.write(&mut portion).expect("it can be written");
    }
}

#[test]
fn what_is_there_stays_and_others_may_not_read_it() {
    let disk = Disk::new();
    write(&mut disk.open(KEEP_ALL), lines(&["one"]));
    write(&mut disk.open(KEEP_ALL), lines(&["two", "three"]));
    assert_eq!(disk.all(), ["one\ntwo\nthree\n"]);
    let mode = fs::metadata(disk.path("events")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[test]
fn a_file_gives_way_before_it_is_too_large() {
    let disk = Disk::new();
    let mut file = disk.open(by_size(10, 9));
    write(&mut file, lines(&["1234", "5678", "9", "far more than ten", "a", "b"]));
    assert_eq!(disk.all(), ["1234\n5678\n", "9\n", "far more than ten\n", "a\nb\n"]);
    write(&mut file, lines(&["c", "d"]));
    assert_eq!(disk.all()[3..], ["a\nb\nc\nd\n"]);
}

#[test]
fn only_so_many_old_files_are_kept() {
    let disk = Disk::new();
    write(&mut disk.open(by_size(2, 2)), lines(&["1", "2", "3", "4", "5"]));
    assert_eq!(disk.all(), ["3\n", "4\n", "5\n"]);
}

#[test]
fn of_whatever_is_written_nothing_is_lost_twice_or_torn() {
    let mut random = Random::new(11);
    for _ in 0..20 {
        let disk = Disk::new();
        let mut expected = String::new();
        let limit = 20 + random.below(200);
        for _ in 0..10 {
            let mut file = disk.open(by_size(limit, 9_999));
            for _ in 0..random.below(5) {
                let texts: Vec<_> = (0..1 + random.below(9))
                    .map(|n| format!("{n}").repeat(random.below(60) as usize))
                    .collect();
                texts.iter().for_each(|text| expected.extend([text, "\n"]));
                write(&mut file, lines(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
            }
        }
        let all = disk.all();
        assert_eq!(all.concat(), expected);
        for text in all {
            let is_whole = text.is_empty() || text.ends_with('\n');
            assert!(
                is_whole && (text.len() as u64 <= limit || text.lines().count() == 1),
                "{text}"
            );
        }
    }
}

#[test]
fn an_old_file_gives_way_but_not_before_there_is_something_in_it() {
    let disk = Disk::new();
    let rotation = |age| Rotation { age: Some(age), ..KEEP_ALL };
    let mut file = disk.open(rotation(Duration::from_millis(1)));
    std::thread::sleep(Duration::from_millis(20));
    write(&mut file, lines(&["first"]));
    assert_eq!(disk.all(), ["first\n"]);
    std::thread::sleep(Duration::from_millis(20));
    write(&mut file, lines(&["second"]));
    assert_eq!(disk.all(), ["first\n", "second\n"]);
    // The next run knows how old it is.
    std::thread::sleep(Duration::from_millis(20));
    write(&mut disk.open(rotation(Duration::from_millis(10))), lines(&["third"]));
    assert_eq!(disk.all().len(), 3);
    write(&mut disk.open(rotation(Duration::from_hours(1))), lines(&["fourth"]));
    assert_eq!(disk.all()[2..], ["third\nfourth\n"]);
}

#[test]
fn a_file_that_logrotate_has_renamed_is_left_when_it_says_so() {
    let disk = Disk::new();
    let mut file = disk.open(KEEP_ALL);
    write(&mut file, lines(&["one"]));
    fs::rename(disk.path("events"), disk.path("events.1")).unwrap();
    write(&mut file, lines(&["two"]));
    file.reopen().unwrap();
    write(&mut file, lines(&["three"]));
    assert_eq!(disk.all(), ["one\ntwo\n", "three\n"]);
}

#[test]
fn a_file_that_logrotate_has_copied_and_truncated_begins_anew() {
    let disk = Disk::new();
    let mut file = disk.open(by_size(10, 9));
    write(&mut file, lines(&["12345678"]));
    File::options().write(true).open(disk.path("events")).unwrap().set_len(0).unwrap();
    write(&mut file, lines(&["abc", "def"]));
    assert_eq!(disk.all(), ["abc\ndef\n"], "no hole, and its size counts from 0");
}

#[test]
fn where_there_can_be_no_new_file_the_old_one_grows_on() {
    let disk = Disk::new();
    let mut file = disk.open(by_size(2, 1));
    write(&mut file, lines(&["1"]));
    // A directory with something in it is not replaced, even by root.
    fs::create_dir_all(disk.path("events.1/x")).unwrap();
    write(&mut file, lines(&["2"]));
    assert_eq!(disk.read("events"), "1\n2\n");
    fs::remove_dir_all(disk.path("events.1")).unwrap();
    file.next_attempt = None;
    write(&mut file, lines(&["3"]));
    assert_eq!((disk.read("events.1"), disk.read("events")), ("1\n2\n".into(), "3\n".into()));
}

#[test]
fn the_rest_of_an_event_goes_where_its_beginning_is() {
    let disk = Disk::new();
    let mut file = disk.open(by_size(4, 9));
    let mut portion = Portion::new(of_lengths(&[3, 30]), 2);
    file.write(&mut portion).unwrap();
    // As after a disk that was full.
    fs::write(disk.path("events"), [0; 13]).unwrap();
    portion.advance(10);
    write(&mut file, portion);
    assert_eq!(fs::read(disk.path("events")).unwrap().len(), 13 + 20);
    assert_eq!(disk.names().len(), 1);
}

#[test]
fn what_is_no_file_is_refused() {
    let disk = Disk::new();
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, disk.path("events"), FileType::Fifo, mode, 0).expect("a pipe");
    let refused = LogFile::open(&disk.path("events"), KEEP_ALL).err().expect("a pipe");
    assert!(refused.to_string().contains("--output - > PIPE"), "{refused}");
    assert!(LogFile::open(disk.directory.path(), KEEP_ALL).is_err());
    write(&mut LogFile::open(Path::new("/dev/null"), by_size(1, 1)).unwrap(), lines(&["12", "3"]));
}
