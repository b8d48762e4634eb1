//! What the classifier in the kernel and the tracer in user space agree on: the record that
//! crosses the ring buffer, the maps' values, and the one parser of packet headers that both run.
//!
//! Everything shared is fixed-width integers and byte arrays, padding spelt out, sizes asserted.
#![cfg_attr(not(test), no_std)]

pub mod counters;
pub mod flow;
pub mod follow;
pub mod packet;
pub mod ports;
pub mod record;

#[cfg(feature = "aya")]
mod pod {
    //! The shared types are plain old data: `repr(C)`, no padding, every bit pattern valid.
    #![expect(unsafe_code, reason = "aya::Pod is an unsafe marker trait")]

    // SAFETY: `repr(C)`, only `u64` fields, hence no padding and no invalid bit pattern.
    unsafe impl aya::Pod for crate::counters::Counters {}
    // SAFETY: `repr(C)`, byte arrays and integers whose sizes add up to the asserted one.
    unsafe impl aya::Pod for crate::flow::FlowKey {}
    // SAFETY: `repr(C)`, only `u64` fields.
    unsafe impl aya::Pod for crate::flow::Bypassed {}
    // SAFETY: `repr(C)`, integers and bytes whose sizes add up to the asserted one.
    unsafe impl aya::Pod for crate::follow::Followed {}
    // SAFETY: `repr(transparent)` over an array of `u64`.
    unsafe impl aya::Pod for crate::ports::PortSet {}
}
