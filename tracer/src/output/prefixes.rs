//! What each line of a connection has in common: written once, copied from then on.

use crate::event::Conn;

/// Connections remembered, one for each remainder of their numbers.
const SLOTS: usize = 4096;

/// The prefixes of the connections that were heard of lately.
pub(super) struct Prefixes {
    slots: Vec<Slot>,
    write: fn(Conn, &mut Vec<u8>),
}

#[derive(Clone, Default)]
struct Slot {
    /// The connection's number; none has 0.
    id: u64,
    prefix: Vec<u8>,
}

impl Prefixes {
    /// Of prefixes that `write` appends to a buffer.
    pub(super) fn new(write: fn(Conn, &mut Vec<u8>)) -> Self {
        Self { slots: vec![Slot::default(); SLOTS], write }
    }

    /// Appends the connection's prefix.
    pub(super) fn push(&mut self, conn: Conn, buffer: &mut Vec<u8>) {
        let slot = &mut self.slots[conn.id as usize % SLOTS];
        if slot.id != conn.id {
            slot.id = conn.id;
            slot.prefix.clear();
            (self.write)(conn, &mut slot.prefix);
        }
        buffer.extend_from_slice(&slot.prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Endpoint;

    #[test]
    fn each_connection_keeps_its_own() {
        let write = |conn: Conn, buffer: &mut Vec<u8>| buffer.extend(conn.id.to_string().bytes());
        let mut prefixes = Prefixes::new(write);
        let end = Endpoint { address: [0; 16], port: 0 };
        let many = SLOTS as u64;
        for id in [1, 1, 2, many + 1, 1, 7 * many + 1, 2] {
            let mut buffer = b"#".to_vec();
            prefixes.push(Conn { id, client: end, server: end }, &mut buffer);
            assert_eq!(buffer, format!("#{id}").into_bytes());
        }
    }
}
