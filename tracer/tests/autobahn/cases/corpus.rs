//! What is compressed: data of five kinds, which compress well, badly, and not at all. Made here,
//! the same every time.

use std::fmt::Write as _;

/// Bytes, or characters of a text, of each kind.
const SIZE: usize = 160 << 10;

/// Data of one kind.
#[derive(Clone)]
pub(crate) enum Corpus {
    /// For text messages; lengths are counted in characters.
    Text(Vec<char>),
    /// For binary messages.
    Binary(Vec<u8>),
}

/// The kinds, in the order of Autobahn's groups 12.1 to 12.5.
pub(crate) fn all() -> [Corpus; 5] {
    [json(), picture(), prose(), html(), document()]
}

/// Marsaglia's xorshift with 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn word(&mut self) -> &'static str {
        const WORDS: [&str; 24] = [
            "señal",
            "猪",
            "login",
            "canal",
            "mensaje",
            "übrig",
            "and",
            "the",
            "of",
            "réponse",
            "👩‍👩‍👧‍👦",
            "number",
            "river",
            "glass",
            "quiet",
            "letter",
            "seven",
            "Straße",
            "a",
            "in",
            "to",
            "winter",
            "copper",
            "answer",
        ];
        WORDS[self.below(WORDS.len())]
    }
}

/// Repeats `piece` until there is enough.
fn grow(seed: u64, mut piece: impl FnMut(&mut Random, &mut String)) -> String {
    let mut random = Random(seed);
    let mut text = String::new();
    while text.chars().count() < SIZE {
        // Counting is slow, so it is done now and then only.
        (0..100).for_each(|_| piece(&mut random, &mut text));
    }
    text
}

/// Records with the same keys, over and over.
pub(crate) fn json() -> Corpus {
    let text = grow(11, |random, text| {
        let (id, name, message) = (random.below(1 << 30), random.word(), random.word());
        write!(text, r#"{{"type":"say","uid":{id},"name":"{name}","content":"{message}"}},"#)
            .expect("a string takes everything");
    });
    Corpus::Text(text.chars().collect())
}

/// A smooth gradient with some noise.
fn picture() -> Corpus {
    let mut random = Random(12);
    let pixel = |i: usize| (i % 512 / 4 + i / 512 / 3) as u8;
    Corpus::Binary((0..SIZE).map(|i| pixel(i).wrapping_add(random.below(5) as u8)).collect())
}

/// Words with nothing between them but spaces and line ends.
fn prose() -> Corpus {
    let text = grow(13, |random, text| {
        text.push_str(random.word());
        text.push(if random.below(9) == 0 { '\n' } else { ' ' });
    });
    Corpus::Binary(text.into_bytes())
}

/// Tags around words.
fn html() -> Corpus {
    let text = grow(14, |random, text| {
        let (class, word) = (random.below(20), random.word());
        writeln!(text, "<p class=\"c{class}\">{word}</p>").expect("a string takes everything");
    });
    Corpus::Text(text.chars().collect())
}

/// Streams that are compressed already, with readable heads between them.
fn document() -> Corpus {
    let mut random = Random(15);
    let mut bytes = Vec::new();
    while bytes.len() < SIZE {
        bytes.extend(b"\nendstream\nendobj\n<< /Filter /FlateDecode >>\nstream\n");
        bytes.extend((0..250).flat_map(|_| random.next().to_le_bytes()));
    }
    Corpus::Binary(bytes)
}

impl Corpus {
    /// The `n`th piece of `len` bytes or characters, after the one before; around the end it goes
    /// on with the beginning.
    pub(crate) fn piece(&self, n: usize, len: usize) -> Vec<u8> {
        match self {
            Self::Text(chars) => {
                chars.iter().cycle().skip(n * len).take(len).collect::<String>().into_bytes()
            }
            Self::Binary(bytes) => bytes.iter().copied().cycle().skip(n * len).take(len).collect(),
        }
    }
}
