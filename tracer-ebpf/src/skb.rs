//! The packet, seen through the kernel's helpers.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext, bindings::__sk_buff, helpers::bpf_skb_load_bytes, programs::TcContext,
};
use tracer_common::packet::{self, Packet};

/// A socket buffer at the TC hook. Offset 0 is the MAC header, or the network header on devices
/// that have none; linear or not makes no difference to `bpf_skb_load_bytes`.
pub(crate) struct Skb {
    raw: *mut __sk_buff,
}

impl Skb {
    #[inline(always)]
    pub(crate) fn new(ctx: TcContext) -> Self {
        let TcContext { skb } = ctx;
        Self { raw: skb.skb }
    }

    /// The EtherType of what the kernel takes for the network header.
    #[inline(always)]
    pub(crate) fn protocol(&self) -> u16 {
        // SAFETY: the context is valid for the whole run. The field is big endian, 16 bits wide.
        u16::from_be(unsafe { (*self.raw).protocol } as u16)
    }

    /// What the frame itself has for an EtherType: read from the packet, without a helper, where that
    /// much of it lies in one piece.
    #[inline(always)]
    pub(crate) fn ethertype_field(&self) -> Option<u16> {
        const AT: usize = packet::ETHERNET_HEADER_LEN as usize - 2;
        // SAFETY: the context is valid for the whole run.
        let (data, end) = unsafe { ((*self.raw).data as usize, (*self.raw).data_end as usize) };
        if data + AT + 2 > end {
            return None;
        }
        // SAFETY: it lies before the end. Frames begin at even addresses, or the machine does not care.
        Some(u16::from_be(unsafe { ((data + AT) as *const u16).read_unaligned() }))
    }

    #[inline(always)]
    pub(crate) fn interface(&self) -> u32 {
        // SAFETY: the context is valid for the whole run.
        unsafe { (*self.raw).ifindex }
    }

    #[inline(always)]
    pub(crate) fn length(&self) -> u32 {
        // SAFETY: the context is valid for the whole run.
        unsafe { (*self.raw).len }
    }

    /// The value at `offset`.
    ///
    /// # Safety
    ///
    /// Any bytes are a `T`.
    #[inline(always)]
    unsafe fn read<T>(&self, offset: u32) -> Option<T> {
        let mut value = MaybeUninit::<T>::uninit();
        let to = value.as_mut_ptr().cast();
        // SAFETY: the helper writes exactly the value's bytes, zeroes when it fails.
        unsafe {
            let failed = bpf_skb_load_bytes(self.raw.cast(), offset, to, size_of::<T>() as u32);
            if failed == 0 { Some(value.assume_init()) } else { None }
        }
    }

    /// Copies `len` bytes at `offset` into `to`; `N` is a power of two. False when the packet is
    /// shorter. Nothing is copied for `len` 0 or above `N`.
    #[inline(always)]
    pub(crate) fn copy<const N: usize>(&self, offset: u32, to: *mut [u8; N], len: u32) -> bool {
        const { assert!(N.is_power_of_two()) };
        if len == 0 || len > N as u32 {
            return len == 0;
        }
        let len = bounded::<N>(len - 1) + 1;
        // SAFETY: `to` has room for `N` bytes, and 1 <= len <= N.
        unsafe { bpf_skb_load_bytes(self.raw.cast(), offset, to.cast(), len) == 0 }
    }
}

impl Packet for Skb {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        // SAFETY: any bytes are an array of bytes.
        unsafe { self.read(offset) }
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: u32) -> Option<[u32; N]> {
        // SAFETY: any bytes are an array of words.
        unsafe { self.read(offset) }
    }

    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.length()
    }
}

/// What aya-log asks of a context.
impl EbpfContext for Skb {
    fn as_ptr(&self) -> *mut core::ffi::c_void {
        self.raw.cast()
    }
}

/// The value at `place`, which is in a map or a record, so that the verifier forgets where it came
/// from. Of what bounds a copy it wants to know every earlier step exactly, and then goes through a
/// loop once for each way that leads to it.
///
/// # Safety
///
/// `place` is valid for reads.
#[inline(always)]
pub(crate) unsafe fn forget(place: *mut u32) -> u32 {
    // SAFETY: by the caller.
    unsafe { place.read_volatile() }
}

/// `value`, which is below `N`, in a form that says so to the verifier: of a comparison, older
/// verifiers forget the bound once the value is copied to another register. LLVM, which does not
/// forget, would drop a mask written in Rust, so it is written in assembly.
#[inline(always)]
pub(crate) fn bounded<const N: usize>(value: u32) -> u32 {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = u64::from(value);
        // SAFETY: one `and` on a register.
        unsafe {
            core::arch::asm!("{0} &= {1}", inout(reg) value, const N as i32 - 1);
        }
        value as u32
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        value & (N as u32 - 1)
    }
}
