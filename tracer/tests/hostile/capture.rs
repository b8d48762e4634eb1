//! Captures of what no honest peer sends, made while they are written: flows come in segment by
//! segment, a pcap file of IPv4 packets goes out. Checksums are 0, as they are on egress.

use std::{
    io::{self, Write},
    net::Ipv4Addr,
};

/// Flags of a segment (RFC 9293 section 3.1).
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

const SERVER: [u8; 4] = [192, 0, 2, 1];
const SERVER_PORT: u16 = 7272;
const CLIENT_PORT: u16 = 40_000;
/// Payload of the largest segments, as loopback has them.
const MAX_PAYLOAD: usize = 65_000;
/// Packets that begin with an IP header.
const LINKTYPE_RAW: u32 = 101;
const HEADERS: usize = 40;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: \
                        Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// A side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Which extension is agreed on.
#[derive(Clone, Copy)]
pub(crate) enum Extension {
    None,
    Deflate,
}

impl Extension {
    fn header(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Deflate => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        }
    }
}

/// A capture file on its way out. Packets are 1 µs apart.
pub(crate) struct Capture<'a> {
    out: &'a mut dyn Write,
    micros: u64,
    /// Packets written so far.
    pub(crate) packets: u64,
}

impl<'a> Capture<'a> {
    /// Begins a file.
    pub(crate) fn new(out: &'a mut dyn Write) -> io::Result<Self> {
        for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 1 << 18, LINKTYPE_RAW] {
            out.write_all(&u32::to_le_bytes(word))?;
        }
        Ok(Self { out, micros: 1_800_000_000_000_000, packets: 0 })
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.micros += seconds * 1_000_000;
    }

    fn packet(&mut self, headers: &[u8; HEADERS], payload: &[u8]) -> io::Result<()> {
        self.micros += 1;
        self.packets += 1;
        let len = (HEADERS + payload.len()) as u64;
        for number in [self.micros / 1_000_000, self.micros % 1_000_000, len, len] {
            self.out.write_all(&(number as u32).to_le_bytes())?;
        }
        self.out.write_all(headers)?;
        self.out.write_all(payload)
    }
}

/// One connection, as its two ends see it.
#[derive(Clone)]
pub(crate) struct Flow {
    client: [u8; 4],
    /// What each side sends next: the client's is first.
    seqs: [u32; 2],
}

impl Flow {
    /// The `n`th client's.
    pub(crate) fn new(n: u32) -> Self {
        let [_, b, c, d] = n.to_be_bytes();
        Self { client: [10, b, c, d], seqs: [7000, u32::MAX - 100] }
    }

    /// The client, as events name it.
    pub(crate) fn name(&self) -> String {
        format!("{}:{CLIENT_PORT}", Ipv4Addr::from(self.client))
    }

    /// The client asks for a connection.
    pub(crate) fn syn(&mut self, to: &mut Capture<'_>) -> io::Result<()> {
        self.send(Side::Client, SYN, &[], to)
    }

    /// The server agrees.
    pub(crate) fn syn_ack(&mut self, to: &mut Capture<'_>) -> io::Result<()> {
        self.send(Side::Server, SYN | ACK, &[], to)
    }

    /// A TCP connection.
    pub(crate) fn connect(&mut self, to: &mut Capture<'_>) -> io::Result<()> {
        self.syn(to)?;
        self.syn_ack(to)?;
        self.send(Side::Client, ACK, &[], to)
    }

    /// A WebSocket connection.
    pub(crate) fn open(&mut self, extension: Extension, to: &mut Capture<'_>) -> io::Result<()> {
        self.ask(extension, to)?;
        self.answer(extension, to)
    }

    /// A TCP connection, and the client's request.
    pub(crate) fn ask(&mut self, extension: Extension, to: &mut Capture<'_>) -> io::Result<()> {
        self.connect(to)?;
        self.client(format!("{REQUEST}{}\r\n", extension.header()).as_bytes(), to)
    }

    /// The server's answer.
    pub(crate) fn answer(&mut self, extension: Extension, to: &mut Capture<'_>) -> io::Result<()> {
        self.server(format!("{RESPONSE}{}\r\n", extension.header()).as_bytes(), to)
    }

    /// The client sends these bytes, in as many segments as they take.
    pub(crate) fn client(&mut self, bytes: &[u8], to: &mut Capture<'_>) -> io::Result<()> {
        self.say(Side::Client, bytes, to)
    }

    /// The server sends these bytes, in as many segments as they take.
    pub(crate) fn server(&mut self, bytes: &[u8], to: &mut Capture<'_>) -> io::Result<()> {
        self.say(Side::Server, bytes, to)
    }

    fn say(&mut self, side: Side, bytes: &[u8], to: &mut Capture<'_>) -> io::Result<()> {
        bytes.chunks(MAX_PAYLOAD).try_for_each(|chunk| self.send(side, PSH | ACK, chunk, to))
    }

    /// A side sends so many bytes that are not captured.
    pub(crate) fn lose(&mut self, side: Side, bytes: usize) {
        let seq = &mut self.seqs[side as usize];
        *seq = seq.wrapping_add(bytes as u32);
    }

    /// Data at some distance from what the side sends next, which stays what it is.
    pub(crate) fn at(
        &self,
        side: Side,
        distance: usize,
        bytes: &[u8],
        to: &mut Capture<'_>,
    ) -> io::Result<()> {
        self.forge(side, PSH | ACK, distance, bytes, to)
    }

    /// The same, with flags.
    pub(crate) fn forge(
        &self,
        side: Side,
        flags: u8,
        distance: usize,
        bytes: &[u8],
        to: &mut Capture<'_>,
    ) -> io::Result<()> {
        let mut forger = self.clone();
        forger.lose(side, distance);
        forger.send(side, flags, bytes, to)
    }

    /// A pure acknowledgment of everything the other side has sent.
    pub(crate) fn acknowledge(&mut self, side: Side, to: &mut Capture<'_>) -> io::Result<()> {
        self.send(side, ACK, &[], to)
    }

    /// Both sides end.
    pub(crate) fn finish(&mut self, to: &mut Capture<'_>) -> io::Result<()> {
        self.send(Side::Client, FIN | ACK, &[], to)?;
        self.send(Side::Server, FIN | ACK, &[], to)?;
        self.acknowledge(Side::Client, to)
    }

    /// The client breaks off.
    pub(crate) fn reset(&mut self, to: &mut Capture<'_>) -> io::Result<()> {
        self.send(Side::Client, RST | ACK, &[], to)
    }

    fn send(
        &mut self,
        side: Side,
        flags: u8,
        payload: &[u8],
        to: &mut Capture<'_>,
    ) -> io::Result<()> {
        let headers = self.headers(side, flags, payload.len());
        // SYN and FIN take a sequence number each (RFC 9293 section 3.4).
        self.lose(side, payload.len() + usize::from(flags & (SYN | FIN) != 0));
        to.packet(&headers, payload)
    }

    /// An IPv4 header and a TCP header, both without options.
    fn headers(&self, side: Side, flags: u8, payload: usize) -> [u8; HEADERS] {
        let [client_seq, server_seq] = self.seqs;
        let (source, destination, ports, seq, ack) = match side {
            Side::Client => {
                (self.client, SERVER, [CLIENT_PORT, SERVER_PORT], client_seq, server_seq)
            }
            Side::Server => {
                (SERVER, self.client, [SERVER_PORT, CLIENT_PORT], server_seq, client_seq)
            }
        };
        let ack = if flags & ACK == 0 { 0 } else { ack };
        let mut headers = [0; HEADERS];
        let len = u16::try_from(HEADERS + payload).expect("a segment fits into a packet");
        headers[0] = 0x45;
        headers[2..4].copy_from_slice(&len.to_be_bytes());
        headers[6..10].copy_from_slice(&[0x40, 0, 64, 6]); // not a fragment, TTL 64, TCP
        headers[12..16].copy_from_slice(&source);
        headers[16..20].copy_from_slice(&destination);
        headers[20..22].copy_from_slice(&ports[0].to_be_bytes());
        headers[22..24].copy_from_slice(&ports[1].to_be_bytes());
        headers[24..28].copy_from_slice(&seq.to_be_bytes());
        headers[28..32].copy_from_slice(&ack.to_be_bytes());
        headers[32..36].copy_from_slice(&[5 << 4, flags, 0xfa, 0]); // five words, window 64,000
        headers
    }
}
