//! The service that is watched: an echo server built on tungstenite, a thread for each connection,
//! each of which logs what it receives and sends.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::{Shutdown, shutdown};
use tungstenite::{
    Error, Message, WebSocket, accept,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::{client::shut_down, log::Log, netns::Namespace};

/// Long enough for any machine, an emulated one on a busy host included; only a hang takes longer.
pub(crate) const HANG: Duration = Duration::from_mins(5);

/// The port that is traced unless a test says otherwise.
pub(crate) const PORT: u16 = 7272;

/// A server that expects a known number of connections.
pub(crate) struct Server<T = Log> {
    address: SocketAddr,
    connections: JoinHandle<Vec<JoinHandle<T>>>,
}

impl Server {
    /// Echoes. Listens inside `namespace`, which already has the address.
    pub(crate) fn start(namespace: &Namespace, ip: &str, connections: usize) -> Self {
        Self::serving(namespace, ip, connections, echo_and_log)
    }

    /// The same on another port.
    pub(crate) fn at(namespace: &Namespace, address: SocketAddr, connections: usize) -> Self {
        Self::listening(namespace, address, connections, echo_and_log)
    }
}

impl<T: Send + 'static> Server<T> {
    /// Serves each connection by `serve`, which returns what is to be known of it afterwards.
    pub(crate) fn serving(
        namespace: &Namespace,
        ip: &str,
        connections: usize,
        serve: fn(TcpStream, SocketAddr) -> T,
    ) -> Self {
        let ip: IpAddr = ip.parse().expect("an address");
        Self::listening(namespace, SocketAddr::new(ip, PORT), connections, serve)
    }

    fn listening(
        namespace: &Namespace,
        address: SocketAddr,
        connections: usize,
        serve: fn(TcpStream, SocketAddr) -> T,
    ) -> Self {
        let listener = namespace.run(|| TcpListener::bind(address)).expect("the port is free");
        let connections = thread::spawn(move || {
            let accepted = (0..connections).map(|_| listener.accept().expect("a client"));
            let served = accepted.map(|(stream, peer)| thread::spawn(move || serve(stream, peer)));
            let served = served.collect();
            // Closing alone would not leave the port to the next server, see [`shut_down`].
            shutdown(&listener, Shutdown::Read).expect("it stops listening");
            served
        });
        Self { address, connections }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for all connections to end; the log of each.
    pub(crate) fn logs(self) -> Vec<T> {
        let connections = self.connections.join().expect("all clients came");
        connections.into_iter().map(|c| c.join().expect("the connection was served")).collect()
    }
}

fn echo_and_log(stream: TcpStream, peer: SocketAddr) -> Log {
    stream.set_read_timeout(Some(HANG)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("delay can be switched off");
    let mut log = Log::new(peer);
    let Ok(mut socket) = accept(stream) else { return log };
    loop {
        match socket.read() {
            Ok(message) => answer(&mut socket, &mut log, message),
            Err(Error::ConnectionClosed) => break,
            // By a client that vanished or reset the connection; where none did, this tells why.
            Err(e @ (Error::Io(_) | Error::Protocol(_))) => {
                eprintln!("{peer}: {e}");
                break;
            }
            Err(e) => panic!("{peer}: {e}"),
        }
    }
    shut_down(socket.get_ref());
    log
}

/// Logs a message and answers it: an echo, a pong, a close.
fn answer(socket: &mut WebSocket<TcpStream>, log: &mut Log, message: Message) {
    match message {
        Message::Text(text) => {
            log.c2s("text", text.as_bytes());
            echo(socket, log, Data::Text, text.as_bytes());
        }
        Message::Binary(data) => {
            log.c2s("binary", &data);
            echo(socket, log, Data::Binary, &data);
        }
        Message::Ping(data) => {
            log.c2s("ping", &data);
            // The library has a pong ready, and sends it now.
            socket.flush().expect("a pong can be sent");
            log.s2c("pong", &data);
        }
        Message::Pong(data) => log.c2s("pong", &data),
        Message::Close(close) => {
            let mut payload = Vec::new();
            if let Some(close) = close {
                payload.extend(u16::from(close.code).to_be_bytes());
                payload.extend(close.reason.as_bytes());
            }
            log.c2s("close", &payload);
            // Likewise the same close frame back, sent by the next read.
            log.s2c("close", &payload);
        }
        Message::Frame(_) => unreachable!("never read"),
    }
}

/// Sends a payload back: whole, or, where its length is a multiple of three, in three fragments
/// with a ping between them.
fn echo(socket: &mut WebSocket<TcpStream>, log: &mut Log, kind: Data, payload: &[u8]) {
    let opcode = if kind == Data::Text { "text" } else { "binary" };
    let mut send = |frame| socket.send(Message::Frame(frame)).expect("an echo can be sent");
    let frame =
        |payload: &[u8], kind, last| Frame::message(payload.to_vec(), OpCode::Data(kind), last);
    if !payload.len().is_multiple_of(3) {
        send(frame(payload, kind, true));
    } else {
        let (first, rest) = payload.split_at(payload.len() / 3);
        send(frame(first, kind, false));
        send(frame(&rest[..1.min(rest.len())], Data::Continue, false));
        log.s2c("ping", b"between");
        send(Frame::ping(b"between".to_vec()));
        send(frame(&rest[1.min(rest.len())..], Data::Continue, true));
    }
    log.s2c(opcode, payload);
}
