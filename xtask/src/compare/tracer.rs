//! The tracer's side: a capture goes in, what it shows whole comes out.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::said::{BINARY, Item, PING, PONG, SERVER_PORT, Said, Sender, TEXT};
use crate::shell;

/// Has the tracer read a capture; also says how long that took.
pub(super) fn read(tracer: &Path, file: &Path) -> Result<(Said, Duration)> {
    let mut command = Command::new(tracer);
    command.args(["--port", &SERVER_PORT.to_string(), "--format", "json"]);
    command.args(["--payload-limit", "unlimited", "--read"]).arg(file);
    shell::announce(&command);
    let start = Instant::now();
    let output = shell::output(&mut command)?;
    let time = start.elapsed();
    let mut said = Said::default();
    for line in output.lines() {
        let event: Value =
            serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        if let Some((sender, item)) = shown(&event) {
            said.push(sender, item);
        }
    }
    Ok((said, time))
}

/// What an event shows. Nothing where it says that something is missing.
fn shown(event: &Value) -> Option<(Sender, Item)> {
    if ["truncated", "undecoded", "missing"].iter().any(|field| !event[field].is_null()) {
        return None;
    }
    let opcode = match (event["event"].as_str()?, event["opcode"].as_str()) {
        ("ws.message", Some("text")) => TEXT,
        ("ws.message", Some("binary")) => BINARY,
        ("ws.ping", _) => PING,
        ("ws.pong", _) => PONG,
        ("ws.close", _) => return Some((sender(event)?, close(event)?)),
        _ => return None,
    };
    let payload = match (&event["text"], &event["data"]) {
        (Value::String(text), _) => text.as_bytes().to_vec(),
        (_, Value::String(data)) => STANDARD.decode(data).ok()?,
        _ => return None,
    };
    Some((sender(event)?, Item::new(opcode, &payload)))
}

fn close(event: &Value) -> Option<Item> {
    let code = match event["code"].as_u64() {
        Some(code) => Some(u16::try_from(code).ok()?),
        None => None,
    };
    Some(Item::close(code, event["reason"].as_str().unwrap_or_default()))
}

fn sender(event: &Value) -> Option<Sender> {
    let client = event["client"].as_str()?.rsplit(':').next()?.parse().ok()?;
    Some(Sender { client, is_client: event["from"].as_str()? == "client" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Item> {
        let event = serde_json::from_str(line).expect("JSON");
        shown(&event).map(|(sender, item)| {
            assert_eq!(sender, Sender { client: 9, is_client: true });
            item
        })
    }

    #[test]
    fn whole_messages_count_and_others_do_not() {
        let text = r#"{"event":"ws.message","client":"[::1]:9","from":"client","opcode":"text""#;
        assert_eq!(parse(&format!(r#"{text},"text":"a"}}"#)), Some(Item::new(TEXT, b"a")));
        assert_eq!(parse(&format!(r#"{text},"data":"/w=="}}"#)), Some(Item::new(TEXT, b"\xff")));
        assert_eq!(parse(&format!(r#"{text},"text":"a","truncated":true}}"#)), None);
        assert_eq!(parse(&format!(r#"{text},"undecoded":"gap"}}"#)), None);
    }

    #[test]
    fn control_frames_count() {
        let event = |kind: &str, rest: &str| {
            parse(&format!(r#"{{"event":"{kind}","client":"1:9","from":"client"{rest}}}"#))
        };
        assert_eq!(event("ws.ping", r#","len":1,"data":"YQ==""#), Some(Item::new(PING, b"a")));
        assert_eq!(event("ws.close", ""), Some(Item::close(None, "")));
        let close = event("ws.close", r#","code":1000,"reason":"x""#);
        assert_eq!(close, Some(Item::close(Some(1000), "x")));
        assert_eq!(event("tcp.close", ""), None);
    }
}
