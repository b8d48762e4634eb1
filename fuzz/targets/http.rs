//! Heads, bodies and the handshake: the same whole as in pieces; header values make no harm.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tracer::{
    http::{
        body::{Body, Progress},
        head::{
            Collector, Head, Headers, Kind, MAX_HEAD_LEN, NotAHead, StartLine, begins_like_http,
        },
        secrets, upgrade,
    },
    ws::extension,
};
use tracer_fuzz::input::{Input, pieces};

fuzz_target!(|input: &[u8]| {
    let mut input = Input::new(input);
    let options = input.u8();
    let kind = if options & 1 == 0 { Kind::Request } else { Kind::Response };
    let places = input;
    let cuts = input.cuts(usize::from(u16::MAX));
    let bytes = input.rest();
    let cuts: Vec<_> = cuts.into_iter().filter(|&cut| cut <= bytes.len()).collect();
    let whole = head(kind, &[bytes]);
    assert_eq!(whole, head(kind, &pieces(bytes, &cuts)), "whole, and in pieces cut at {cuts:?}");
    if let Ok(Some((head, used))) = &whole {
        body(head, &bytes[*used..], &cuts);
        handshake(head, bytes);
    }
    extensions(bytes);
    gaps(places, bytes);
});

/// The head, and how many bytes of all pieces it took.
fn head(kind: Kind, pieces: &[&[u8]]) -> Result<Option<(Head, usize)>, NotAHead> {
    let mut collector = Collector::new(kind);
    let mut before = 0;
    for piece in pieces {
        if let Some((head, used)) = collector.feed(piece)? {
            assert!(used <= piece.len());
            begins(kind, collector.bytes());
            return Ok(Some((head, before + used)));
        }
        before += piece.len();
        assert!(collector.bytes().len() < MAX_HEAD_LEN);
    }
    Ok(None)
}

/// What the first bytes tell is not taken back by more of them.
fn begins(kind: Kind, bytes: &[u8]) {
    let verdict = begins_like_http(kind, bytes);
    for len in 0..bytes.len().min(10) {
        let early = begins_like_http(kind, &bytes[..len]);
        assert!(early.is_none() || early == verdict);
    }
}

fn body(head: &Head, bytes: &[u8], cuts: &[usize]) {
    let body = match &head.start {
        StartLine::Request(..) => Body::of_request(&head.headers),
        StartLine::Response(status) => Body::of_response(false, *status, &head.headers),
    };
    let cuts: Vec<_> = cuts.iter().copied().filter(|&cut| cut <= bytes.len()).collect();
    assert_eq!(body_end(body, &[bytes]), body_end(body, &pieces(bytes, &cuts)));
}

/// Where a body ends in all pieces together; `None`: not in them.
fn body_end(mut body: Body, pieces: &[&[u8]]) -> Result<Option<usize>, ()> {
    let mut before = 0;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        match body.feed(piece) {
            Progress::More => before += piece.len(),
            Progress::Done(used) => {
                assert!(used <= piece.len() && body.is_done() || body == Body::Length(0));
                return Ok(Some(before + used));
            }
            Progress::Broken => return Err(()),
        }
    }
    Ok(None)
}

/// The head is taken for a request and for the response to it.
fn handshake(head: &Head, bytes: &[u8]) {
    let path = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
    let request = upgrade::Request::new(&path, &head.headers);
    request.check("GET", &head.headers);
    let is_upgrade = upgrade::is_upgrade(&head.headers);
    assert_eq!(is_upgrade, head.headers.has_token("upgrade", "WEBSOCKET"));
    for request in [None, Some(&request)] {
        let (agreement, _) = upgrade::agree(request, &head.headers);
        assert!(agreement.accept_valid.is_none() || request.is_some());
        check_deflate(agreement.deflate);
    }
    secrets_stay(&path, &head.headers);
}

/// No credential is shown.
fn secrets_stay(path: &str, headers: &Headers) {
    let shown = secrets::target(path);
    let query = shown.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in query.split(['&', ';']).filter_map(|pair| pair.split_once('=')) {
        assert!(name != "token" || value == secrets::MASK, "{path:?} is shown as {shown:?}");
    }
    for (name, value) in &headers.0 {
        let shown = secrets::header(name, value);
        if name.eq_ignore_ascii_case("Authorization") && !value.trim().is_empty() {
            assert!(shown.contains(secrets::MASK), "{value:?} is shown as {shown:?}");
        }
    }
}

/// Offer and answer, a line each.
fn extensions(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (offer, answer) = text.split_once('\n').unwrap_or(("", &text));
    for offer in [None, Some(offer)] {
        let negotiation = extension::negotiate(offer, answer);
        check_deflate(negotiation.deflate);
    }
    for extension in extension::parse(&text) {
        assert!(!extension.name.is_empty());
    }
}

fn check_deflate(deflate: Option<extension::Deflate>) {
    let sides = deflate.into_iter().flat_map(|deflate| [deflate.client, deflate.server]);
    for side in sides {
        assert!((8..=15).contains(&side.window_bits), "{side:?}");
    }
}

/// A body whose bytes are partly missing ends, breaks or goes on, and never panics.
fn gaps(mut places: Input<'_>, bytes: &[u8]) {
    let chunked = Headers(vec![("Transfer-Encoding".into(), "chunked".into())]);
    let mut body = match places.u8() & 3 {
        0 => Body::of_request(&chunked),
        1 => Body::Length(u64::from(places.u16())),
        2 => Body::Length(u64::MAX),
        _ => Body::UntilClose,
    };
    for piece in bytes.chunks(usize::from(places.u8()) + 1) {
        let goes_on = match places.u8() {
            0..200 => body.feed(piece) == Progress::More,
            few => body.gap(u64::from(few)),
        };
        if !goes_on {
            return;
        }
    }
}
