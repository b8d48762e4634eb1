//! What tshark's WebSocket dissector shows: its packets as JSON come in, the messages and control
//! frames that it shows whole go out.
//!
//! Each frame is a layer `websocket`; its payload is a field in it (text, close, ping, pong) or the
//! layer `data` after it (binary). A message in fragments is shown in its last frame.

use std::collections::BTreeMap;

use super::{
    node::Node,
    said::{CLOSE, Group, Item, PING, PONG, Said, Sender},
};

/// Reads all packets.
pub(super) fn said(packets: &[Node]) -> Said {
    let mut reader = Reader::default();
    packets.iter().for_each(|packet| reader.packet(packet));
    reader.said
}

#[derive(Default)]
struct Reader {
    said: Said,
    /// The data message in progress of each sender.
    messages: BTreeMap<Sender, Message>,
}

/// A data message in progress.
#[derive(Clone, Copy)]
struct Message {
    opcode: u8,
    is_compressed: bool,
    /// Bytes of payload that its frames so far say they have.
    len: u64,
}

/// One frame.
struct Frame {
    opcode: u8,
    is_final: bool,
    is_compressed: bool,
    len: u64,
    /// What is shown as the payload, of the frame or of the whole message.
    payload: Option<Vec<u8>>,
}

impl Reader {
    fn packet(&mut self, packet: &Node) {
        let layers = packet.get("_source").and_then(|source| source.get("layers"));
        let mut sender = None;
        let mut frames = Vec::new();
        for (name, layer) in layers.into_iter().flat_map(Node::members) {
            match &**name {
                "tcp" => sender = sender_of(layer),
                "websocket" => frames.extend(Frame::of(layer)),
                "data_raw" => {
                    if let Some(frame) = frames.last_mut() {
                        frame.payload = frame.payload.take().or_else(|| bytes(layer));
                    }
                }
                _ => {}
            }
        }
        for frame in frames {
            sender.into_iter().for_each(|sender| self.frame(sender, &frame));
        }
    }

    fn frame(&mut self, sender: Sender, frame: &Frame) {
        let Frame { opcode, is_final, is_compressed, len, payload } = frame;
        if Group::of(*opcode) != Group::Messages {
            return self.show(sender, *opcode, Some(*len), payload.as_deref());
        }
        if *opcode != 0 {
            let message = Message { opcode: *opcode, is_compressed: *is_compressed, len: 0 };
            self.messages.insert(sender, message);
        }
        // A continuation of what was not seen is no message.
        let Some(message) = self.messages.get_mut(&sender) else { return };
        message.len += len;
        if *is_final {
            let Message { opcode, is_compressed, len } = *message;
            self.messages.remove(&sender);
            self.show(sender, opcode, (!is_compressed).then_some(len), payload.as_deref());
        }
    }

    /// Takes what is shown, unless it is only the beginning of what there is. No payload is shown of
    /// an empty one.
    fn show(&mut self, sender: Sender, opcode: u8, len: Option<u64>, payload: Option<&[u8]>) {
        let payload = match (payload, len) {
            (Some(payload), _) => payload,
            (None, Some(0)) => &[],
            (None, _) => return,
        };
        if len.is_none_or(|len| payload.len() as u64 >= len) {
            self.said.push(sender, Item::new(opcode, payload));
        }
    }
}

fn sender_of(tcp: &Node) -> Option<Sender> {
    let port = |field| number(tcp.get(field)?).and_then(|port| u16::try_from(port).ok());
    Sender::of(port("tcp.srcport_raw")?, port("tcp.dstport_raw")?)
}

impl Frame {
    /// Nothing where the frame is so short that not even its header was seen.
    fn of(layer: &Node) -> Option<Self> {
        let field = |name: &str| layer.get(name).and_then(number);
        let lengths = ["_ext_64", "_ext_16", ""].map(|form| {
            let name = format!("websocket.payload_length{form}_raw");
            field(&name)
        });
        let opcode = u8::try_from(field("websocket.opcode_raw")?).ok()?;
        Some(Self {
            opcode,
            is_final: field("websocket.fin_raw")? == 1,
            is_compressed: field("websocket.rsv_raw")? & 4 != 0,
            len: lengths.into_iter().flatten().next()?,
            payload: payload(layer, opcode),
        })
    }
}

fn payload(layer: &Node, opcode: u8) -> Option<Vec<u8>> {
    let field = |name: &str| layer.find(name).and_then(bytes);
    match opcode {
        CLOSE => {
            let mut payload = field("websocket.payload.close.status_code_raw")?;
            payload.extend(field("websocket.payload.close.reason_raw").into_iter().flatten());
            Some(payload)
        }
        PING => field("websocket.payload.ping_raw"),
        PONG => field("websocket.payload.pong_raw"),
        _ => field("websocket.payload.text_raw"),
    }
}

/// tshark writes the bits of a field that is no whole byte in hexadecimal too.
fn number(raw: &Node) -> Option<u64> {
    u64::from_str_radix(raw.raw()?, 16).ok()
}

fn bytes(raw: &Node) -> Option<Vec<u8>> {
    let hex = raw.raw()?;
    let pairs = hex.as_bytes().chunks(2).map(|pair| {
        let pair = str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::said::{BINARY, TEXT};

    const CLIENT: Sender = Sender { client: 9, is_client: true };

    /// A `websocket` layer, as tshark 4.0 prints it, with `more` fields.
    fn frame(is_final: u8, opcode: &str, len: usize, more: &str) -> String {
        format!(
            r#""websocket":{{"websocket.fin_raw":["{is_final}",66,1,128,2],"websocket.rsv_raw":["0",66,1,
            112,4],"websocket.opcode_raw":["{opcode}",66,1,15,4],"websocket.payload_length_raw":["{len:x}",
            67,1,127,4]{more}}}"#
        )
    }

    fn text(hex: &str) -> String {
        format!(r#","websocket.payload":{{"websocket.payload.text_raw":["{hex}",0,2,0,26]}}"#)
    }

    /// What is read from one packet of the client's with these layers.
    fn read(layers: &[String]) -> Said {
        let tcp =
            r#""tcp":{"tcp.srcport_raw":["0009",34,2,0,5],"tcp.dstport_raw":["1c68",36,2,0,5]}"#;
        let layers = layers.join(",");
        let packet = format!(r#"{{"_source":{{"layers":{{{tcp},{layers}}}}}}}"#);
        said(&[serde_json::from_str(&packet).expect("JSON")])
    }

    fn items(items: &[(u8, &[u8])]) -> Said {
        let mut said = Said::default();
        items.iter().for_each(|(opcode, payload)| said.push(CLIENT, Item::new(*opcode, payload)));
        said
    }

    #[test]
    fn each_frame_of_a_packet_counts() {
        let ping = r#","websocket.payload":{"websocket.payload.ping_raw":["78",0,1,0,30]}"#;
        let layers = [
            frame(1, "1", 2, &text("6869")),
            frame(1, "9", 1, ping),
            frame(1, "2", 1, ""),
            r#""data_raw":["ff",0,1,0,1]"#.to_owned(),
            frame(1, "1", 0, ""),
        ];
        let expected = [(TEXT, &b"hi"[..]), (PING, b"x"), (BINARY, b"\xff"), (TEXT, b"")];
        assert_eq!(read(&layers), items(&expected));
    }

    #[test]
    fn a_message_in_fragments_is_that_of_its_last_frame() {
        let layers =
            [frame(0, "2", 1, ""), frame(1, "0", 1, ""), r#""data_raw":["6162"]"#.to_owned()];
        assert_eq!(read(&layers), items(&[(BINARY, b"ab")]));
    }

    #[test]
    fn half_a_payload_and_a_tail_without_its_head_are_not_whole() {
        assert_eq!(read(&[frame(1, "1", 3, &text("6869"))]), Said::default());
        assert_eq!(read(&[frame(1, "1", 3, "")]), Said::default());
        assert_eq!(read(&[frame(1, "0", 2, &text("6869"))]), Said::default());
    }

    #[test]
    fn a_close_frame_has_code_and_reason() {
        let close = r#","websocket.payload":{"websocket.payload.close":{
            "websocket.payload.close.status_code_raw":["03e8",0,2,0,5],
            "websocket.payload.close.reason_raw":["78",0,1,0,26]}}"#;
        assert_eq!(read(&[frame(1, "8", 3, close)]), items(&[(CLOSE, b"\x03\xe8x")]));
    }
}
