//! Cases become a pcap file: a TCP connection each, one after the other, a segment for each write.

use std::io::{self, Write};

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};

use crate::cases::{Case, Peer};

const CLIENT: [u8; 4] = [198, 51, 100, 1];
const SERVER: [u8; 4] = [198, 51, 100, 2];
const FIRST_PORT: u16 = 20_000;
const SERVER_PORT: u16 = 7272;
/// Payload of the largest segments, as loopback has them.
const MAX_PAYLOAD: usize = 65_000;
/// Packets that begin with an IP header.
const LINKTYPE_RAW: u32 = 101;

/// The client's `ip:port` in the `n`th case.
pub(crate) fn client(n: usize) -> String {
    let [a, b, c, d] = CLIENT;
    format!("{a}.{b}.{c}.{d}:{}", port(n))
}

fn port(n: usize) -> u16 {
    FIRST_PORT + n as u16
}

/// Writes the file.
pub(crate) fn write(cases: &[Case], out: impl Write) -> io::Result<()> {
    let mut file = File { out, micros: 0 };
    file.words(&[0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 1 << 18, LINKTYPE_RAW])?;
    for (n, case) in cases.iter().enumerate() {
        let (client_seq, server_seq) = (7000, u32::MAX - 100);
        Connection { file: &mut file, port: port(n), client_seq, server_seq }.play(case)?;
    }
    file.out.flush()
}

/// A pcap file of little-endian words.
struct File<W> {
    out: W,
    micros: u32,
}

impl<W: Write> File<W> {
    fn words(&mut self, words: &[u32]) -> io::Result<()> {
        words.iter().try_for_each(|word| self.out.write_all(&word.to_le_bytes()))
    }

    /// Packets are 10 µs apart.
    fn packet(&mut self, packet: &[u8]) -> io::Result<()> {
        self.micros += 10;
        let (seconds, micros) = (self.micros / 1_000_000, self.micros % 1_000_000);
        let len = packet.len() as u32;
        self.words(&[1_800_000_000 + seconds, micros, len, len])?;
        self.out.write_all(packet)
    }
}

/// A TCP connection on its way into the file.
struct Connection<'a, W> {
    file: &'a mut File<W>,
    port: u16,
    client_seq: u32,
    server_seq: u32,
}

impl<W: Write> Connection<'_, W> {
    fn play(mut self, case: &Case) -> io::Result<()> {
        self.segment(Peer::Client, |tcp| (tcp.syn, tcp.ack) = (true, false), &[])?;
        self.segment(Peer::Server, |tcp| tcp.syn = true, &[])?;
        self.segment(Peer::Client, |_| {}, &[])?;
        for step in &case.steps {
            for write in &step.writes {
                for payload in write.chunks(MAX_PAYLOAD) {
                    self.segment(step.by, |tcp| tcp.psh = true, payload)?;
                }
            }
        }
        self.segment(Peer::Server, |tcp| tcp.fin = true, &[])?;
        self.segment(Peer::Client, |tcp| tcp.fin = true, &[])?;
        self.segment(Peer::Server, |_| {}, &[])
    }

    fn segment(&mut self, by: Peer, set: fn(&mut TcpHeader), payload: &[u8]) -> io::Result<()> {
        let (source, destination, ports, seq, ack) = match by {
            Peer::Client => {
                (CLIENT, SERVER, (self.port, SERVER_PORT), &mut self.client_seq, self.server_seq)
            }
            Peer::Server => {
                (SERVER, CLIENT, (SERVER_PORT, self.port), &mut self.server_seq, self.client_seq)
            }
        };
        let mut tcp = TcpHeader::new(ports.0, ports.1, *seq, u16::MAX);
        (tcp.ack, tcp.acknowledgment_number) = (true, ack);
        set(&mut tcp);
        // SYN and FIN take a sequence number each (RFC 9293 section 3.4).
        let taken = payload.len() as u32 + u32::from(tcp.syn || tcp.fin);
        *seq = seq.wrapping_add(taken);
        let builder: PacketBuilderStep<TcpHeader> =
            PacketBuilder::ipv4(source, destination, 64).tcp_header(tcp);
        let mut packet = Vec::with_capacity(builder.size(payload.len()));
        builder.write(&mut packet, payload).expect("IPv4 carries such a segment");
        self.file.packet(&packet)
    }
}
