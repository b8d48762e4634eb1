//! A capture file of arbitrary bytes: every packet is dissected, every segment followed. The
//! reader's memory is its window, whatever lengths the file claims.

#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use tracer::{
    capture::file::{FileError, Reader},
    segment::SECOND,
    session::{Limits, Options, Tracker},
};
use tracer_common::ports::PortSet;
use tracer_fuzz::{memory::Watch, sink::Checked};

const LIMITS: Limits = Limits {
    payload: 256,
    connections: 16,
    half_open: 16,
    waiting_per_direction: 16 << 10,
    memory: 128 << 10,
    reordering: 3 * SECOND,
    idle: 100 * SECOND,
    inflaters: 2,
};

/// The reader's window of 1 MiB, and the tracker's 128 KiB, its inflaters and its lines.
const BOUND: usize = 4 << 20;

/// Reads a few bytes at a time, as a pipe does.
struct Pipe<'a>(&'a [u8]);

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.0.len()).min(509);
        let (front, back) = self.0.split_at(len);
        buffer[..len].copy_from_slice(front);
        self.0 = back;
        Ok(len)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let watch = Watch::new();
    let whole = Run::over(bytes);
    let piped = Run::over(Pipe(bytes));
    assert_eq!(whole, piped, "a file, and the same bytes through a pipe");
    watch.check(BOUND);
});

/// What a file came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    packets: u64,
    segments: u64,
    messages: u64,
    error: Option<String>,
}

impl Run {
    fn over(input: impl Read) -> Self {
        let mut run = Self::default();
        run.error = run.read(input).err().map(|error| error.to_string());
        assert!(run.error.as_ref().is_none_or(|error| !error.contains(char::is_control)));
        run
    }

    fn read(&mut self, input: impl Read) -> Result<(), FileError> {
        let mut reader = Reader::new(input)?;
        let (mut tracker, mut sink) = (Tracker::new(options()), Checked::default());
        let mut now = 0;
        let result = loop {
            let packet = match reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            self.packets += 1;
            now = packet.time.max(now);
            let Ok(segment) = packet.segment() else { continue };
            assert!(segment.payload.len() <= segment.payload_len as usize);
            assert!(segment.options.len() <= 40);
            tracker.segment(&segment, &mut sink);
            tracker.tick(now, &mut sink);
            self.segments += 1;
        };
        assert!(matches!(reader.next_packet(), Ok(None)), "nothing follows the end");
        tracker.finish(now, &mut sink);
        sink.check(&tracker.stats(), LIMITS.connections);
        self.messages = tracker.stats().messages;
        result
    }
}

fn options() -> Options {
    let mut ports = PortSet::EMPTY;
    for port in [80, 7272, 8080] {
        ports.insert(port);
    }
    Options { ports, segments: true, frames: true, show_secrets: false, limits: LIMITS }
}
