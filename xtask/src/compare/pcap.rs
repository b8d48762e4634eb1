//! Classic pcap files of Ethernet packets: a file comes in, packets go out, and the other way
//! round. Reads with no code of the tracer's, which is what is being compared.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use super::said::Sender;

const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
/// Little-endian, microseconds, Ethernet: what tcpdump writes here.
const MAGIC: [u8; 4] = 0xa1b2_c3d4_u32.to_le_bytes();
const ETHERNET: [u8; 4] = 1_u32.to_le_bytes();

/// A capture file.
#[derive(Clone)]
pub(super) struct Capture {
    header: Vec<u8>,
    /// What was captured, in the file's order.
    pub(super) packets: Vec<Packet>,
}

/// A captured packet.
#[derive(Clone)]
pub(super) struct Packet {
    /// Seconds and microseconds, as they are in the file.
    pub(super) time: [u8; 8],
    original_len: [u8; 4],
    data: Vec<u8>,
}

impl Capture {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is not as expected", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let (header, mut rest) = bytes.split_at_checked(FILE_HEADER).context("no pcap header")?;
        let is_known = header.starts_with(&MAGIC) && header.ends_with(&ETHERNET);
        ensure!(is_known, "neither little-endian pcap with microseconds, nor of Ethernet");
        let mut packets = Vec::new();
        while !rest.is_empty() {
            let (header, after) = rest.split_at_checked(PACKET_HEADER).context("cut short")?;
            let len = u32::from_le_bytes(part(header, 8).context("cut short")?) as usize;
            let (data, after) = after.split_at_checked(len).context("cut short")?;
            packets.push(Packet {
                time: part(header, 0).context("cut short")?,
                original_len: part(header, 12).context("cut short")?,
                data: data.to_vec(),
            });
            rest = after;
        }
        Ok(Self { header: header.to_vec(), packets })
    }

    /// Writes a file.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = self.header.clone();
        for Packet { time, original_len, data } in &self.packets {
            bytes.extend(time);
            bytes.extend((data.len() as u32).to_le_bytes());
            bytes.extend(original_len);
            bytes.extend(data);
        }
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What a packet has of a TCP stream.
pub(super) struct Segment<'a> {
    /// Who sent it.
    pub(super) sender: Sender,
    /// Sequence number of the first byte of the payload, or of the SYN.
    pub(super) seq: u32,
    /// The SYN flag.
    pub(super) is_syn: bool,
    /// What was captured of the payload.
    pub(super) payload: &'a [u8],
}

impl Packet {
    /// Whether it carries something of what was said.
    pub(super) fn has_data(&self) -> bool {
        self.segment().is_some_and(|segment| !segment.is_syn && !segment.payload.is_empty())
    }

    /// The TCP segment; `None` where there is none, or not of a traced connection.
    pub(super) fn segment(&self) -> Option<Segment<'_>> {
        let (ethernet, packet) = self.data.split_at_checked(14)?;
        // IPv4 has options and may be padded; no capture has IPv6 extension headers.
        let (header_len, len) = match part(ethernet, 12)? {
            [0x08, 0x00] => {
                let len = u16::from_be_bytes(part(packet, 2)?);
                (usize::from(packet.first()? & 15) * 4, usize::from(len))
            }
            [0x86, 0xdd] => (40, 40 + usize::from(u16::from_be_bytes(part(packet, 4)?))),
            _ => return None,
        };
        let tcp = packet.get(header_len..len.min(packet.len()))?;
        let [source, destination] = [0, 2].map(|at| part(tcp, at).map(u16::from_be_bytes));
        let data_offset = usize::from(tcp.get(12)? >> 4) * 4;
        Some(Segment {
            sender: Sender::of(source?, destination?)?,
            seq: u32::from_be_bytes(part(tcp, 4)?),
            is_syn: tcp.get(13)? & 2 != 0,
            payload: tcp.get(data_offset..).unwrap_or_default(),
        })
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(packet: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0; 16]);
        bytes.extend(ETHERNET);
        bytes.extend([1, 0, 0, 0, 2, 0, 0, 0]);
        bytes.extend([packet.len() as u8, 0, 0, 0, 99, 0, 0, 0]);
        bytes.extend(packet);
        bytes
    }

    #[test]
    fn what_is_read_is_what_is_written() {
        let bytes = file(b"abc");
        let capture = Capture::parse(&bytes).expect("a capture");
        assert_eq!(capture.packets.len(), 1);
        let path = std::env::temp_dir().join(format!("xtask-pcap-{}", std::process::id()));
        capture.write(&path).expect("it can be written");
        assert_eq!(fs::read(&path).expect("it is there"), bytes);
        fs::remove_file(path).expect("it is ours");
    }

    #[test]
    fn other_files_and_torn_ones_are_refused() {
        let bytes = file(b"abc");
        for wrong in [&bytes[..bytes.len() - 1], &bytes[..30], &bytes[..9], b"\n\r\r\n", &[0; 40]] {
            assert!(Capture::parse(wrong).is_err(), "{} bytes", wrong.len());
        }
    }

    #[test]
    fn a_segment_ends_where_ip_ends_not_where_ethernet_pads() {
        let mut packet = vec![0; 12];
        packet.extend([0x08, 0x00, 0x45, 0, 0, 42]);
        packet.extend([0; 16]);
        packet.extend([0x1c, 0x68, 0, 9, 0, 0, 0, 7, 0, 0, 0, 0, 5 << 4, 2]);
        packet.extend([0; 6]);
        packet.extend(b"hi, and padding");
        let capture = Capture::parse(&file(&packet)).expect("a capture");
        let segment = capture.packets[0].segment().expect("a segment");
        assert_eq!(segment.sender, Sender { client: 9, is_client: false });
        assert_eq!((segment.seq, segment.is_syn, segment.payload), (7, true, &b"hi"[..]));
    }
}
