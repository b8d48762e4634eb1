//! Byte sequences that are UTF-8 and such that only look like it, after Markus Kuhn's decoder
//! stress test. Which are legal was decided by hand, from RFC 3629.

/// Greek letters of two and three bytes, ending at 2, 5, 7, 9 and 11.
pub(crate) const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
const KOSME_ENDS: [usize; 5] = [2, 5, 7, 9, 11];

/// Sequences of one kind, each with whether it is UTF-8.
pub(crate) type Kind = Vec<(bool, Vec<u8>)>;

/// The kinds, in the order of Autobahn's groups 6.5 to 6.23.
pub(crate) fn kinds() -> Vec<Kind> {
    vec![
        valid(&VALID),
        prefixes(),
        valid(&[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
        invalid(&[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
        valid(&[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
        invalid(&[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
        [
            valid(&[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]),
            invalid(&[b"\xf4\x90\x80\x80"]),
        ]
        .concat(),
        unexpected_continuations(),
        lonely_starts(),
        invalid(&INCOMPLETE),
        invalid(&[&INCOMPLETE.concat()]),
        invalid(&[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
        invalid(&OVERLONG_ASCII),
        invalid(&OVERLONG_LONGEST),
        invalid(&OVERLONG_NUL),
        invalid(&SURROGATES),
        surrogate_pairs(),
        noncharacters(),
        valid(&SPECIALS),
    ]
}

fn valid(sequences: &[&[u8]]) -> Kind {
    sequences.iter().map(|bytes| (true, bytes.to_vec())).collect()
}

fn invalid(sequences: &[&[u8]]) -> Kind {
    sequences.iter().map(|bytes| (false, bytes.to_vec())).collect()
}

/// Characters of one to four bytes inside ASCII.
const VALID: [&[u8]; 5] = [
    b"hello\x24world",
    b"hello\xc2\xa2world",
    b"hello\xe2\x82\xacworld",
    b"hello\xf0\xa4\xad\xa2world",
    KOSME,
];

fn prefixes() -> Kind {
    (1..=KOSME.len()).map(|len| (KOSME_ENDS.contains(&len), KOSME[..len].to_vec())).collect()
}

/// Bytes that go on with a character which has not begun: one to six, and 63 different ones.
fn unexpected_continuations() -> Kind {
    let alternating = b"\x80\xbf\x80\xbf\x80\xbf";
    let mut sequences = invalid(&[b"\x80", b"\xbf"]);
    sequences.extend((2..=6).map(|len| (false, alternating[..len].to_vec())));
    sequences.push((false, (0x80..0xbf).collect()));
    sequences
}

/// First bytes of characters of two to six bytes, a space behind each.
fn lonely_starts() -> Kind {
    let starts = [0xc0..0xdf, 0xe0..0xef, 0xf0..0xf7, 0xf8..0xfb, 0xfc..0xfd];
    starts.map(|starts| (false, starts.flat_map(|start| [start, b' ']).collect())).to_vec()
}

/// Characters of two to six bytes without their last one, the lowest and the highest.
const INCOMPLETE: [&[u8]; 10] = [
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
];

/// A slash in two to six bytes.
const OVERLONG_ASCII: [&[u8]; 5] = [
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
];

/// The highest code points that would have needed one byte less.
const OVERLONG_LONGEST: [&[u8]; 5] = [
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x87\xbf\xbf\xbf",
    b"\xfc\x83\xbf\xbf\xbf\xbf",
];

/// NUL in two to six bytes.
const OVERLONG_NUL: [&[u8]; 5] = [
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xf8\x80\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80\x80",
];

/// Halves of UTF-16 pairs: high ones first.
const SURROGATES: [&[u8]; 7] = [
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
];

fn surrogate_pairs() -> Kind {
    let low = [SURROGATES[4], SURROGATES[6]];
    let pairs = SURROGATES[..4].iter().flat_map(|high| low.map(|low| [high, low].concat()));
    pairs.map(|pair| (false, pair)).collect()
}

/// The last two code points of each plane: not characters, but legal.
fn noncharacters() -> Kind {
    let last = (0..=16_u32).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]);
    let encode = |code| char::from_u32(code).expect("not a surrogate").to_string().into_bytes();
    last.map(|code| (true, encode(code))).collect()
}

/// U+FFF9 to U+FFFF, the replacement character among them.
const SPECIALS: [&[u8]; 7] = [
    b"\xef\xbf\xb9",
    b"\xef\xbf\xba",
    b"\xef\xbf\xbb",
    b"\xef\xbf\xbc",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
];
