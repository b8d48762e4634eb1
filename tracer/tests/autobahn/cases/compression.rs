//! Families 12 and 13: permessage-deflate over data of five kinds, and with seven sets of
//! parameters, each in 18 combinations of message length and fragment length. All of Autobahn's
//! grid is here, with 2 to 20 messages a connection instead of 1000.

use super::{
    Case, Chops,
    corpus::{self, Corpus},
    deflater::Deflater,
};
use crate::{
    frame::{Frame, binary, fragments, text},
    observed::Item,
};

/// Message length, and length of the client's fragments; 0 is one frame.
const SIZES: [(usize, usize); 18] = [
    (16, 0),
    (64, 0),
    (256, 0),
    (1024, 0),
    (4096, 0),
    (8192, 0),
    (16_384, 0),
    (32_768, 0),
    (65_536, 0),
    (131_072, 0),
    (8192, 256),
    (16_384, 256),
    (32_768, 256),
    (65_536, 256),
    (131_072, 256),
    (131_072, 1024),
    (131_072, 4096),
    (131_072, 32_768),
];

/// Each side's parameters, and how they were agreed on.
#[derive(Clone, Copy)]
struct Parameters {
    takes_context_over: bool,
    window_bits: u8,
    offer: &'static str,
    answer: &'static str,
}

/// What the client can do, in its offer.
macro_rules! offer {
    ($parameters:literal) => {
        concat!(
            "permessage-deflate; client_no_context_takeover; client_max_window_bits",
            $parameters
        )
    };
}

const PARAMETERS: [Parameters; 7] = [
    Parameters {
        takes_context_over: true,
        window_bits: 15,
        offer: offer!(""),
        answer: "permessage-deflate",
    },
    Parameters {
        takes_context_over: false,
        window_bits: 15,
        offer: offer!("; server_no_context_takeover"),
        answer: "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    },
    Parameters {
        takes_context_over: true,
        window_bits: 9,
        offer: offer!("; server_max_window_bits=9"),
        answer: "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
    },
    Parameters {
        takes_context_over: true,
        window_bits: 15,
        offer: offer!("; server_max_window_bits=15"),
        answer: "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
    },
    Parameters {
        takes_context_over: false,
        window_bits: 9,
        offer: offer!("; server_no_context_takeover; server_max_window_bits=9"),
        answer: ALL_OF_9,
    },
    Parameters {
        takes_context_over: false,
        window_bits: 15,
        offer: offer!("; server_no_context_takeover; server_max_window_bits=15"),
        answer: "permessage-deflate; server_no_context_takeover; server_max_window_bits=15; \
                 client_no_context_takeover; client_max_window_bits=15",
    },
    // Three offers, of which the server takes the first.
    Parameters {
        takes_context_over: false,
        window_bits: 9,
        offer: concat!(
            offer!("; server_no_context_takeover; server_max_window_bits=9"),
            ", ",
            offer!("; server_no_context_takeover"),
            ", ",
            offer!("")
        ),
        answer: ALL_OF_9,
    },
];

const ALL_OF_9: &str = "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; \
                        client_no_context_takeover; client_max_window_bits=9";

/// Family 12: five kinds of data.
pub(crate) fn payloads() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, corpus) in (1..).zip(corpus::all()) {
        for (n, size) in (1..).zip(SIZES) {
            cases.push(exchange(format!("12.{group}.{n}"), PARAMETERS[0], &corpus, size));
        }
    }
    cases
}

/// Family 13: seven sets of parameters.
pub(crate) fn parameters() -> Vec<Case> {
    let corpus = corpus::json();
    let mut cases = Vec::new();
    for (group, parameters) in (1..).zip(PARAMETERS) {
        for (n, size) in (1..).zip(SIZES) {
            cases.push(exchange(format!("13.{group}.{n}"), parameters, &corpus, size));
        }
    }
    cases
}

/// Messages and their echoes, one after the other.
fn exchange(
    id: String,
    parameters: Parameters,
    corpus: &Corpus,
    (len, fragment): (usize, usize),
) -> Case {
    let Parameters { takes_context_over, window_bits, offer, answer } = parameters;
    let new = || Deflater::new(takes_context_over, window_bits);
    let (mut client, mut server) = (new(), new());
    let mut case = Case::compressed(id, offer, answer);
    for n in 0..(65_536 / len).clamp(2, 20) {
        let plain = corpus.piece(n, len);
        let (item, asked) = compressed(corpus, &plain, &mut client);
        let (_, echoed) = compressed(corpus, &plain, &mut server);
        let asked = if fragment == 0 { vec![asked] } else { fragments(&asked, fragment) };
        case = case.plays(Chops::Together, &asked).saying([item.clone()]);
        case = case.answered_raw(&[echoed]).answering([item]);
    }
    case.closed()
}

/// What is to be shown of a message, and its frame.
fn compressed(corpus: &Corpus, plain: &[u8], deflater: &mut Deflater) -> (Item, Frame) {
    let payload = deflater.message(plain);
    match corpus {
        Corpus::Text(_) => (Item::new("text", plain), text(payload).rsv(4)),
        Corpus::Binary(_) => (Item::new("binary", plain), binary(payload).rsv(4)),
    }
}
