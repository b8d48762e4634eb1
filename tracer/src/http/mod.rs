//! HTTP/1.1 as far as WebSocket needs it: heads, body framing, and the upgrade (RFC 9112, RFC 6455
//! section 4). Pure: no I/O, no clock.

pub mod body;
pub mod head;
pub mod secrets;
pub mod upgrade;
