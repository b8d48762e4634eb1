//! The opening handshake (RFC 6455 section 4): what request and response agree on, and which rules
//! they break.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::head::Headers;
use crate::ws::{
    extension::{self, Deflate},
    rule::Rule,
};

/// RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Broken rules, each with what was found.
pub type Violations = Vec<(Rule, String)>;

/// What matters of an upgrade request once the response comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The request target.
    pub path: String,
    /// The `Host` header.
    pub host: Option<String>,
    key: Option<String>,
    subprotocols: Option<String>,
    extensions: Option<String>,
}

/// What the two agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Whether the response's accept value answers the key; `None` for a request without key, or
    /// not seen.
    pub accept_valid: Option<bool>,
    /// The subprotocol chosen.
    pub subprotocol: Option<String>,
    /// The extensions chosen.
    pub extensions: Option<String>,
    /// permessage-deflate, where it was agreed on.
    pub deflate: Option<Deflate>,
}

/// Whether a head asks for, or confirms, an upgrade to WebSocket.
pub fn is_upgrade(headers: &Headers) -> bool {
    headers.has_token("Upgrade", "websocket")
}

/// The `Sec-WebSocket-Accept` that answers a key.
pub fn accept_for(key: &str) -> String {
    let digest = sha1_smol::Sha1::from([key, GUID].concat()).digest().bytes();
    STANDARD.encode(digest)
}

impl Request {
    /// Reads an upgrade request.
    pub fn new(path: &str, headers: &Headers) -> Self {
        Self {
            path: path.to_owned(),
            host: headers.first("Host").map(str::to_owned),
            key: headers.first("Sec-WebSocket-Key").map(|key| key.trim().to_owned()),
            subprotocols: headers.joined("Sec-WebSocket-Protocol"),
            extensions: headers.joined("Sec-WebSocket-Extensions"),
        }
    }

    /// Bytes of text that it holds.
    pub fn memory(&self) -> usize {
        let optional = [&self.host, &self.key, &self.subprotocols, &self.extensions];
        self.path.len() + optional.into_iter().flatten().map(String::len).sum::<usize>()
    }

    /// The rules that it breaks (RFC 6455 section 4.1).
    pub fn check(&self, method: &str, headers: &Headers) -> Violations {
        let mut broken = Violations::new();
        if method != "GET" {
            broken.push((Rule::HandshakeMethod, format!("the method is {method}")));
        }
        if !headers.has_token("Connection", "Upgrade") {
            broken
                .push((Rule::HandshakeHeader, "the request has no Connection: Upgrade".to_owned()));
        }
        if self.host.is_none() {
            broken.push((Rule::HandshakeHeader, "the request has no Host".to_owned()));
        }
        match headers.first("Sec-WebSocket-Version").map(str::trim) {
            Some("13") => {}
            Some(other) => broken.push((Rule::HandshakeVersion, format!("version {other}"))),
            None => broken.push((Rule::HandshakeVersion, "no version".to_owned())),
        }
        let key = self.key.as_deref().map(|key| STANDARD.decode(key));
        let found = match key {
            Some(Ok(key)) if key.len() == 16 => None,
            Some(_) => Some("the key is not 16 bytes in base64"),
            None => Some("no key"),
        };
        broken.extend(found.map(|found| (Rule::HandshakeKey, found.to_owned())));
        broken
    }
}

/// Reads a response with status 101; `request` is `None` where that was not seen.
pub fn agree(request: Option<&Request>, headers: &Headers) -> (Agreement, Violations) {
    let mut broken = Violations::new();
    for (name, token) in [("Upgrade", "websocket"), ("Connection", "Upgrade")] {
        if !headers.has_token(name, token) {
            broken.push((Rule::HandshakeHeader, format!("the response has no {name}: {token}")));
        }
    }
    let accept_valid = check_accept(request, headers, &mut broken);
    let subprotocol = headers.first("Sec-WebSocket-Protocol").map(|name| name.trim().to_owned());
    if let (Some(request), Some(chosen)) = (request, &subprotocol) {
        check_subprotocol(request, chosen, &mut broken);
    }
    let extensions = headers.joined("Sec-WebSocket-Extensions");
    let negotiation = extensions.as_deref().map_or_else(Default::default, |answer| {
        let offer = request.map(|request| request.extensions.as_deref().unwrap_or_default());
        extension::negotiate(offer, answer)
    });
    broken.extend(negotiation.violations);
    (Agreement { accept_valid, subprotocol, extensions, deflate: negotiation.deflate }, broken)
}

fn check_accept(
    request: Option<&Request>,
    headers: &Headers,
    broken: &mut Violations,
) -> Option<bool> {
    let key = request?.key.as_deref()?;
    let accept = headers.first("Sec-WebSocket-Accept").map(str::trim);
    let expected = accept_for(key);
    let valid = accept == Some(expected.as_str());
    if !valid {
        let found = accept.unwrap_or("nothing");
        broken.push((Rule::HandshakeAccept, format!("{found} instead of {expected}")));
    }
    Some(valid)
}

fn check_subprotocol(request: &Request, chosen: &str, broken: &mut Violations) {
    let offered = request.subprotocols.as_deref().unwrap_or_default();
    if !offered.split(',').any(|offer| offer.trim() == chosen) {
        let detail = format!("the server chose {chosen}, which was not offered");
        broken.push((Rule::HandshakeSubprotocol, detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    const ACCEPT: (&str, &str) = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const GOOD: [(&str, &str); 5] = [
        ("Host", "example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        KEY,
    ];

    fn headers(lines: &[(&str, &str)]) -> Headers {
        Headers(lines.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    fn request_rules(method: &str, lines: &[(&str, &str)]) -> Vec<Rule> {
        let headers = headers(lines);
        Request::new("/", &headers)
            .check(method, &headers)
            .into_iter()
            .map(|(rule, _)| rule)
            .collect()
    }

    fn response(request: &[(&str, &str)], lines: &[(&str, &str)]) -> (Agreement, Vec<Rule>) {
        let request = Request::new("/", &headers(request));
        let lines = [&[("connection", "upgrade"), ("UPGRADE", "WebSocket")], lines].concat();
        let (agreement, broken) = agree(Some(&request), &headers(&lines));
        (agreement, broken.into_iter().map(|(rule, _)| rule).collect())
    }

    #[test]
    fn the_vector_of_rfc_6455_section_1_3() {
        assert_eq!(accept_for(KEY.1), ACCEPT.1);
    }

    #[test]
    fn a_good_request_breaks_nothing() {
        assert_eq!(request_rules("GET", &GOOD), []);
    }

    #[test]
    fn each_rule_of_the_request() {
        let without = |name: &str| -> Vec<_> {
            GOOD.iter().copied().filter(|(other, _)| *other != name).collect()
        };
        assert_eq!(request_rules("POST", &GOOD), [Rule::HandshakeMethod]);
        assert_eq!(request_rules("GET", &without("Host")), [Rule::HandshakeHeader]);
        assert_eq!(request_rules("GET", &without("Connection")), [Rule::HandshakeHeader]);
        assert_eq!(
            request_rules("GET", &without("Sec-WebSocket-Version")),
            [Rule::HandshakeVersion]
        );
        assert_eq!(request_rules("GET", &without("Sec-WebSocket-Key")), [Rule::HandshakeKey]);
        let with = |name: &'static str, value| [without(name), vec![(name, value)]].concat();
        assert_eq!(
            request_rules("GET", &with("Sec-WebSocket-Version", "8")),
            [Rule::HandshakeVersion]
        );
        assert_eq!(
            request_rules("GET", &with("Sec-WebSocket-Key", "c2hvcnQ=")),
            [Rule::HandshakeKey]
        );
        assert_eq!(request_rules("GET", &with("Sec-WebSocket-Key", "?")), [Rule::HandshakeKey]);
    }

    #[test]
    fn the_accept_value_is_checked() {
        assert_eq!(response(&GOOD, &[ACCEPT]).0.accept_valid, Some(true));
        let (agreement, broken) = response(&GOOD, &[("Sec-WebSocket-Accept", "x")]);
        assert_eq!((agreement.accept_valid, broken), (Some(false), vec![Rule::HandshakeAccept]));
        assert_eq!(response(&GOOD, &[]).1, [Rule::HandshakeAccept]);
    }

    #[test]
    fn each_header_of_the_response() {
        let lines = [("Upgrade", "websocket"), ("Connection", "Upgrade")];
        for missing in 0..2 {
            let (_, broken) = agree(None, &headers(&[lines[1 - missing], ACCEPT]));
            assert_eq!(broken.len(), 1);
            assert_eq!(broken[0].0, Rule::HandshakeHeader);
            assert!(broken[0].1.contains(lines[missing].0), "{}", broken[0].1);
        }
    }

    #[test]
    fn the_choice_must_have_been_offered() {
        let offer = [&GOOD[..], &[("Sec-WebSocket-Protocol", "chat, chat.v2")]].concat();
        let chosen = [ACCEPT, ("Sec-WebSocket-Protocol", "chat.v2")];
        let (agreement, broken) = response(&offer, &chosen);
        assert_eq!((agreement.subprotocol.as_deref(), broken), (Some("chat.v2"), vec![]));
        assert_eq!(response(&GOOD, &chosen).1, [Rule::HandshakeSubprotocol]);
        let extension = [ACCEPT, ("Sec-WebSocket-Extensions", "permessage-deflate")];
        let (agreement, broken) = response(&GOOD, &extension);
        assert!(agreement.deflate.is_some(), "decoding goes on");
        assert_eq!(broken, [Rule::HandshakeExtension]);
    }

    #[test]
    fn a_response_alone_is_taken_as_it_is() {
        let lines = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ACCEPT,
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ];
        let (agreement, broken) = agree(None, &headers(&lines));
        assert_eq!((agreement.accept_valid, broken), (None, vec![]));
        assert!(agreement.deflate.is_some());
    }
}
