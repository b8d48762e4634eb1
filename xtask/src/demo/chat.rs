//! The chat server: requests of clients come in as JSON; answers go out to everybody in the room,
//! worded as the server of the reference session words them.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, protocol::Role};

/// The reference session's first user. The second came 45,889 users later.
const FIRST_UID: u64 = 783_654_164;
const UID_STEP: u64 = 45_889;

/// The reference session's clock, its slip in the second line included.
const LOGIN_TIME: &str = "2014-08-12 17:50:30";
const SAY_TIME: &str = "2014-08-12 :51:02";

/// Opens the room to clients on the loopback interface. It closes with the process.
pub(super) fn open(port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("cannot listen on port {port}"))?;
    let room = Arc::new(Mutex::new(Room::default()));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let room = Arc::clone(&room);
            thread::spawn(move || {
                if let Err(error) = serve(stream, &room) {
                    eprintln!("chat: {error:#}");
                }
            });
        }
    });
    Ok(())
}

/// One client, from handshake to close.
fn serve(stream: TcpStream, room: &Mutex<Room>) -> Result<()> {
    stream.set_nodelay(true)?;
    let outbox = WebSocket::from_raw_socket(stream.try_clone()?, Role::Server, None);
    let mut socket = tungstenite::accept(stream).context("no handshake")?;
    let uid = lock(room).reserve(outbox);
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => lock(room).handle(uid, &text)?,
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => break,
            Err(error) => return Err(error).context("a connection broke"),
        }
    }
    lock(room).members.retain(|member| member.uid != uid);
    Ok(())
}

/// A thread that panicked has left the room as it found it: others may go on.
fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Room {
    members: Vec<Member>,
    admitted: u64,
}

struct Member {
    uid: u64,
    /// Until the login there is none.
    name: Option<String>,
    outbox: WebSocket<TcpStream>,
}

impl Room {
    fn reserve(&mut self, outbox: WebSocket<TcpStream>) -> u64 {
        let uid = FIRST_UID + self.admitted * UID_STEP;
        self.admitted += 1;
        self.members.push(Member { uid, name: None, outbox });
        uid
    }

    fn handle(&mut self, uid: u64, request: &str) -> Result<()> {
        let request: Value = serde_json::from_str(request).context("a client sent no JSON")?;
        let text = |field: &str| {
            request[field].as_str().with_context(|| format!("a request without {field}: {request}"))
        };
        match text("type")? {
            "login" => self.login(uid, text("name")?),
            "say" => self.say(uid, text("to_uid")?, text("content")?),
            other => bail!("a client asked for `{other}`, which this room does not know"),
        }
    }

    fn login(&mut self, uid: u64, name: &str) -> Result<()> {
        self.member(uid)?.name = Some(name.to_owned());
        let users = self.user_list();
        self.member(uid)?.send(&users)?;
        let name = escaped(name);
        self.broadcast(&format!(
            r#"{{"type":"login","uid":{uid},"name":{name},"time":"{LOGIN_TIME}"}}"#
        ))
    }

    fn say(&mut self, uid: u64, to: &str, content: &str) -> Result<()> {
        let (to, content) = (escaped(to), escaped(content));
        self.broadcast(&format!(
            r#"{{"type":"say","from_uid":{uid},"to_uid":{to},"content":{content},"time":"{SAY_TIME}"}}"#
        ))
    }

    fn member(&mut self, uid: u64) -> Result<&mut Member> {
        let found = self.members.iter_mut().find(|member| member.uid == uid);
        found.with_context(|| format!("user {uid} is not in the room"))
    }

    fn user_list(&self) -> String {
        let users = self.members.iter().filter_map(|Member { uid, name, outbox: _ }| {
            let name = escaped(name.as_deref()?);
            Some(format!(r#"{{"uid":{uid},"name":{name}}}"#))
        });
        let users = users.collect::<Vec<_>>().join(",");
        format!(r#"{{"type":"user_list","user_list":[{users}]}}"#)
    }

    /// The newest member hears it first, as in the reference session.
    fn broadcast(&mut self, text: &str) -> Result<()> {
        self.members.iter_mut().rev().try_for_each(|member| member.send(text))
    }
}

impl Member {
    fn send(&mut self, text: &str) -> Result<()> {
        self.outbox.send(Message::text(text)).context("a client is out of reach")
    }
}

/// A JSON string in ASCII only, as PHP writes it.
fn escaped(text: &str) -> String {
    let mut ascii = String::new();
    for c in json!(text).to_string().chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn names_are_escaped_as_in_the_reference_session() {
        assert_eq!(escaped("猪猪"), r#""\u732a\u732a""#);
        assert_eq!(escaped("mynick"), r#""mynick""#);
        assert_eq!(escaped("\"😀"), r#""\"\ud83d\ude00""#);
    }
}
