//! Writes capture files: conversations come in, packets as a loopback interface shows them go out.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::bench::load::Conversation;

const SERVER: u16 = 7272;
const FIRST_CLIENT: u16 = 40_000;

/// What a packet carries at most: the MTU of loopback is 65,536, its headers here 40 bytes.
const LONGEST: usize = 65_483;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PUSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Nanoseconds between two packets.
const PACE: u64 = 2_000;

/// Writes a file of `messages` messages, spread over so many connections. Over one connection only
/// the server speaks, over several both sides do in turn.
pub(super) fn write(
    path: &Path,
    conversation: &Conversation,
    connections: u16,
    messages: u64,
) -> io::Result<()> {
    let mut capture = Capture::new(BufWriter::with_capacity(1 << 20, File::create(path)?))?;
    let mut open = Vec::new();
    for number in 0..connections {
        open.push(Connection::open(&mut capture, FIRST_CLIENT + number, conversation)?);
    }
    for n in 0..messages {
        let number = n / 2 % u64::from(connections);
        let asks = connections > 1 && n % 2 == 0;
        let message = if asks { &conversation.asked } else { &conversation.answered };
        open[number as usize].say(&mut capture, asks, message)?;
    }
    for connection in &mut open {
        connection.close(&mut capture)?;
    }
    capture.file.flush()
}

/// A file in pcap format, with nanoseconds.
struct Capture<W> {
    file: W,
    time: u64,
}

impl<W: Write> Capture<W> {
    fn new(mut file: W) -> io::Result<Self> {
        // Magic, version 2.4, time zone, accuracy, snap length, link type 1 (Ethernet).
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
            file.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { file, time: 1_700_000_000_000_000_000 })
    }

    fn packet(&mut self, header: &[u8], payload: &[u8]) -> io::Result<()> {
        self.time += PACE;
        let length = (header.len() + payload.len()) as u32;
        let (seconds, nanos) = (self.time / 1_000_000_000, self.time % 1_000_000_000);
        for word in [seconds as u32, nanos as u32, length, length] {
            self.file.write_all(&word.to_le_bytes())?;
        }
        self.file.write_all(header)?;
        self.file.write_all(payload)
    }
}

/// The next sequence numbers of both sides.
struct Connection {
    port: u16,
    client: u32,
    server: u32,
}

impl Connection {
    fn open(
        capture: &mut Capture<impl Write>,
        port: u16,
        conversation: &Conversation,
    ) -> io::Result<Self> {
        let mut this = Self { port, client: 1_000, server: 900_000 };
        this.segment(capture, true, SYN, &[])?;
        this.client += 1;
        this.segment(capture, false, SYN | ACK, &[])?;
        this.server += 1;
        this.segment(capture, true, ACK, &[])?;
        this.say(capture, true, &conversation.request)?;
        this.say(capture, false, &conversation.response)?;
        Ok(this)
    }

    /// In as many segments as it takes.
    fn say(
        &mut self,
        capture: &mut Capture<impl Write>,
        is_client: bool,
        bytes: &[u8],
    ) -> io::Result<()> {
        for payload in bytes.chunks(LONGEST) {
            self.segment(capture, is_client, PUSH | ACK, payload)?;
            let seq = if is_client { &mut self.client } else { &mut self.server };
            *seq = seq.wrapping_add(payload.len() as u32);
        }
        Ok(())
    }

    fn close(&mut self, capture: &mut Capture<impl Write>) -> io::Result<()> {
        self.segment(capture, false, FIN | ACK, &[])?;
        self.server = self.server.wrapping_add(1);
        self.segment(capture, true, FIN | ACK, &[])
    }

    /// Ethernet, IPv4 and TCP without options. Checksums are 0, as they are on loopback.
    fn segment(
        &self,
        capture: &mut Capture<impl Write>,
        is_client: bool,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let (source, destination) =
            if is_client { (self.port, SERVER) } else { (SERVER, self.port) };
        let (seq, ack) =
            if is_client { (self.client, self.server) } else { (self.server, self.client) };
        let ack = if flags & ACK == 0 { 0 } else { ack };
        let mut header = [0; 54];
        header[12] = 8;
        header[14] = 0x45;
        header[16..18].copy_from_slice(&((40 + payload.len()) as u16).to_be_bytes());
        // Do not fragment; time to live; TCP; from and to 127.0.0.1.
        header[20] = 0x40;
        header[22..24].copy_from_slice(&[64, 6]);
        header[26..34].copy_from_slice(&[127, 0, 0, 1, 127, 0, 0, 1]);
        header[34..36].copy_from_slice(&source.to_be_bytes());
        header[36..38].copy_from_slice(&destination.to_be_bytes());
        header[38..42].copy_from_slice(&seq.to_be_bytes());
        header[42..46].copy_from_slice(&ack.to_be_bytes());
        header[46..50].copy_from_slice(&[0x50, flags, 0xff, 0xff]);
        capture.packet(&header, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_as_long_as_it_says() {
        let mut capture = Capture::new(Vec::new()).expect("memory");
        let mut connection = Connection { port: 40_000, client: 1, server: 2 };
        connection.say(&mut capture, true, &[7; 70_000]).expect("memory");
        assert_eq!(connection.client, 70_001);
        let first = &capture.file[24..];
        assert_eq!(first[8..12], (54 + LONGEST as u32).to_le_bytes());
        assert_eq!(first[16 + 16..16 + 18], (40 + LONGEST as u16).to_be_bytes());
        assert_eq!(capture.file.len(), 24 + 2 * (16 + 54) + 70_000);
    }
}
