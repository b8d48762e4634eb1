//! The server of a load: one thread, one epoll, as little work as a valid answer needs.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::AsFd,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    Counts, Kind, Load, PROBE, Pace, messages, monotonic,
    poll::Poll,
    say,
    wire::{self, CLOSE, Reader, TEXT, first_byte},
};

/// Numbers in the epoll; clients follow.
const LISTENER: usize = 0;
const PARENT: usize = 1;
const CLIENTS: usize = 2;

const BUFFER: usize = 64 << 10;

/// Messages that a stream writes before others get their turn.
const TURN: u64 = 8;

/// Serves until the parent closes our standard input, and then says what was counted.
pub(super) fn run(load: &Load) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, load.port))
        .with_context(|| format!("cannot listen on port {}", load.port))?;
    say("listening")?;
    let counts = serve(load, &listener, io::stdin())?;
    say(&serde_json::to_string(&counts)?)
}

/// Serves until `parent` can be read, or has ended.
pub(super) fn serve(load: &Load, listener: &TcpListener, parent: impl AsFd) -> Result<Counts> {
    let mut poll = Poll::new()?;
    poll.add(listener, LISTENER)?;
    poll.add(&parent, PARENT)?;
    let mut server = Server::new(load);
    while !server.is_over {
        poll.wait(None, |poll, number, is_readable| match number {
            LISTENER => server.accept(poll, listener),
            PARENT => {
                server.is_over = true;
                Ok(())
            }
            client => server.serve(poll, client - CLIENTS, is_readable),
        })?;
    }
    Ok(server.counts)
}

struct Server<'a> {
    load: &'a Load,
    /// `None`: has left. Its socket is closed, and with that out of the epoll.
    clients: Vec<Option<Client>>,
    counts: Counts,
    buffer: Vec<u8>,
    /// What is to be sent, in one write.
    out: Vec<u8>,
    /// A message to stream.
    streamed: Vec<u8>,
    is_over: bool,
}

struct Client {
    stream: TcpStream,
    reader: Reader,
    /// How much of a streamed message was sent; `None`: nothing is streamed.
    streaming: Option<usize>,
    /// It has sent a close frame.
    is_closing: bool,
}

/// What a client wants, seen from the frames it sent.
#[derive(Default)]
struct Wanted {
    messages: u64,
    closes: bool,
}

impl<'a> Server<'a> {
    fn new(load: &'a Load) -> Self {
        let streamed = match load.kind {
            Kind::Stream(length) => messages::streamed(length),
            _ => Vec::new(),
        };
        Self {
            load,
            clients: Vec::with_capacity(load.connections),
            counts: Counts::default(),
            buffer: vec![0; BUFFER],
            out: Vec::new(),
            streamed,
            is_over: false,
        }
    }

    fn accept(&mut self, poll: &Poll, listener: &TcpListener) -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        wire::accept(&mut stream, self.load.is_compressed())?;
        stream.set_nonblocking(self.load.is_stream())?;
        poll.add(&stream, CLIENTS + self.clients.len())?;
        let reader = Reader::default();
        self.clients.push(Some(Client { stream, reader, streaming: None, is_closing: false }));
        Ok(())
    }

    /// Does what can be done for a client now.
    fn serve(&mut self, poll: &Poll, number: usize, is_readable: bool) -> Result<()> {
        let Some(mut client) = self.clients[number].take() else { return Ok(()) };
        let mut wanted = Wanted::default();
        if is_readable {
            let Some(heard) = self.hear(&mut client)? else { return Ok(()) };
            wanted = heard;
        }
        client.is_closing |= wanted.closes;
        self.counts.received += wanted.messages;
        if wanted.messages > 0 {
            self.answer(poll, &mut client, number, wanted.messages)?;
        }
        self.counts.sent += client.stream_on(&self.streamed)?;
        if client.is_closing && client.streaming.is_none_or(|at| at == 0) {
            return client.close();
        }
        self.clients[number] = Some(client);
        Ok(())
    }

    /// Reads once, and collects the answer to each message; `None`: the connection has ended.
    fn hear(&mut self, client: &mut Client) -> Result<Option<Wanted>> {
        let mut wanted = Wanted::default();
        let count = match client.stream.read(&mut self.buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Some(wanted)),
            Err(error) => return Err(error).context("a connection broke"),
        };
        self.out.clear();
        client.reader.read(&mut self.buffer[..count], |first, payload| {
            if first & 0x0f == CLOSE {
                wanted.closes = true;
            } else {
                wanted.messages += 1;
                wire::push_unmasked(&mut self.out, first, payload);
            }
        });
        Ok(Some(wanted))
    }

    fn answer(
        &mut self,
        poll: &Poll,
        client: &mut Client,
        number: usize,
        messages: u64,
    ) -> Result<()> {
        match self.load.kind {
            Kind::Echo { .. } => self.send(client, messages),
            Kind::FanOut(_) => {
                self.send_to_others(messages)?;
                // Last of all: when it has it, all have it.
                self.send(client, messages)
            }
            Kind::Stream(_) => {
                client.streaming = Some(0);
                Ok(poll.add_writable(&client.stream, CLIENTS + number)?)
            }
            Kind::Probe(pace) => self.probe(client, pace),
        }
    }

    fn send(&mut self, client: &mut Client, messages: u64) -> Result<()> {
        client.stream.write_all(&self.out).context("a connection broke")?;
        self.counts.sent += messages;
        Ok(())
    }

    fn send_to_others(&mut self, messages: u64) -> Result<()> {
        for client in self.clients.iter_mut().flatten() {
            client.stream.write_all(&self.out).context("a connection broke")?;
            self.counts.sent += messages;
        }
        Ok(())
    }

    /// Sends all probes: nothing else goes on meanwhile.
    fn probe(&mut self, client: &mut Client, pace: Pace) -> Result<()> {
        for n in 0..pace.probes {
            sleep(gap(pace, n));
            self.out.clear();
            let payload = format!("{PROBE}{}", monotonic());
            wire::push_unmasked(&mut self.out, first_byte(TEXT, false), payload.as_bytes());
            self.send(client, 1)?;
        }
        Ok(())
    }
}

impl Client {
    /// Writes what the socket takes of a stream; how many messages were completed.
    fn stream_on(&mut self, message: &[u8]) -> Result<u64> {
        let Some(mut at) = self.streaming else { return Ok(0) };
        let mut completed = 0;
        while completed < TURN && !(self.is_closing && at == 0) {
            match self.stream.write(&message[at..]) {
                Ok(count) => at += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("a connection broke"),
            }
            if at == message.len() {
                at = 0;
                completed += 1;
            }
        }
        self.streaming = Some(at);
        Ok(completed)
    }

    /// Answers a close frame; the server is the one to end the connection (RFC 6455 section 7.1.1).
    fn close(mut self) -> Result<()> {
        self.stream.set_nonblocking(false)?;
        let mut frame = Vec::new();
        wire::push_unmasked(&mut frame, first_byte(CLOSE, false), &1000_u16.to_be_bytes());
        self.stream.write_all(&frame).context("a connection broke")
    }
}

/// Irregular, and the same in every run.
fn gap(pace: Pace, n: u64) -> Duration {
    let span = (pace.most - pace.least).as_micros() as u64 + 1;
    pace.least + Duration::from_micros(n * 7_919 % span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_irregular_and_within_the_pace() {
        let least = Duration::from_millis(2);
        let pace = Pace { probes: 10, least, most: 3 * least };
        let gaps: Vec<_> = (0..10).map(|n| gap(pace, n)).collect();
        assert!(gaps.iter().all(|gap| (least..=3 * least).contains(gap)), "{gaps:?}");
        assert!(gaps.windows(2).all(|pair| pair[0] != pair[1]), "{gaps:?}");
    }
}
