//! What the endpoints of a capture logged: a `.truth.jsonl` file comes in, what was said goes out.
//! `tracer/tests/captures/README.md` tells what the lines mean.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::said::{BINARY, Item, PING, PONG, Said, Sender, TEXT};

/// Close frames that are in a capture but in no endpoint's log: the server's reply to a closed tab,
/// the client's reply to 1007. By client port, and whether the client sent it.
const UNLOGGED_CLOSES: [(u16, bool); 2] = [(57986, false), (59276, true)];

/// Reads a truth file.
pub(super) fn load(path: &Path) -> Result<Said> {
    let cannot_read = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(path).with_context(cannot_read)?;
    let mut said = Said::default();
    let mut encrypted = BTreeSet::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).with_context(cannot_read)?;
        add(&line, &mut said).with_context(|| format!("not a line of truth: {line}"))?;
        encrypted.extend(client(&line).filter(|_| line["tls"] == true));
    }
    // Nobody can read it who has not the key, and nobody is expected to.
    said.0.retain(|(sender, _), _| !encrypted.contains(&sender.client));
    Ok(said)
}

/// Whether a close frame has to be left out of the comparison, because nobody vouches for it.
pub(super) fn is_unlogged_close(sender: Sender) -> bool {
    UNLOGGED_CLOSES.contains(&(sender.client, sender.is_client))
}

/// `None` for a line that is not what a truth file has.
fn add(line: &Value, said: &mut Said) -> Option<()> {
    match line["ev"].as_str()? {
        "message" => add_item(line, said),
        "control" if line["opcode"] != "close" => add_item(line, said),
        "closed" => add_close(line, said),
        _ => Some(()),
    }
}

fn add_item(line: &Value, said: &mut Said) -> Option<()> {
    let opcode = match line["opcode"].as_str()? {
        "text" => TEXT,
        "binary" => BINARY,
        "ping" => PING,
        "pong" => PONG,
        _ => return None,
    };
    let sender = Sender { client: client(line)?, is_client: line["dir"].as_str()? == "c2s" };
    said.push(sender, Item { opcode, sha256: line["sha256"].as_str()?.to_owned() });
    Some(())
}

/// Each side logs the close frame that it received; 1006: none.
fn add_close(line: &Value, said: &mut Said) -> Option<()> {
    let code = u16::try_from(line["code"].as_u64()?).ok()?;
    if code == 1006 {
        return Some(());
    }
    let is_client = line["seen"][0].as_str()? == "server";
    let sender = Sender { client: client(line)?, is_client };
    said.push(sender, Item::close(Some(code), line["reason"].as_str().unwrap_or_default()));
    Some(())
}

fn client(line: &Value) -> Option<u16> {
    line["conn"].as_str()?.rsplit(':').next()?.parse().ok()
}
