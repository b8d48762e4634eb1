//! The assembler, against one that keeps a cell for every byte; and over arbitrary sequence
//! numbers, where it must at least stay consistent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::tcp::assembler::{Assembler, Cause, Outcome, Piece};
use tracer_fuzz::input::Input;

/// What is known of one byte of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Unknown,
    Byte(u8),
    Snapped,
    Lost,
}

/// The naive assembler: every byte has a cell, the first copy stays.
#[derive(Default)]
struct Model {
    cells: Vec<Cell>,
    /// Cells before this one were given out.
    next: usize,
}

impl Model {
    fn segment(&mut self, at: i64, payload: &[u8], snapped: u8) -> Outcome {
        let bytes = payload.iter().map(|&byte| Cell::Byte(byte));
        let span = bytes.chain((0..snapped).map(|_| Cell::Snapped));
        let mut outcome = Outcome::default();
        for (offset, new) in (at..).zip(span) {
            if offset < self.next as i64 {
                outcome.repeated += usize::from(matches!(new, Cell::Byte(_)));
                outcome.conflict |= offset < 0 || is_conflict(self.cells[offset as usize], new);
                continue;
            }
            let offset = offset as usize;
            if self.cells.len() <= offset {
                self.cells.resize(offset + 1, Cell::Unknown);
            }
            let cell = &mut self.cells[offset];
            if *cell == Cell::Unknown {
                *cell = new;
            } else if let (Cell::Byte(_), Cell::Byte(_)) = (*cell, new) {
                outcome.repeated += 1;
                outcome.conflict |= *cell != new;
            }
        }
        self.deliver();
        outcome
    }

    fn deliver(&mut self) {
        while self.cells.get(self.next).is_some_and(|&cell| cell != Cell::Unknown) {
            self.next += 1;
        }
    }

    fn has_hole(&self) -> bool {
        self.cells.len() > self.next
    }

    fn waiting_bytes(&self) -> usize {
        self.cells[self.next..].iter().filter(|cell| matches!(cell, Cell::Byte(_))).count()
    }

    fn skip_hole(&mut self) {
        let hole = self.cells[self.next..].iter_mut();
        hole.take_while(|cell| **cell == Cell::Unknown).for_each(|cell| *cell = Cell::Lost);
        self.deliver();
    }

    fn give_up(&mut self) {
        while self.has_hole() {
            self.skip_hole();
        }
    }

    fn give_up_until(&mut self, end: usize) {
        self.give_up();
        self.cells.resize(self.cells.len().max(end), Cell::Lost);
        self.deliver();
    }

    /// A hole is given up as far as it was acknowledged.
    fn acknowledged(&mut self, at: i64) {
        while self.has_hole() && at > self.next as i64 {
            let hole = self.next..self.cells.len().min(at as usize);
            let hole = self.cells[hole].iter_mut();
            hole.take_while(|cell| **cell == Cell::Unknown).for_each(|cell| *cell = Cell::Lost);
            self.deliver();
        }
    }
}

/// Bytes that were given out are compared by fingerprint, so differences may go unnoticed there.
fn is_conflict(known: Cell, new: Cell) -> bool {
    matches!((known, new), (Cell::Byte(_), Cell::Byte(_))) && known != new
}

/// What the assembler gave out, as cells.
fn collect(given: &mut Vec<Cell>, piece: Piece<'_>) {
    match piece {
        Piece::Data(data) => {
            assert!(!data.is_empty(), "an empty piece of data");
            given.extend(data.iter().map(|&byte| Cell::Byte(byte)));
        }
        Piece::Gap(bytes, cause) => {
            assert!(bytes > 0, "an empty gap");
            let cell = if cause == Cause::Lost { Cell::Lost } else { Cell::Snapped };
            given.extend((0..bytes).map(|_| cell));
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    if input.u8() & 1 == 0 {
        against_model(input);
    } else {
        anywhere(input);
    }
});

fn against_model(mut input: Input<'_>) {
    let start = input.u32();
    let (mut assembler, mut model, mut given) = (Assembler::default(), Model::default(), vec![]);
    assembler.anchor(start);
    while !input.is_empty() {
        step(&mut input, start, &mut assembler, &mut model, &mut given);
        assert_eq!(given, model.cells[..model.next]);
        assert_eq!(assembler.position(), model.next as u64);
        assert_eq!(assembler.next_seq(), Some(start.wrapping_add(model.next as u32)));
        assert_eq!(assembler.waiting_bytes(), model.waiting_bytes());
        assert_eq!(assembler.has_hole(), model.has_hole());
    }
}

/// Does the same to both.
fn step(
    input: &mut Input<'_>,
    start: u32,
    assembler: &mut Assembler,
    model: &mut Model,
    given: &mut Vec<Cell>,
) {
    let op = input.u8();
    // Mostly near the edge, where things happen.
    let distance = if op & 0x80 == 0 { i16::from(input.u8() as i8) } else { input.i16() / 8 };
    let at = model.next as i64 + i64::from(distance);
    let seq = start.wrapping_add(at as u32);
    let mut out = |piece: Piece<'_>| collect(given, piece);
    match op & 15 {
        ..10 => {
            let len = usize::from(input.u8() & 63);
            let payload = input.bytes(len);
            let snapped = if op & 0x40 == 0 { 0 } else { input.u8() & 31 };
            let got = assembler.segment(seq, payload, u32::from(snapped), &mut out);
            check_outcome(got, model.segment(at, payload, snapped), at, model.next);
        }
        10 | 11 => {
            assembler.skip_hole(&mut out);
            if model.has_hole() {
                model.skip_hole();
            }
        }
        12 | 13 => {
            assembler.acknowledged(seq, &mut out);
            model.acknowledged(at);
        }
        14 => {
            assembler.give_up(&mut out);
            model.give_up();
        }
        _ => {
            let end = at.max(0) as usize;
            assembler.give_up_until(end as u64, &mut out);
            model.give_up_until(end);
        }
    }
}

/// Repetitions are counted exactly; a conflict is never made up, and found wherever the bytes of
/// the first copy are still there.
fn check_outcome(got: Outcome, expected: Outcome, at: i64, next: usize) {
    assert_eq!(got.repeated, expected.repeated);
    assert!(!got.conflict || expected.conflict, "a conflict where the copies are the same");
    if at >= next as i64 {
        assert_eq!(got.conflict, expected.conflict);
    }
}

fn anywhere(mut input: Input<'_>) {
    let mut assembler = Assembler::default();
    let mut position = 0;
    while !input.is_empty() {
        let (op, seq) = (input.u8(), input.u32());
        let mut out = |piece: Piece<'_>| {
            position += match piece {
                Piece::Data(data) => data.len() as u64,
                Piece::Gap(bytes, _) => bytes,
            };
        };
        match op & 7 {
            0 => assembler.acknowledged(seq, &mut out),
            1 => assembler.skip_hole(&mut out),
            2 => assembler.anchor(seq),
            _ => {
                let snapped = if op & 0x80 == 0 { 0 } else { input.u32() };
                let payload = input.bytes(usize::from(op >> 3 & 15));
                assembler.segment(seq, payload, snapped, &mut out);
            }
        }
        assert_eq!(assembler.position(), position, "every byte is given out or given up once");
    }
    assembler.give_up(&mut |_| {});
    assert_eq!((assembler.waiting_bytes(), assembler.has_hole()), (0, false));
}
