//! The other side of the conversations: a client built on fastwebsockets, which shares no code with
//! the server's library. It logs what it sends and receives.

use std::{io, net::SocketAddr, os::fd::AsFd};

use fastwebsockets::{FragmentCollector, Frame, OpCode, Role, WebSocket};
use rustix::{io::Errno, net::Shutdown};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::{Builder, Runtime},
    time::timeout,
};

use crate::{log::Log, netns::Namespace, server::HANG};

/// The WebSocket of the library.
pub(crate) type Socket = FragmentCollector<TcpStream>;

/// A message to be sent.
pub(crate) struct Say {
    opcode: OpCode,
    payload: Vec<u8>,
    fragments: usize,
}

impl Say {
    /// Text of about `len` bytes, with characters of one to four bytes. `n` makes it unique.
    pub(crate) fn text(n: usize, len: usize) -> Self {
        let characters = "aé✓🙂 ".chars().cycle();
        let mut text = format!("{n}: ");
        text.extend(characters.take(len * 5 / 11));
        Self { opcode: OpCode::Text, payload: text.into_bytes(), fragments: 1 }
    }

    /// `len` bytes with every value among them.
    pub(crate) fn binary(n: usize, len: usize) -> Self {
        let payload = (0..len).map(|i| (i * 7 + n) as u8).collect();
        Self { opcode: OpCode::Binary, payload, fragments: 1 }
    }

    /// The same with other words before it.
    pub(crate) fn saying(mut self, words: &str) -> Self {
        self.payload.splice(..0, words.bytes());
        self
    }

    /// Cuts it into so many frames, wherever that is, with a ping before the last.
    pub(crate) fn in_fragments(self, fragments: usize) -> Self {
        Self { fragments, ..self }
    }
}

/// A connection, used from outside of any async code.
pub(crate) struct Client {
    runtime: Runtime,
    socket: Socket,
    log: Log,
}

impl Client {
    /// Connects from inside `namespace` and upgrades.
    pub(crate) fn connect(namespace: &Namespace, server: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connecting = || run(&runtime, connect(server));
        let (socket, address) = namespace.run(connecting).expect("the server answers");
        Self { runtime, socket, log: Log::new(address) }
    }

    /// Sends a message and waits for its echo.
    pub(crate) fn say(&mut self, say: Say) {
        let Self { runtime, socket, log } = self;
        run(runtime, exchange(socket, log, say));
    }

    /// Sends a close frame, waits for the server's, and closes the connection.
    pub(crate) fn close(mut self) -> Log {
        run(&self.runtime, close(&mut self.socket, &mut self.log));
        self.vanish()
    }

    /// Ends it with a FIN and no close frame.
    pub(crate) fn vanish(self) -> Log {
        shut_down(self.socket.into_inner());
        self.log
    }

    /// Ends it with a RST.
    pub(crate) fn reset(self) -> Log {
        rustix::net::connect_unspec(self.socket.into_inner()).expect("it is disconnected");
        self.log
    }

    /// What it has noted so far.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Forgets what was said so far: the tracer was not yet there to see it.
    pub(crate) fn forget(&mut self) {
        self.log.said = Default::default();
    }
}

/// Sends a FIN now. Closing alone sends it when the last copy of the descriptor is closed, and a process
/// that another test's thread has just forked has copies until it executes a program.
pub(crate) fn shut_down(stream: impl AsFd) {
    match rustix::net::shutdown(stream, Shutdown::Write) {
        // It was reset.
        Ok(()) | Err(Errno::NOTCONN) => {}
        Err(error) => panic!("no FIN can be sent: {error}"),
    }
}

/// Runs it to its end, unless that takes too long.
fn run<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    runtime.block_on(async { timeout(HANG, future).await }).expect("no hang")
}

/// Opens a TCP connection and upgrades it: the socket, and the client's own address.
pub(crate) async fn connect(server: SocketAddr) -> io::Result<(Socket, SocketAddr)> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let request = format!(
        "GET /chat?room=live HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        response.push(stream.read_u8().await?);
    }
    assert!(response.starts_with(b"HTTP/1.1 101 "), "{}", response.escape_ascii());
    let address = stream.local_addr()?;
    let mut socket = WebSocket::after_handshake(stream, Role::Client);
    // What the library sends by itself could not be logged.
    socket.set_auto_pong(false);
    socket.set_auto_close(false);
    Ok((FragmentCollector::new(socket), address))
}

async fn exchange(socket: &mut Socket, log: &mut Log, say: Say) {
    let Say { opcode, payload, fragments } = say;
    let size = payload.len().div_ceil(fragments).max(1);
    let mut pieces = payload.chunks(size).peekable();
    let mut kind = opcode;
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        if last && fragments > 1 {
            let ping = Frame::new(true, OpCode::Ping, None, b"still there?".to_vec().into());
            send(socket, ping).await;
            log.c2s("ping", b"still there?");
        }
        send(socket, Frame::new(last, kind, None, piece.to_vec().into())).await;
        kind = OpCode::Continuation;
    }
    if payload.is_empty() {
        send(socket, Frame::new(true, opcode, None, Vec::new().into())).await;
    }
    log.c2s(name(opcode), &payload);
    while receive(socket, log).await != opcode {}
}

async fn close(socket: &mut Socket, log: &mut Log) {
    let frame = Frame::close(1000, "adiós".as_bytes());
    log.c2s("close", &frame.payload);
    send(socket, frame).await;
    while receive(socket, log).await != OpCode::Close {}
}

/// Receives one message or control frame, logs it, and answers it if it is a ping.
async fn receive(socket: &mut Socket, log: &mut Log) -> OpCode {
    let frame = socket.read_frame().await.expect("a frame");
    log.s2c(name(frame.opcode), &frame.payload);
    let opcode = frame.opcode;
    if opcode == OpCode::Ping {
        log.c2s("pong", &frame.payload);
        send(socket, Frame::pong(frame.payload)).await;
    }
    opcode
}

async fn send(socket: &mut Socket, frame: Frame<'static>) {
    socket.write_frame(frame).await.expect("a frame can be sent");
}

fn name(opcode: OpCode) -> &'static str {
    match opcode {
        OpCode::Text => "text",
        OpCode::Binary => "binary",
        OpCode::Ping => "ping",
        OpCode::Pong => "pong",
        OpCode::Close => "close",
        OpCode::Continuation => "continuation",
    }
}
