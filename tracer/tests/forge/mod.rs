//! Packets made by hand, for what no honest peer sends: what each side says comes in, the IP
//! packets of a whole TCP connection come out. Checksums are 0, as they are on egress.

mod encode;

use std::net::{IpAddr, SocketAddr};

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// The example key of RFC 6455 section 1.3, and the accept value that goes with it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Text and close opcodes (RFC 6455 section 5.2).
pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;

/// One TCP connection under construction, a WebSocket already when it is made.
pub(crate) struct Forged {
    client: SocketAddr,
    server: SocketAddr,
    client_seq: u32,
    server_seq: u32,
    packets: Vec<Vec<u8>>,
}

impl Forged {
    /// Connects and upgrades. `headers` are whole lines of the request beyond the required ones.
    pub(crate) fn new(client: SocketAddr, server: SocketAddr, path: &str, headers: &str) -> Self {
        let (client_seq, server_seq) = (1000, u32::MAX - 20);
        let mut forged = Self { client, server, client_seq, server_seq, packets: Vec::new() };
        forged.push(true, SYN, &[]);
        forged.push(false, SYN | ACK, &[]);
        forged.push(true, ACK, &[]);
        forged.client(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: \
                 Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
            )
            .as_bytes(),
        );
        forged.server(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
            )
            .as_bytes(),
        );
        forged
    }

    /// The client sends these bytes.
    pub(crate) fn client(&mut self, bytes: &[u8]) {
        self.push(true, PSH | ACK, bytes);
    }

    /// The server sends these bytes.
    pub(crate) fn server(&mut self, bytes: &[u8]) {
        self.push(false, PSH | ACK, bytes);
    }

    /// Closes the TCP connection. All its packets, IP header first.
    pub(crate) fn finish(mut self) -> Vec<Vec<u8>> {
        self.push(true, FIN | ACK, &[]);
        self.push(false, FIN | ACK, &[]);
        self.push(true, ACK, &[]);
        self.packets
    }

    fn push(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let (source, destination, seq, ack) = if from_client {
            (self.client, self.server, &mut self.client_seq, self.server_seq)
        } else {
            (self.server, self.client, &mut self.server_seq, self.client_seq)
        };
        let segment = tcp(source.port(), destination.port(), *seq, ack, flags, payload);
        // SYN and FIN take a sequence number each (RFC 9293 section 3.4).
        let taken = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        *seq = seq.wrapping_add(taken);
        self.packets.push(ip(source.ip(), destination.ip(), &segment));
    }
}

/// A frame with FIN set. Clients mask, servers do not.
pub(crate) fn frame(opcode: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    encode::frame(0x80 | opcode, mask, payload)
}

/// A TCP segment without options (RFC 9293 section 3.1).
fn tcp(source: u16, destination: u16, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::with_capacity(20 + payload.len());
    segment.extend(source.to_be_bytes());
    segment.extend(destination.to_be_bytes());
    segment.extend(seq.to_be_bytes());
    segment.extend(if flags & ACK == 0 { 0 } else { ack }.to_be_bytes());
    segment.extend([5 << 4, flags]);
    segment.extend(64_000_u16.to_be_bytes());
    segment.extend([0; 4]); // checksum, urgent pointer
    segment.extend(payload);
    segment
}

/// An IP packet around a TCP segment.
fn ip(source: IpAddr, destination: IpAddr, segment: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend([0x45, 0]);
            packet.extend((20 + segment.len() as u16).to_be_bytes());
            packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]); // not a fragment, TTL 64, TCP
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend((segment.len() as u16).to_be_bytes());
            packet.extend([6, 64]); // TCP, hop limit 64
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        _ => panic!("{source} and {destination} are of two families"),
    }
    packet.extend(segment);
    packet
}
