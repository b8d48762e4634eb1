//! Masks what lets a reader of the output act as the user: credentials in headers and in the query.

use std::borrow::Cow;

/// Stands for a secret.
pub const MASK: &str = "***";

/// Headers whose names have a secret word and are public all the same.
const PUBLIC_PREFIX: &str = "sec-websocket-";
/// Headers whose values are URLs.
const URL_HEADERS: [&str; 3] = ["content-location", "location", "referer"];

/// Query parameters whose names contain one of these are secret.
const SECRET_WORDS: [&str; 10] =
    ["auth", "credential", "jwt", "key", "pass", "pwd", "secret", "session", "sig", "token"];
/// Query parameters with exactly these names are secret too.
const SECRET_NAMES: [&str; 2] = ["code", "sid"];

/// A header's value, masked where the header carries credentials: `name=value` lists keep their
/// names, `Authorization` its scheme, URLs all but their secret parameters.
pub fn header<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let name = name.to_ascii_lowercase();
    if URL_HEADERS.contains(&name.as_str()) {
        return target(value);
    }
    if name.contains("cookie") {
        return Cow::Owned(cookie(&name, value));
    }
    if name == "sec-websocket-protocol" {
        return subprotocols(value);
    }
    if name.starts_with(PUBLIC_PREFIX) || !has_secret_word(&name) {
        return Cow::Borrowed(value);
    }
    match value.split_once(' ') {
        Some((scheme, _)) => Cow::Owned(format!("{scheme} {MASK}")),
        None => Cow::Borrowed(MASK),
    }
}

/// Browsers cannot send headers of their own, so some services take a token as a subprotocol:
/// `base64url.bearer.authorization.example.token`, or a JWT.
fn subprotocols(value: &str) -> Cow<'_, str> {
    let is_secret = |offer: &str| {
        let offer = offer.trim();
        offer.len() > 32
            && (offer.starts_with("ey") || has_secret_word(&offer.to_ascii_lowercase()))
    };
    if !value.split(',').any(is_secret) {
        return Cow::Borrowed(value);
    }
    let masked: Vec<_> =
        value.split(',').map(|offer| if is_secret(offer) { MASK } else { offer.trim() }).collect();
    Cow::Owned(masked.join(", "))
}

/// `a=1; b=2` as `a=***; b=***`. In `Set-Cookie`, what follows the first pair is no secret.
fn cookie(name: &str, value: &str) -> String {
    let mut pairs = value.split(';');
    let mask_all = name.eq_ignore_ascii_case("cookie");
    let first = pairs.next().into_iter().map(mask_pair);
    let rest = pairs.map(|pair| if mask_all { mask_pair(pair) } else { pair.to_owned() });
    first.chain(rest).collect::<Vec<_>>().join(";")
}

fn mask_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) => format!("{name}={MASK}"),
        None => MASK.to_owned(),
    }
}

/// A request target, or a URL, with the secret parameters of its query masked.
pub fn target(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return Cow::Borrowed(target) };
    if !query.split(SEPARATORS).any(is_secret_pair) {
        return Cow::Borrowed(target);
    }
    let mut masked = format!("{path}?");
    for pair in query.split_inclusive(SEPARATORS) {
        let (pair, separator) = match pair.strip_suffix(SEPARATORS) {
            Some(short) => (short, &pair[short.len()..]),
            None => (pair, ""),
        };
        masked += &if is_secret_pair(pair) { mask_pair(pair) } else { pair.to_owned() };
        masked += separator;
    }
    Cow::Owned(masked)
}

const SEPARATORS: [char; 2] = ['&', ';'];

fn is_secret_pair(pair: &str) -> bool {
    let Some((name, _)) = pair.split_once('=') else { return false };
    let name = percent_decoded(name).to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || has_secret_word(&name)
}

fn has_secret_word(lowercase: &str) -> bool {
    let name = lowercase.as_bytes();
    // Most places are passed over at once, which a search for each word would not.
    let is_word = |at: usize, word: &&str| {
        let word = word.as_bytes();
        word.first() == Some(&name[at]) && name[at..].starts_with(word)
    };
    (0..name.len()).any(|at| SECRET_WORDS.iter().any(|word| is_word(at, word)))
}

/// RFC 3986 section 2.1; what is not valid stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_headers() {
        assert_eq!(header("Cookie", "a=1; b=2"), "a=***; b=***");
        assert_eq!(header("set-cookie", "a=1; Path=/; HttpOnly"), "a=***; Path=/; HttpOnly");
        assert_eq!(header("AUTHORIZATION", "Bearer abc.def"), "Bearer ***");
        assert_eq!(header("X-Api-Key", "abc"), "***");
        assert_eq!(header("X-Auth-Token", "abc"), "***");
        assert_eq!(header("Host", "a=1"), "a=1");
        assert_eq!(header("Sec-WebSocket-Key", "abc"), "abc");
        assert_eq!(header("Referer", "https://a/?token=x&y=1"), "https://a/?token=***&y=1");
        assert_eq!(header("Sec-WebSocket-Protocol", "chat, auth"), "chat, auth");
        let bearer = "chat, base64url.bearer.authorization.k8s.io.c2VjcmV0";
        assert_eq!(header("Sec-WebSocket-Protocol", bearer), "chat, ***");
    }

    #[test]
    fn tokens_in_the_query() {
        assert_eq!(target("/chat?room=1"), "/chat?room=1");
        assert_eq!(
            target("/c?room=1&access_token=x.y&sid=4"),
            "/c?room=1&access_token=***&sid=***"
        );
        assert_eq!(target("/token=1"), "/token=1");
        assert_eq!(target("/c?a=1;token=x;b=2"), "/c?a=1;token=***;b=2");
        assert_eq!(target("/c?%74oken=x"), "/c?%74oken=***");
        assert_eq!(target("/c?a=%&b=%4"), "/c?a=%&b=%4");
    }
}
