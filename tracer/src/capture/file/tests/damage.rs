//! Files that were cut off or harmed: what is whole is read, nothing panics.

use std::io;

use super::*;
use crate::test_random::Random;

/// A file, and the offsets at which a packet or block begins; the file's end is the last.
struct Borders {
    bytes: Vec<u8>,
    borders: Vec<usize>,
    /// Packets that end at or before each border.
    packets: Vec<usize>,
}

fn pcap_file() -> Borders {
    let mut file = PcapFile::new(Order::Little, MICROS, u32::from(RAW));
    let mut borders = vec![file.0.bytes.len()];
    for len in [0, 1, 40, 1] {
        file = file.packet(1, 2, &ipv4(&vec![b'x'; len]), 100);
        borders.push(file.0.bytes.len());
    }
    Borders { bytes: file.bytes(), packets: (0..borders.len()).collect(), borders }
}

/// A builder's step, and whether it is a packet.
type Step = (fn(Sections) -> Sections, bool);

fn pcapng_file() -> Borders {
    let steps: [Step; 8] = [
        (|file| file.interface(RAW, 0), false),
        (|file| file.enhanced(0, 1, &ipv4(b"one"), 55), true),
        (|file| file.obsolete(0, 2, &ipv6(b"two")), true),
        (|file| file.then(Sections::new(Order::Big)), false),
        (|file| file.interface_with_clock(RAW, 9, -1), false),
        (|file| file.simple(&ipv4(b"three"), 57), true),
        (
            |file| {
                let body = file.body().raw(b"a name");
                file.block(4, body)
            },
            false,
        ),
        (|file| file.enhanced(0, 3, &ipv4(b"four"), 56), true),
    ];
    let mut file = Sections::new(Order::Little);
    let (mut borders, mut packets) = (vec![file.0.bytes.len()], vec![0]);
    for (step, is_packet) in steps {
        file = step(file);
        borders.push(file.0.bytes.len());
        packets.push(packets[packets.len() - 1] + usize::from(is_packet));
    }
    Borders { bytes: file.bytes(), borders, packets }
}

#[test]
fn cut_anywhere_what_is_whole_is_read() {
    for file in [pcap_file(), pcapng_file()] {
        let (all, end) = read(&*file.bytes);
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(Some(&all.len()), file.packets.last());
        for cut in 4..file.bytes.len() {
            let (packets, end) = read_in(1 << 10, &file.bytes[..cut]);
            let whole = file.borders.iter().rposition(|&border| border <= cut);
            assert_eq!(packets, all[..whole.map_or(0, |border| file.packets[border])], "{cut}");
            match end {
                Ok(()) => assert!(file.borders.contains(&cut), "{cut}"),
                Err(FileError::Truncated { at, .. }) => {
                    assert_eq!(at, cut as u64);
                    assert!(!file.borders.contains(&cut), "{cut}");
                }
                Err(error) => panic!("{cut}: {error:?}"),
            }
        }
    }
}

#[test]
fn a_cut_is_told_in_a_sentence() {
    let file = pcap_file().bytes;
    let error = read(&file[..file.len() - 1]).1.unwrap_err().to_string();
    let expected = format!(
        "the file ends in the middle of a packet (at byte {}): it was cut off, or is still being \
         written",
        file.len() - 1
    );
    assert_eq!(error, expected);
}

/// One byte at a time, and interrupted before each, as a slow pipe.
struct Dribble<'a> {
    bytes: &'a [u8],
    interrupted: bool,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let one = buffer.len().min(1);
        self.bytes.read(&mut buffer[..one])
    }
}

#[test]
fn a_slow_pipe_gives_the_same() {
    for file in [pcap_file(), pcapng_file()] {
        let (whole, _) = read(&*file.bytes);
        let (packets, end) = read_in(256, Dribble { bytes: &file.bytes, interrupted: false });
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(packets, whole);
    }
}

#[test]
fn packets_are_found_wherever_the_window_ends() {
    let mut file = PcapFile::new(Order::Big, MICROS, u32::from(RAW));
    let mut random = Random::new(1);
    let sent: Vec<Vec<u8>> = (0..500).map(|i| random.bytes(i % 240)).collect();
    for bytes in &sent {
        file = file.packet(0, 0, bytes, bytes.len() as u32);
    }
    let bytes = file.bytes();
    for window in 255..300 {
        let (packets, end) = read_in(window, &*bytes);
        assert!(end.is_ok(), "{end:?}");
        assert!(packets.iter().map(|packet| &packet.bytes).eq(&sent), "{window}");
    }
}

#[test]
fn a_failing_disk_is_told_with_its_place() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no disk"))
        }
    }
    let file = pcap_file().bytes;
    let (packets, end) = read(file[..100].chain(Failing));
    assert_eq!(packets.len(), 1);
    assert!(matches!(end, Err(FileError::Io { at: 100, .. })), "{end:?}");
}

/// Reads everything, and looks at each segment.
fn survive(bytes: &[u8]) {
    let Ok(mut reader) = Reader::with_window(bytes, 1 << 10) else { return };
    while let Ok(Some(packet)) = reader.next_packet() {
        let Ok(segment) = packet.segment() else { continue };
        assert!(segment.payload.len() <= segment.payload_len as usize);
        assert!(segment.payload.len() <= packet.bytes.len());
    }
}

#[test]
fn harmed_files_do_not_make_it_panic() {
    let files = [pcap_file().bytes, pcapng_file().bytes];
    let mut random = Random::new(2);
    for round in 0..200_000 {
        let mut bytes = files[round % 2].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = [0, 1, 0x7f, 0xff, random.next() as u8][random.below(5) as usize];
        }
        survive(&bytes);
    }
}

#[test]
fn random_bytes_do_not_make_it_panic() {
    let starts = [pcap_file().bytes[..24].to_vec(), pcapng_file().bytes[..48].to_vec(), vec![]];
    let mut random = Random::new(3);
    for round in 0..100_000 {
        let mut bytes = starts[round % 3].clone();
        let len = random.below(400) as usize;
        bytes.extend(random.bytes(len));
        survive(&bytes);
    }
}
