//! WebSocket (RFC 6455) and permessage-deflate (RFC 7692): one direction's bytes go in, frames and
//! messages come out, every broken rule named. Pure: no I/O, no clock.

pub mod close;
pub mod deflate;
pub mod extension;
pub mod frame;
pub mod inflaters;
pub mod mask;
pub mod message;
pub mod receiver;
pub mod resync;
pub mod rule;
#[cfg(test)]
pub(crate) mod test_frames;
pub mod utf8;
