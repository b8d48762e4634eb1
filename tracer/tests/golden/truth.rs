//! What the endpoints of a capture logged: a `.truth.jsonl` file comes in, what the tracer has to
//! show comes out. `captures/README.md` tells what the lines mean.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;

use crate::observed::{Conversation, Conversations, Item};

/// Where a capture or its truth file is.
pub(crate) fn capture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/captures", name].iter().collect()
}

/// A line of a truth file. What the tests do not use is not listed.
#[derive(Deserialize)]
struct Line {
    ev: String,
    conn: String,
    dir: Option<String>,
    n: Option<usize>,
    opcode: Option<String>,
    code: Option<u64>,
    reason: Option<String>,
    len: Option<u64>,
    sha256: Option<String>,
    text: Option<String>,
    head: Option<String>,
    fragments: Option<Vec<u64>>,
    method: Option<String>,
    path: Option<String>,
    status: Option<u64>,
    subprotocol: Option<String>,
    #[serde(default)]
    seen: Vec<String>,
}

/// Everything that the endpoints of one capture logged.
#[derive(Default)]
pub(crate) struct Truth {
    /// Messages, pings and pongs, by the client's `ip:port`. Messages are in order, and so are
    /// pings and pongs, but not in one order with each other: compare them apart.
    pub(crate) conversations: Conversations,
    /// What else is known of each connection.
    pub(crate) connections: BTreeMap<String, Connection>,
    /// Those messages whose senders chose the fragments.
    pub(crate) fragmented: Vec<Fragmented>,
}

/// A message of which the sender said how it cut it.
pub(crate) struct Fragmented {
    /// The client's `ip:port`.
    pub(crate) client: String,
    /// `client` or `server`.
    pub(crate) from: &'static str,
    /// Which of that sender's messages it is.
    pub(crate) n: usize,
    /// Into how many frames.
    pub(crate) frames: u64,
}

/// What the endpoints knew of one connection besides its messages.
#[derive(Default)]
pub(crate) struct Connection {
    /// The path that was asked for and the subprotocol that was agreed on, if it became a
    /// WebSocket.
    pub(crate) opened: Option<(String, String)>,
    /// Close code and reason that the client received; 1005 a frame without code, 1006 none.
    pub(crate) client_received: Option<(u64, String)>,
    /// Close code and reason that the server received.
    pub(crate) server_received: Option<(u64, String)>,
    /// Method, path and status of each request that was not an accepted upgrade.
    pub(crate) http: Vec<(String, String, u64)>,
}

impl Truth {
    /// Reads the truth file of the capture called `name`.
    pub(crate) fn load(name: &str) -> Self {
        let path = capture(&format!("{name}.truth.jsonl"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut truth = Self::default();
        for line in text.lines() {
            truth.add(serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")));
        }
        truth
    }

    fn add(&mut self, line: Line) {
        // A browser does not know the port of a connection that failed: the server's line has it.
        if line.conn.starts_with('?') {
            return;
        }
        let connection = self.connections.entry(line.conn.clone()).or_default();
        match &*line.ev {
            "message" => self.add_item(line),
            "control" if line.opcode.as_deref() != Some("close") => self.add_item(line),
            "open" => connection.open(line),
            "closed" => connection.close(line),
            "http" | "refused" => connection.http.push(line.request()),
            _ => {}
        }
    }

    fn add_item(&mut self, line: Line) {
        let item = Item {
            opcode: line.opcode.expect("an opcode"),
            len: line.len.expect("a length"),
            sha256: line.sha256.expect("a hash"),
            head: line.text.or(line.head).unwrap_or_default(),
        };
        let conversation = self.conversations.entry(line.conn.clone()).or_default();
        let (from, items) = match line.dir.as_deref() {
            Some("c2s") => ("client", &mut conversation.c2s),
            Some("s2c") => ("server", &mut conversation.s2c),
            dir => panic!("direction {dir:?}"),
        };
        items.push(item);
        if let (Some(fragments), Some(n)) = (line.fragments, line.n) {
            let frames = fragments.len() as u64;
            self.fragmented.push(Fragmented { client: line.conn, from, n, frames });
        }
    }

    /// Messages only.
    pub(crate) fn messages(&self) -> Conversations {
        only(&self.conversations, is_message)
    }

    /// Pings and pongs only.
    pub(crate) fn pings_and_pongs(&self) -> Conversations {
        only(&self.conversations, |item| !is_message(item))
    }

    /// The close frames, as far as the side that received them logged them.
    pub(crate) fn closes(&self) -> Conversations {
        let received = |logged: &Option<(u64, String)>| match logged {
            None | Some((1006, _)) => Vec::new(),
            Some((code, reason)) => vec![Item::close(Some(*code), Some(reason))],
        };
        let closes = self.connections.iter().map(|(client, connection)| {
            let c2s = received(&connection.server_received);
            let s2c = received(&connection.client_received);
            (client.clone(), Conversation { c2s, s2c })
        });
        only(&closes.collect(), |_| true)
    }
}

impl Connection {
    /// Both sides log it. The browser logs a URL instead of a path, and the server a path.
    fn open(&mut self, line: Line) {
        if let Some(path) = line.path {
            self.opened = Some((path, line.subprotocol.unwrap_or_default()));
        }
    }

    fn close(&mut self, line: Line) {
        let received = Some((line.code.expect("a code"), line.reason.unwrap_or_default()));
        match line.seen.first().map(String::as_str) {
            Some("client") => self.client_received = received,
            Some("server") => self.server_received = received,
            side => panic!("closed, seen by {side:?}"),
        }
    }
}

impl Line {
    fn request(self) -> (String, String, u64) {
        let part = |part: Option<String>| part.expect("a whole http line");
        (part(self.method), part(self.path), self.status.expect("a status"))
    }
}

/// Text or binary, as opposed to control frames.
pub(crate) fn is_message(item: &Item) -> bool {
    matches!(&*item.opcode, "text" | "binary")
}

/// What `wanted` keeps of each conversation; those of which nothing is left are dropped.
pub(crate) fn only(all: &Conversations, wanted: fn(&Item) -> bool) -> Conversations {
    let pick = |items: &[Item]| items.iter().filter(|item| wanted(item)).cloned().collect();
    let picked = all.iter().map(|(client, Conversation { c2s, s2c })| {
        (client.clone(), Conversation { c2s: pick(c2s), s2c: pick(s2c) })
    });
    picked.filter(|(_, conversation)| *conversation != Conversation::default()).collect()
}
