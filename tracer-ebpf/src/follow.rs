//! Long messages of which only the beginning is shown: the rest stays in the kernel, as long as the
//! frames can be followed. `tracer_common::follow` knows how; here are the tables and the packet.

use tracer_common::{
    follow::{Arrival, Followed, LEAST_SEGMENT, Piece, Turn, Unusual},
    packet::{Ip, Packet as _, Tcp, flags},
    record::marks,
};

use crate::{
    flows, maps,
    skb::{Skb, bounded, forget},
};

/// Where the segment's frames are, if its direction is followed.
#[inline(always)]
pub(crate) fn begin(skb: &Skb, ip: &Ip, tcp: &Tcp, time: u64) -> Option<&'static mut Followed> {
    let shown = maps::SHOWN.load();
    let is_syn = tcp.flags & flags::SYN != 0;
    if tcp.payload_len == 0 && !is_syn {
        return None;
    }
    let may_begin = shown != u32::MAX
        && tcp.payload_len >= LEAST_SEGMENT
        && !is_syn
        && skb
            .load(tcp.options_offset + tcp.options_len)
            .is_some_and(|first| Followed::is_worthwhile(&first, shown));
    if !may_begin && !maps::has_followed_flows() {
        return None;
    }
    let key = flows::key(skb, ip, tcp);
    let segment = Arrival { seq: tcp.seq, len: tcp.payload_len, time, is_syn, may_begin };
    let (frames, turn) = match maps::frames(&key) {
        Some(frames) => {
            let turn = frames.arrive(&segment, || maps::confirmed(&key));
            (Some(frames), turn)
        }
        None => (None, if may_begin { Turn::Anew } else { Turn::Pass }),
    };
    match turn {
        Turn::Follow => frames,
        Turn::Pass => None,
        Turn::Anew => maps::follow(&key, &segment),
    }
}

/// The marks of a record, and what goes with them.
#[inline(always)]
pub(crate) fn marks(frames: &Followed, left_out: u32) -> (u16, u32) {
    match frames.asks() {
        Some(frame) => (marks::ASKS, frame),
        None => (0, left_out),
    }
}

/// What to copy next of the `rest` bytes that begin `at` in the payload, `room` of them at most, and
/// what to leave out behind.
#[inline(always)]
pub(crate) fn next_piece(
    skb: &Skb,
    tcp: &Tcp,
    frames: &mut Followed,
    at: u32,
    rest: u32,
    room: u32,
) -> Piece {
    let used = header(skb, tcp, frames, at, rest.min(room)).unwrap_or_else(|Unusual| {
        frames.stop();
        0
    });
    let Piece { copy, skip } = frames.payload(rest - used, room - used);
    Piece { copy: used + copy, skip }
}

/// Reads what there is of a header in `rest` bytes, where one is due. Returns how many bytes.
#[inline(always)]
fn header(skb: &Skb, tcp: &Tcp, frames: &mut Followed, at: u32, rest: u32) -> Result<u32, Unusual> {
    let wanted = frames.header_room().min(rest);
    if wanted == 0 {
        return Ok(0);
    }
    let offset = tcp.options_offset + tcp.options_len + at;
    let (kept, have) = frames.header_place();
    // SAFETY: `have` is below 16, and `kept` has room for 16 bytes more.
    let place = unsafe { kept.as_mut_ptr().add(bounded::<16>(have) as usize) }.cast();
    // SAFETY: a field of a map's value.
    let len = unsafe { forget(frames.loading(wanted)) };
    if !skb.copy::<16>(offset, place, len) {
        return Err(Unusual);
    }
    frames.header(len, tcp.seq.wrapping_add(at), maps::SHOWN.load())
}
