//! What the clients and the server of a load say: frames, made once, sent many times.

use anyhow::{Result, ensure};
use flate2::{Compress, Compression, FlushCompress};

use super::{
    Kind, Load,
    wire::{BINARY, TEXT, first_byte, masked, push_unmasked},
};

/// Distinct messages of 100 bytes.
const PLAIN: usize = 16;
/// Distinct compressed ones: more than fill a window.
const COMPRESSED: usize = 256;
const LENGTH: usize = 100;

/// What a sync flush ends with, and a message does not (RFC 7692 section 7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// A message as it goes over the wire.
pub(super) struct Message {
    pub(super) frame: Vec<u8>,
    /// Bytes of its payload.
    pub(super) length: u64,
}

impl Message {
    fn masked(payload: &[u8], compressed: bool) -> Self {
        let frame = masked(first_byte(TEXT, compressed), payload);
        Self { frame, length: payload.len() as u64 }
    }
}

/// What a client says, one after the other, and then again from the start.
pub(super) fn spoken(load: &Load) -> Result<Vec<Message>> {
    Ok(match load.kind {
        Kind::Echo { compressed: true } => compressed()?,
        Kind::Echo { compressed: false } | Kind::FanOut(_) => {
            (0..PLAIN).map(|n| Message::masked(said(n).as_bytes(), false)).collect()
        }
        Kind::Stream(_) | Kind::Probe(_) => vec![Message::masked(b"start", false)],
    })
}

/// A binary message as the server streams it.
pub(super) fn streamed(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        // A linear congruential generator: bytes that look like anything.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let payload: Vec<u8> = noise.take(length).collect();
    let mut frame = Vec::new();
    push_unmasked(&mut frame, first_byte(BINARY, false), &payload);
    frame
}

fn said(n: usize) -> String {
    let text = format!(r#"{{"type":"say","from":"user{n:02}","content":"hi, all! message {n}","#);
    let end = r#""room":"lobby"}"#;
    let filler = LENGTH - text.len() - end.len();
    format!("{text}{:filler$}{end}", "")
}

/// Each message refers to the ones before it. The first refers to none, so that the whole may be
/// said again in the same context; and whoever sends it back as it is has compressed it as well.
fn compressed() -> Result<Vec<Message>> {
    let mut compress = Compress::new(Compression::default(), false);
    let message = |n| {
        let text = chat(n);
        let mut payload = Vec::with_capacity(text.len() + 64);
        compress.compress_vec(text.as_bytes(), &mut payload, FlushCompress::Sync)?;
        ensure!(payload.ends_with(&FLUSHED), "a message was not compressed in one go");
        payload.truncate(payload.len() - FLUSHED.len());
        Ok(Message::masked(&payload, true))
    };
    (0..COMPRESSED).map(message).collect()
}

/// People say similar things, at different length.
fn chat(n: usize) -> String {
    const WORDS: [&str; 12] = [
        "hello",
        "again",
        "the build",
        "is green",
        "who",
        "has seen",
        "my keys",
        "lunch?",
        "yes",
        "not yet",
        "look at",
        "the logs",
    ];
    let words: Vec<_> = (0..4 + n % 20).map(|word| WORDS[(n * 7 + word * 5) % 12]).collect();
    let user = n * 31 % 64;
    let words = words.join(" ");
    format!(
        r#"{{"type":"say","id":{n},"from":"user{user:02}","room":"lobby","content":"{words}"}}"#
    )
}

#[cfg(test)]
mod tests {
    use flate2::{Decompress, FlushDecompress};

    use super::{super::wire::Reader, *};

    #[test]
    fn plain_messages_have_100_bytes() {
        for n in 0..PLAIN {
            assert_eq!(said(n).len(), LENGTH);
            serde_json::from_str::<serde_json::Value>(&said(n)).expect("JSON");
        }
    }

    #[test]
    fn compressed_messages_inflate_twice_over_in_one_context() {
        let messages = compressed().expect("a compressor");
        let mut inflate = Decompress::new(false);
        for n in 0..2 * COMPRESSED {
            let mut frame = messages[n % COMPRESSED].frame.clone();
            let mut text = Vec::with_capacity(4096);
            Reader::default().read(&mut frame, |first, payload| {
                assert_eq!(first, 0xc1);
                let whole = [payload, &FLUSHED].concat();
                inflate.decompress_vec(&whole, &mut text, FlushDecompress::Sync).expect("valid");
            });
            assert_eq!(String::from_utf8(text).expect("UTF-8"), chat(n % COMPRESSED));
        }
    }
}
