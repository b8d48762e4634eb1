//! `Sec-WebSocket-Extensions` (RFC 6455 section 9.1) and the one extension that is in use,
//! permessage-deflate (RFC 7692).

use super::rule::Rule;

/// The name that permessage-deflate is registered by.
pub const PERMESSAGE_DEFLATE: &str = "permessage-deflate";

/// One extension of a header value, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The extension's token.
    pub name: &'a str,
    /// Parameters in order, quotes removed.
    pub parameters: Vec<(&'a str, Option<&'a str>)>,
}

/// Splits a header value (several header lines joined by commas) into extensions.
pub fn parse(value: &str) -> impl Iterator<Item = Extension<'_>> {
    split_unquoted(value, b',').filter_map(|one| {
        let mut parts = split_unquoted(one, b';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        Some(Extension { name, parameters: parts.map(parse_parameter).collect() })
    })
}

fn parse_parameter(parameter: &str) -> (&str, Option<&str>) {
    match parameter.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
        None => (parameter, None),
    }
}

/// Splits at a separator that is not inside a quoted string (RFC 9110 section 5.6.4).
fn split_unquoted(value: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let mut quoted = false;
        let end = value.bytes().position(|byte| {
            quoted ^= byte == b'"';
            byte == separator && !quoted
        });
        rest = end.map(|end| &value[end + 1..]);
        Some(end.map_or(value, |end| &value[..end]))
    })
}

/// The agreed parameters of permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// What the client's messages are compressed with.
    pub client: Side,
    /// What the server's messages are compressed with.
    pub server: Side,
}

/// One direction's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Each message is compressed on its own.
    pub no_context_takeover: bool,
    /// Base-two logarithm of the window, 8 to 15.
    pub window_bits: u8,
}

impl Default for Side {
    fn default() -> Self {
        Self { no_context_takeover: false, window_bits: 15 }
    }
}

/// What the response's extensions come to, and what is wrong with them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Negotiation {
    /// permessage-deflate, where it was agreed on.
    pub deflate: Option<Deflate>,
    /// Broken rules, each with what was found.
    pub violations: Vec<(Rule, String)>,
}

/// Reads the server's answer to the client's offer. Pass `None` for an offer that was not seen:
/// then nothing can be called unoffered.
pub fn negotiate(offer: Option<&str>, answer: &str) -> Negotiation {
    let mut result = Negotiation::default();
    let offered: Option<Vec<_>> = offer.map(|offer| parse(offer).collect());
    for extension in parse(answer) {
        let is_offered = offered.as_ref().is_none_or(|offered| {
            offered.iter().any(|offer| offer.name.eq_ignore_ascii_case(extension.name))
        });
        if !is_offered {
            let detail = format!("the server chose {}, which was not offered", extension.name);
            result.violations.push((Rule::HandshakeExtension, detail));
        }
        if extension.name.eq_ignore_ascii_case(PERMESSAGE_DEFLATE) {
            agree_on_deflate(&extension, offered.as_deref(), &mut result);
        }
    }
    result
}

fn agree_on_deflate(
    answer: &Extension<'_>,
    offered: Option<&[Extension<'_>]>,
    result: &mut Negotiation,
) {
    let wrong = |detail: String| (Rule::DeflateParameters, detail);
    if result.deflate.is_some() {
        result.violations.push(wrong("permessage-deflate twice in the response".to_owned()));
        return;
    }
    let mut deflate = Deflate { client: Side::default(), server: Side::default() };
    for (i, &(name, value)) in answer.parameters.iter().enumerate() {
        if answer.parameters[..i].iter().any(|&(earlier, _)| earlier == name) {
            result.violations.push(wrong(format!("parameter {name} twice")));
        } else if let Err(detail) = apply(&mut deflate, name, value) {
            result.violations.push(wrong(detail));
        }
    }
    if offered.is_some_and(|offered| !offers_client_window(offered))
        && answer.parameters.iter().any(|&(name, _)| name == "client_max_window_bits")
    {
        // RFC 7692 section 7.1.2.2.
        result.violations.push(wrong("client_max_window_bits was not offered".to_owned()));
    }
    result.deflate = Some(deflate);
}

fn offers_client_window(offered: &[Extension<'_>]) -> bool {
    offered
        .iter()
        .filter(|offer| offer.name.eq_ignore_ascii_case(PERMESSAGE_DEFLATE))
        .any(|offer| offer.parameters.iter().any(|&(name, _)| name == "client_max_window_bits"))
}

/// Takes one parameter of the answer over (RFC 7692 section 7.1).
fn apply(deflate: &mut Deflate, name: &str, value: Option<&str>) -> Result<(), String> {
    let side = match name.split_once('_').map(|(side, _)| side) {
        Some("client") => &mut deflate.client,
        Some("server") => &mut deflate.server,
        _ => return Err(format!("unknown parameter {name}")),
    };
    match (&name[7..], value) {
        ("no_context_takeover", None) => side.no_context_takeover = true,
        ("no_context_takeover", Some(value)) => {
            side.no_context_takeover = true;
            return Err(format!("{name} has a value, {value}"));
        }
        ("max_window_bits", Some(value)) => {
            side.window_bits =
                window_bits(value).ok_or_else(|| format!("{name}={value} is not 8 to 15"))?;
        }
        ("max_window_bits", None) => return Err(format!("{name} has no value")),
        _ => return Err(format!("unknown parameter {name}")),
    }
    Ok(())
}

/// 8 to 15, without leading zeroes.
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (!value.starts_with(['0', '+'])).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deflate(answer: &str) -> Deflate {
        let result = negotiate(Some("permessage-deflate; client_max_window_bits"), answer);
        assert_eq!(result.violations, []);
        result.deflate.unwrap()
    }

    fn violations(offer: &str, answer: &str) -> Vec<Rule> {
        negotiate(Some(offer), answer).violations.into_iter().map(|(rule, _)| rule).collect()
    }

    #[test]
    fn header_values_split_at_commas_and_semicolons_outside_quotes() {
        let parsed: Vec<_> = parse("a; b=\"1,2;3\", , permessage-deflate;x ; y = 4").collect();
        assert_eq!(parsed[0], Extension { name: "a", parameters: vec![("b", Some("1,2;3"))] });
        assert_eq!(parsed[1].parameters, [("x", None), ("y", Some("4"))]);
        assert_eq!(parsed.len(), 2);
    }

    #[test]
    fn parameters_are_taken_over() {
        let none = deflate("permessage-deflate");
        assert_eq!(none, Deflate { client: Side::default(), server: Side::default() });
        let all = deflate(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=\"12\"; client_max_window_bits=8",
        );
        assert_eq!(all.server, Side { no_context_takeover: true, window_bits: 12 });
        assert_eq!(all.client, Side { no_context_takeover: true, window_bits: 8 });
    }

    #[test]
    fn an_extension_must_have_been_offered() {
        assert_eq!(violations("", "x-foo"), [Rule::HandshakeExtension]);
        assert_eq!(violations("x-foo", "x-foo"), []);
        assert_eq!(negotiate(None, "permessage-deflate").violations, []);
    }

    #[test]
    fn invalid_parameters_are_violations() {
        let offer = "permessage-deflate; client_max_window_bits";
        for answer in [
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; speed=9",
            "permessage-deflate; client_speed=9",
            "permessage-deflate, permessage-deflate",
        ] {
            assert_eq!(violations(offer, answer), [Rule::DeflateParameters], "{answer}");
        }
    }

    #[test]
    fn the_server_may_limit_the_clients_window_only_where_offered() {
        let answer = "permessage-deflate; client_max_window_bits=10";
        assert_eq!(violations("permessage-deflate", answer), [Rule::DeflateParameters]);
        assert_eq!(violations("permessage-deflate; client_max_window_bits=12", answer), []);
    }
}
