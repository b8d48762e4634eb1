//! How much waits in a ring buffer: its two positions are read where the kernel keeps them, without
//! disturbing whoever takes records out.

use std::{
    os::fd::AsFd,
    ptr,
    sync::atomic::{AtomicUsize, Ordering::Acquire},
};

use anyhow::{Context as _, Result};
use rustix::{
    mm::{MapFlags, ProtFlags, mmap},
    param::page_size,
};

/// The level of one ring.
#[derive(Clone, Copy)]
pub struct RingLevel {
    consumer: &'static AtomicUsize,
    producer: &'static AtomicUsize,
    size: usize,
}

impl RingLevel {
    /// Of the ring buffer map behind `ring`, which is `size` bytes long.
    pub fn of(ring: impl AsFd, size: usize) -> Result<Self> {
        // A page with the consumer's position and one with the producer's, before the data
        // (`struct bpf_ringbuf`, kernel/bpf/ringbuf.c).
        let page = page_size();
        let pages = map(ring, 2 * page).context("cannot look at the level of a ring buffer")?;
        Ok(Self {
            consumer: position(pages),
            producer: position(pages.wrapping_byte_add(page)),
            size,
        })
    }

    /// Bytes that wait, the headers of records included.
    pub fn used(&self) -> usize {
        // In this order: the producer is ahead. It may have been both read and written in between.
        let consumer = self.consumer.load(Acquire);
        self.producer.load(Acquire).wrapping_sub(consumer).min(self.size)
    }

    /// Bytes of room.
    pub fn size(&self) -> usize {
        self.size
    }
}

/// Maps the beginning of a file for as long as the process lives: a ring is made once in a run.
#[expect(unsafe_code, reason = "there is no safe way to map memory")]
fn map(file: impl AsFd, len: usize) -> Result<*mut AtomicUsize> {
    // SAFETY: no address is asked for, so that nothing that is in use is mapped anew.
    let at = unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, file, 0) }?;
    Ok(at.cast())
}

/// The position at the beginning of a page.
#[expect(unsafe_code, reason = "the kernel writes there while we read")]
fn position(page: *mut AtomicUsize) -> &'static AtomicUsize {
    // SAFETY: `map` has mapped it, aligned to a page, and nobody unmaps it. The kernel writes it in one
    // go (`smp_store_release` of an unsigned long), as aya does.
    unsafe { &*page }
}
