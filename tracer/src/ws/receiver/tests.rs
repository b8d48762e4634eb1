use super::*;
use crate::{
    test_random::Random,
    ws::{
        message::Payload,
        test_frames::{masked, plain},
    },
};

/// A receiver, and what it found, in words.
struct Run {
    receiver: Receiver,
    limit: usize,
    inflaters: Inflaters,
    scratch: Vec<u8>,
    found: Vec<String>,
    rules: Vec<Rule>,
}

impl Run {
    fn new(sender: Sender, compression: Compression) -> Self {
        Self {
            receiver: Receiver::new(sender, compression, 0),
            limit: usize::MAX,
            inflaters: Inflaters::new(4),
            scratch: Vec::new(),
            found: Vec::new(),
            rules: Vec::new(),
        }
    }

    fn client() -> Self {
        Self::new(Sender::Client, Compression::None)
    }

    fn server() -> Self {
        Self::new(Sender::Server, Compression::None)
    }

    fn with<R>(&mut self, run: impl FnOnce(&mut Receiver, &mut Context<'_>) -> R) -> R {
        let Self { receiver, limit, inflaters, scratch, found, rules } = self;
        let mut out = |item: Item<'_>| match item {
            Item::Frame(..) => {}
            Item::Violation(rule, _) => rules.push(rule),
            Item::Message(message) => found.push(describe(message)),
            Item::Control(opcode, payload, len) => {
                found.push(format!(
                    "{} {len} {:?}",
                    opcode.name(),
                    String::from_utf8_lossy(payload)
                ));
            }
        };
        run(receiver, &mut Context { payload_limit: *limit, inflaters, scratch, out: &mut out })
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Desync> {
        self.with(|receiver, ctx| receiver.data(bytes, ctx))
    }

    fn gap(&mut self, bytes: u64) -> Result<(), Desync> {
        self.with(|receiver, ctx| receiver.gap(bytes, ctx))
    }
}

fn describe(message: &Message<'_>) -> String {
    let payload = match message.payload {
        Payload::Text(text) => format!("{text:?}"),
        Payload::Data(data) => format!("{data:02x?}"),
        Payload::Undecoded(why) => why.name().to_owned(),
    };
    let len = message.len.map_or("?".to_owned(), |len| len.to_string());
    let truncated = if message.is_truncated() { " truncated" } else { "" };
    format!("{:?} {len} {payload} {}f{truncated}", message.opcode, message.frames)
}

fn found(mut run: Run, bytes: &[u8]) -> Vec<String> {
    run.data(bytes).unwrap();
    assert_eq!(run.rules, [], "no rule is broken");
    run.found
}

/// The rules that a client breaks with these bytes.
fn client_rules(bytes: &[u8]) -> Vec<Rule> {
    let mut run = Run::client();
    run.data(bytes).unwrap();
    run.rules
}

#[test]
fn the_examples_of_rfc_6455_section_5_7() {
    let masked_hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(found(Run::client(), masked_hello), ["text 5 \"Hello\" 1f"]);
    assert_eq!(found(Run::server(), b"\x01\x03Hel\x80\x02lo"), ["text 5 \"Hello\" 2f"]);
    assert_eq!(found(Run::server(), b"\x89\x05Hello"), ["ping 5 \"Hello\""]);
}

#[test]
fn control_frames_stand_between_fragments() {
    let bytes = [
        masked(0x01, "ca\u{f1}".as_bytes()[..3].as_ref()),
        masked(0x89, b"?"),
        masked(0x00, b""),
        masked(0x8a, b""),
        masked(0x80, &"\u{f1}a".as_bytes()[1..]),
    ]
    .concat();
    let expected = ["ping 1 \"?\"", "pong 0 \"\"", "text 5 \"ca\u{f1}a\" 3f"];
    assert_eq!(found(Run::client(), &bytes), expected);
}

#[test]
fn empty_messages_are_messages() {
    let bytes = [masked(0x81, b""), masked(0x02, b""), masked(0x80, b"")].concat();
    assert_eq!(found(Run::client(), &bytes), ["text 0 \"\" 1f", "binary 0 [] 2f"]);
}

#[test]
fn a_close_frame_with_code_and_reason() {
    assert_eq!(found(Run::server(), b"\x88\x05\x03\xe8bye"), ["close 5 \"\\u{3}\u{fffd}bye\""]);
    assert_eq!(found(Run::server(), b"\x88\x00"), ["close 0 \"\""]);
}

#[test]
fn payloads_are_shown_up_to_the_limit_and_checked_beyond() {
    let mut run = Run::client();
    run.limit = 4;
    run.data(&masked(0x81, "abc\u{f1}".as_bytes())).unwrap();
    run.data(&masked(0x82, b"abcdef")).unwrap();
    run.data(&masked(0x81, b"abcdef\xff")).unwrap();
    let expected = [
        "text 5 \"abc\" 1f truncated",
        "binary 6 [61, 62, 63, 64] 1f truncated",
        "text 7 [61, 62, 63, 64] 1f truncated",
    ];
    assert_eq!(run.found, expected);
    assert_eq!(run.rules, [Rule::InvalidUtf8]);
}

#[test]
fn each_rule_about_frames_has_its_name() {
    let cases: [(&[u8], Rule); 12] = [
        (&plain(0x81, b"a"), Rule::MaskMissing),
        (&masked(0xc1, b"a"), Rule::ReservedBits),
        (&masked(0x91, b"a"), Rule::ReservedBits),
        (&masked(0x83, b"a"), Rule::ReservedOpcode),
        (&masked(0x8b, b"a"), Rule::ReservedOpcode),
        (b"\x82\xfe\x00\x01abcd\x00", Rule::LengthForm),
        (&masked(0x09, b"a"), Rule::ControlFragmented),
        (&masked(0x89, &[0; 126]), Rule::ControlTooLong),
        (&masked(0x80, b"a"), Rule::ContinuationUnexpected),
        (&[masked(0x01, b"a"), masked(0x81, b"b")].concat(), Rule::ContinuationMissing),
        (&masked(0x81, b"\xc3\x28"), Rule::InvalidUtf8),
        (&masked(0x88, b"\x03"), Rule::CloseLength),
    ];
    for (bytes, rule) in cases {
        assert_eq!(client_rules(bytes), [rule], "{bytes:02x?}");
    }
    assert_eq!(client_rules(&masked(0x88, &1005u16.to_be_bytes())), [Rule::CloseCode]);
    assert_eq!(client_rules(&masked(0x88, b"\x03\xe8\xff")), [Rule::InvalidUtf8]);
    let after = [masked(0x88, b""), masked(0x81, b"a")].concat();
    assert_eq!(client_rules(&after), [Rule::AfterClose]);
    let mut server = Run::server();
    server.data(&masked(0x81, b"a")).unwrap();
    assert_eq!(server.rules, [Rule::MaskUnexpected]);
}

#[test]
fn a_length_of_2_to_the_63_takes_no_memory() {
    let mut run = Run::client();
    run.data(b"\x82\xff\x80\0\0\0\0\0\0\0abcd").unwrap();
    assert_eq!(run.rules, [Rule::LengthTooLarge]);
    run.limit = 4096;
    for _ in 0..1000 {
        run.data(&[0; 1000]).unwrap();
    }
    assert!(run.found.is_empty());
    assert!(run.receiver.memory() <= 2 * 4096);
}

#[test]
fn decoding_goes_on_after_a_broken_rule() {
    let mut run = Run::client();
    run.data(&[masked(0x01, b"lost"), masked(0x83, b"?"), masked(0x81, b"kept")].concat()).unwrap();
    assert_eq!(run.found, ["text 4 \"lost\" 1f truncated", "text 4 \"kept\" 1f"]);
    assert_eq!(run.rules, [Rule::ReservedOpcode, Rule::ContinuationMissing]);
}

const DEFLATE: Compression =
    Compression::Deflate(Side { no_context_takeover: false, window_bits: 15 });
const HELLO: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
const HELLO_AGAIN: &[u8] = b"\xf2\x00\x11\x00\x00";

#[test]
fn compressed_messages_are_inflated() {
    let bytes = [
        masked(0x41, &HELLO[..3]),
        masked(0x80, &HELLO[3..]),
        masked(0x81, b"plain"),
        masked(0xc1, HELLO_AGAIN),
    ]
    .concat();
    let expected = ["text 5 \"Hello\" 2f", "text 5 \"plain\" 1f", "text 5 \"Hello\" 1f"];
    assert_eq!(found(Run::new(Sender::Client, DEFLATE), &bytes), expected);
}

#[test]
fn compression_rules() {
    let rules = |bytes: &[u8]| {
        let mut run = Run::new(Sender::Client, DEFLATE);
        run.data(bytes).unwrap();
        (run.rules, run.found)
    };
    assert_eq!(rules(&masked(0xc9, b"")).0, [Rule::CompressedBit]);
    let continued = [masked(0x41, &HELLO[..3]), masked(0xc0, &HELLO[3..])].concat();
    assert_eq!(rules(&continued).0, [Rule::CompressedBit]);
    let (broken, found) = rules(&masked(0xc1, b"\xff\xff\xff"));
    assert_eq!((broken, found), (vec![Rule::DeflateData], vec!["text ? corrupt 1f".to_owned()]));
}

#[test]
fn a_compressed_stream_joined_late_says_what_it_cannot_inflate_and_recovers() {
    let mut run = Run::new(Sender::Client, Compression::Unknown);
    for payload in [HELLO_AGAIN, HELLO, HELLO_AGAIN] {
        run.data(&masked(0xc1, payload)).unwrap();
    }
    let expected = ["text ? context-lost 1f", "text 5 \"Hello\" 1f", "text 5 \"Hello\" 1f"];
    assert_eq!(run.found, expected);
    assert_eq!(run.rules, []);
}

#[test]
fn another_machine_goes_on_where_the_last_one_was() {
    for between in [0, 1] {
        let mut run = Run::new(Sender::Client, DEFLATE);
        run.inflaters = Inflaters::new(1);
        run.data(&masked(0xc1, HELLO)).unwrap();
        for _ in 0..between {
            run.inflaters.take().unwrap();
        }
        run.data(&masked(0xc1, HELLO_AGAIN)).unwrap();
        assert_eq!(run.found, ["text 5 \"Hello\" 1f"; 2], "{between} in between");
    }
}

#[test]
fn a_message_that_is_not_shown_is_inflated_all_the_same() {
    let mut run = Run::new(Sender::Client, DEFLATE);
    run.limit = 0;
    run.data(&masked(0xc1, HELLO)).unwrap();
    run.limit = 100;
    run.data(&masked(0xc1, HELLO_AGAIN)).unwrap();
    assert_eq!(run.found, ["text 5 \"\" 1f truncated", "text 5 \"Hello\" 1f"]);
}

#[test]
fn a_message_whose_machine_went_to_another_says_so() {
    let mut run = Run::new(Sender::Client, DEFLATE);
    run.inflaters = Inflaters::new(1);
    let hello = masked(0xc1, HELLO);
    run.data(&hello[..8]).unwrap();
    run.inflaters.take().unwrap();
    run.data(&hello[8..]).unwrap();
    run.data(&masked(0xc1, HELLO_AGAIN)).unwrap();
    run.data(&hello).unwrap();
    let expected = ["text ? limit 1f", "text ? context-lost 1f", "text 5 \"Hello\" 1f"];
    assert_eq!(run.found, expected);
}

#[test]
fn inflate_machines_are_bounded_and_given_back() {
    let mut run = Run::new(Sender::Client, DEFLATE);
    run.inflaters = Inflaters::new(0);
    run.data(&masked(0xc1, HELLO)).unwrap();
    assert_eq!(run.found, ["text ? limit 1f"]);
    run.inflaters = Inflaters::new(1);
    for _ in 0..3 {
        run.data(&masked(0xc1, HELLO)).unwrap();
    }
    assert_eq!(run.found[3], "text 5 \"Hello\" 1f");
}

#[test]
fn a_gap_inside_a_payload_keeps_the_framing() {
    let mut run = Run::client();
    let bytes = [masked(0x81, b"0123456789"), masked(0x81, b"next")].concat();
    run.data(&bytes[..6 + 4]).unwrap();
    run.gap(3).unwrap();
    run.data(&bytes[6 + 7..]).unwrap();
    assert_eq!(run.found, ["text 10 \"0123\" 1f truncated", "text 4 \"next\" 1f"]);
    assert_eq!(run.rules, []);
}

#[test]
fn a_gap_to_the_end_of_a_payload_keeps_the_framing() {
    let mut run = Run::client();
    run.data(&masked(0x81, b"0123456789")[..10]).unwrap();
    run.gap(6).unwrap();
    run.data(&masked(0x81, b"next")).unwrap();
    assert_eq!(run.found, ["text 10 \"0123\" 1f truncated", "text 4 \"next\" 1f"]);
}

#[test]
fn a_gap_over_a_border_loses_the_framing_and_tells_what_is_known() {
    let mut run = Run::client();
    run.data(&masked(0x81, b"0123456789")[..10]).unwrap();
    assert_eq!(run.gap(7), Err(Desync { used: 0 }));
    assert_eq!(run.found, ["text 10 \"0123\" 1f truncated"]);
    run.receiver.resume(1000);
    run.data(&masked(0x80, b"tail")).unwrap();
    run.data(&masked(0x81, b"whole")).unwrap();
    assert_eq!(run.found[1..], ["continuation 4 midstream 1f truncated", "text 5 \"whole\" 1f"]);
    assert_eq!(run.rules, []);
}

#[test]
fn a_wrong_lock_is_noticed() {
    let mut run = Run::client();
    run.receiver.resume(0);
    let bytes = [masked(0x81, b"ok"), plain(0x81, b"no client frame")].concat();
    assert_eq!(run.data(&bytes), Err(Desync { used: 8 }));
    assert_eq!(run.rules, []);
}

/// A random stream of a client's frames, most of them legal.
fn random_frames(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(8) + 1 {
        let first = match random.below(10) {
            0 => random.next() as u8,
            n => [0x81, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a, 0xc1, 0x88][n as usize - 1],
        };
        let len = random.below(300) as usize;
        let payload = match random.below(3) {
            0 => random.bytes(len),
            1 => HELLO.to_vec(),
            _ => "é猪👩 ok ".repeat(len / 16 + 1).into_bytes(),
        };
        bytes.extend(masked(first, &payload));
    }
    bytes
}

#[test]
fn fed_whole_or_in_any_pieces_the_same_is_found() {
    let mut random = Random::new(7);
    for _ in 0..400 {
        let bytes = random_frames(&mut random);
        let mut whole = Run::new(Sender::Client, DEFLATE);
        whole.limit = 100;
        whole.data(&bytes).unwrap();
        let mut pieces = Run::new(Sender::Client, DEFLATE);
        pieces.limit = 100;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let len = (random.below(40) as usize + 1).min(rest.len());
            pieces.data(&rest[..len]).unwrap();
            rest = &rest[len..];
        }
        assert_eq!(whole.found, pieces.found);
        assert_eq!(whole.rules, pieces.rules);
    }
}
