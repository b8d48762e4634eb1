//! A client of the chat that shakes hands as the browser of the reference session did, byte for
//! byte, and keeps a transcript of what it said and heard.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tungstenite::{
    Message, WebSocket,
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};

use super::PATIENCE;

/// The browser's request, 715 bytes.
const REQUEST: &str = "\
GET / HTTP/1.1\r
Host: 127.0.0.1:7272\r
User-Agent: Mozilla/5.0 (X11; Ubuntu; Linux i686; rv:31.0) Gecko/20100101 Firefox/31.0\r
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r
Accept-Language: zh-cn,zh;q=0.8,en-us;q=0.5,en;q=0.3\r
Accept-Encoding: gzip, deflate\r
Sec-WebSocket-Version: 13\r
Origin: http://127.0.0.1:55151\r
Sec-WebSocket-Key: zPDr6m4czzUdOFnsxIUEAw==\r
Cookie: Hm_lvt_abcf9330bef79b4aba5b24fa373506d9=1402048017; \
Hm_lvt_5fedb3bdce89499492c079ab4a8a0323=1403063068,1403141761; \
Hm_lvt_7b1919221e89d2aa5711e4deb935debd=1407836536; \
Hm_lpvt_7b1919221e89d2aa5711e4deb935debd=1407837000\r
Connection: keep-alive, Upgrade\r
Pragma: no-cache\r
Cache-Control: no-cache\r
Upgrade: websocket\r
\r
";

/// What the server has to answer to that request's key.
const ACCEPT: &str = "nSsCeIBUsFnDJCRb/BNlFzBUDpM=";

/// Somebody in the room.
pub(super) struct Client {
    socket: WebSocket<TcpStream>,
    transcript: Vec<String>,
}

impl Client {
    /// Connects and upgrades the connection.
    pub(super) fn connect(port: u16) -> Result<Self> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let early_frames = shake_hands(&mut stream)?;
        let socket = WebSocket::from_partially_read(stream, early_frames, Role::Client, None);
        Ok(Self { socket, transcript: Vec::new() })
    }

    /// Takes a name, and hears the room's answers: who is there, and that one is in.
    pub(super) fn log_in(&mut self, name: &str) -> Result<()> {
        self.send(format!(r#"{{"type":"login","name":{}}}"#, json!(name)))?;
        self.hear()?;
        self.hear()
    }

    /// Says something to everybody.
    pub(super) fn say(&mut self, content: &str) -> Result<()> {
        self.send(format!(r#"{{"type":"say","to_uid":"all","content":{}}}"#, json!(content)))
    }

    /// Waits for one message.
    pub(super) fn hear(&mut self) -> Result<()> {
        match self.socket.read()? {
            Message::Text(text) => self.transcript.push(text.to_string()),
            other => anyhow::bail!("expected a text message, not {other:?}"),
        }
        Ok(())
    }

    /// Closes the connection, and waits until the server has, too.
    pub(super) fn leave(mut self) -> Result<()> {
        let reason = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.socket.close(Some(reason))?;
        loop {
            match self.socket.read() {
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What was said and heard, in order.
    pub(super) fn transcript(&self) -> &[String] {
        &self.transcript
    }

    /// Begins the transcript anew.
    pub(super) fn forget_the_past(&mut self) {
        self.transcript.clear();
    }

    fn send(&mut self, text: String) -> Result<()> {
        self.socket.send(Message::text(text.clone()))?;
        self.transcript.push(text);
        Ok(())
    }
}

/// Upgrades the connection; gives what came after the head of the response.
fn shake_hands(stream: &mut TcpStream) -> Result<Vec<u8>> {
    stream.write_all(REQUEST.as_bytes())?;
    let mut response = Vec::new();
    let end = loop {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk)?;
        ensure!(read > 0, "the server hung up during the handshake");
        response.extend(&chunk[..read]);
        if let Some(at) = response.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let rest = response.split_off(end);
    let head = String::from_utf8(response).context("the response's head is not text")?;
    let accepted = head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT);
    ensure!(accepted, "the server refused the upgrade: {head}");
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_length_of_the_reference() {
        assert_eq!(REQUEST.len(), 715);
    }

    #[test]
    fn the_accept_belongs_to_the_key() {
        let key = REQUEST.split("Sec-WebSocket-Key: ").nth(1).and_then(|rest| rest.lines().next());
        let key = key.expect("the request has a key");
        assert_eq!(tungstenite::handshake::derive_accept_key(key.as_bytes()), ACCEPT);
    }
}
