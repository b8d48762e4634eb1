//! Traffic made by hand for measurements: conversations come out, as pcap files in memory or as the
//! bytes of one stream. What is said is a chat's JSON: text with quotes in it, as most is.

use std::net::SocketAddr;

use flate2::{Compress, Compression, FlushCompress};

use crate::forge::{CLOSE, Forged, TEXT, frame};

/// Bytes of a large segment: what loopback carries at once.
const LARGE_SEGMENT: usize = 65_483;
const KEY: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);
/// RFC 6455 section 5.2.
const BINARY: u8 = 2;
/// RSV1 says that a message is compressed.
const COMPRESSED: u8 = 0x40 | TEXT;

/// What a person says in a chat, `len` bytes of it.
pub(crate) fn chat(n: usize, len: usize) -> Vec<u8> {
    let end = "\"}";
    let mut text =
        format!("{{\"type\":\"say\",\"to_uid\":\"all\",\"uid\":{n},\"content\":\"¡hola! ");
    while text.len() + end.len() < len {
        text.push(char::from(b'a' + (text.len() * 7 % 26) as u8));
    }
    (text + end).into_bytes()
}

/// Connections at the same time, each with so many messages of `len` bytes that are echoed.
pub(crate) fn echo(connections: u16, rounds: usize, len: usize) -> Vec<u8> {
    let talk = |n: u16| {
        let mut forged = connect(n);
        for round in 0..rounds {
            let text = chat(round, len);
            forged.client(&frame(TEXT, KEY, &text));
            forged.server(&frame(TEXT, None, &text));
        }
        forged.client(&frame(CLOSE, KEY, &[]));
        forged.server(&frame(CLOSE, None, &[]));
        forged.finish()
    };
    pcap(&(0..connections).map(talk).collect::<Vec<_>>())
}

/// One connection on which the server sends binary messages of `len` bytes.
pub(crate) fn stream(messages: usize, len: usize) -> Vec<u8> {
    let bytes: Vec<u8> =
        (0..messages).flat_map(|n| frame(BINARY, None, &vec![n as u8; len])).collect();
    let mut forged = connect(0);
    bytes.chunks(LARGE_SEGMENT).for_each(|segment| forged.server(segment));
    pcap(&[forged.finish()])
}

/// A client's messages in frames one behind the other.
pub(crate) fn frames(messages: usize, len: usize) -> Vec<u8> {
    (0..messages).flat_map(|n| frame(TEXT, KEY, &chat(n, len))).collect()
}

/// The same, compressed; each message refers to those before it.
pub(crate) fn compressed_frames(messages: usize, len: usize) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::default(), false);
    let mut message = |n: usize| {
        let mut out = Vec::with_capacity(2 * len + 64);
        deflate.compress_vec(&chat(n, len), &mut out, FlushCompress::Sync).expect("it compresses");
        // RFC 7692 section 7.2.1.
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]), "a flushed block ends so");
        out.truncate(out.len() - 4);
        frame(COMPRESSED, KEY, &out)
    };
    (0..messages).flat_map(&mut message).collect()
}

/// The packets of a handshake.
pub(crate) fn open(n: u16) -> Vec<Vec<u8>> {
    let mut packets = connect(n).finish();
    // FIN both ways, and an ACK.
    packets.truncate(packets.len() - 3);
    packets
}

/// A client's frame with a text of `len` bytes, and the same from the server.
pub(crate) fn question_and_answer(len: usize) -> [Vec<u8>; 2] {
    [KEY, None].map(|key| frame(TEXT, key, &chat(0, len)))
}

fn connect(n: u16) -> Forged {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let mut client = address("10.0.0.1:0");
    client.set_port(40_000 + n);
    Forged::new(client, address("10.0.0.2:7272"), "/chat?room=1", "Origin: http://10.0.0.2\r\n")
}

/// A pcap file with a packet of each conversation in turn.
fn pcap(conversations: &[Vec<Vec<u8>>]) -> Vec<u8> {
    // Nanoseconds, version 2.4, no snap length, Ethernet.
    let header = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, u32::MAX, 1];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    let longest = conversations.iter().map(Vec::len).max().unwrap_or_default();
    let in_turn = (0..longest).flat_map(|n| conversations.iter().filter_map(move |c| c.get(n)));
    for (n, packet) in in_turn.enumerate() {
        let micros = n as u32 * 10;
        let len = packet.len() as u32 + 14;
        let header = [1_700_000_000 + micros / 1_000_000, micros % 1_000_000 * 1000, len, len];
        file.extend(header.iter().flat_map(|word| word.to_le_bytes()));
        file.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
        file.extend(packet);
    }
    file
}
