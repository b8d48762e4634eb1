//! Masks what lets a reader of the output act as the user: credentials in headers and in the query.

use std::borrow::Cow;

/// Stands for a secret.
pub const MASK: &str = "***";

const SECRET_HEADERS: [&str; 5] =
    ["authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"];

/// Query parameters whose names contain one of these are secret.
const SECRET_WORDS: [&str; 10] =
    ["auth", "credential", "jwt", "key", "pass", "pwd", "secret", "session", "sig", "token"];
/// Query parameters with exactly these names are secret too.
const SECRET_NAMES: [&str; 2] = ["code", "sid"];

/// A header's value, masked where the header carries credentials: `name=value` lists keep their
/// names, `Authorization` its scheme.
pub fn header<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if !SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
        return Cow::Borrowed(value);
    }
    if name.to_ascii_lowercase().contains("cookie") {
        return Cow::Owned(cookie(name, value));
    }
    match value.split_once(' ') {
        Some((scheme, _)) => Cow::Owned(format!("{scheme} {MASK}")),
        None => Cow::Borrowed(MASK),
    }
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

/// A request target with the secret parameters of its query masked.
pub fn target(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return Cow::Borrowed(target) };
    if !query.split(['&', ';']).any(is_secret_pair) {
        return Cow::Borrowed(target);
    }
    let masked: Vec<_> = query
        .split('&')
        .map(|pair| if is_secret_pair(pair) { mask_pair(pair) } else { pair.to_owned() })
        .collect();
    Cow::Owned(format!("{path}?{}", masked.join("&")))
}

fn is_secret_pair(pair: &str) -> bool {
    let Some((name, _)) = pair.split_once('=') else { return false };
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || SECRET_WORDS.iter().any(|word| name.contains(word))
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
        assert_eq!(header("Host", "a=1"), "a=1");
    }

    #[test]
    fn tokens_in_the_query() {
        assert_eq!(target("/chat?room=1"), "/chat?room=1");
        assert_eq!(
            target("/c?room=1&access_token=x.y&sid=4"),
            "/c?room=1&access_token=***&sid=***"
        );
        assert_eq!(target("/token=1"), "/token=1");
    }
}
