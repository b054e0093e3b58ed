//! `Frame`: the right to touch one slot of packet memory, as a value.
//!
//! A frame can be neither copied nor cloned, and only a [`Umem`](crate::Umem) makes one, so at most
//! one exists for each slot. Who has it owns the bytes; who has lent it to the kernel has an
//! address and cannot reach them. That is what makes packet memory safe to use from safe code.
//!
//! ```text
//!  slot                                                                slot + frame_size
//!  |<------ HEADROOM 256 ------>|<---- len ---->|                              |
//!  |        (metadata, 24 bytes)| bytes()       |                              |
//!  |<---------- start --------->|<----------------- capacity ----------------->|
//! ```
//!
//! A `Frame` that is dropped is not unsafe, but its slot is lost: give it back to its UMEM.

#![allow(
    unsafe_code,
    reason = "the bytes of a frame are reached through a raw pointer"
)]

use std::fmt;
use std::ptr::NonNull;
use std::slice;

/// Where the data of a fresh frame begins in its slot, in bytes.
///
/// It is what the kernel leaves free in front of every received frame (`XDP_PACKET_HEADROOM` in
/// linux/bpf.h, 6.18), so frames look the same whether they were received or are to be sent.
/// Metadata for transmission lies at the end of this room.
pub const HEADROOM: usize = START as usize;

/// [`HEADROOM`] as frames keep it.
pub(crate) const START: u16 = 256;

/// Bytes of `struct xsk_tx_metadata` in front of the data (linux/if_xdp.h, 6.18).
///
/// The kernel takes 16 or 24; 8 registers, but then sums are sent that nobody finished.
pub(crate) const TX_METADATA_LEN: u16 = 24;

/// Asks whoever sends the frame to finish an Internet checksum (RFC 1071).
///
/// The field at `start + offset` must already hold the sum of what lies outside the frame, such as
/// a pseudo-header; the sender adds everything from `start` to the end and stores the complement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxChecksum {
    /// Where summing begins, in bytes from the start of the frame's data.
    pub start: u16,
    /// Where the sum is stored, in bytes from `start`.
    pub offset: u16,
}

/// One slot of packet memory with a frame in it; see the module's text.
#[must_use = "a frame that is dropped is lost to its UMEM; give it back"]
pub struct Frame {
    /// First byte of the slot.
    slot: NonNull<u8>,
    /// Which slot of the UMEM.
    index: u32,
    /// Size of the slot in bytes.
    slot_size: u16,
    /// Where the data begins, in bytes from `slot`.
    start: u16,
    /// Bytes of data.
    len: u16,
    tx_checksum: Option<TxChecksum>,
}

// SAFETY: the token is the only one for its slot and the slot is plain memory, so the right to
// touch it may move to another thread with the token.
unsafe impl Send for Frame {}

impl Frame {
    /// A token for the slot `index` that begins at `slot`, with `len` bytes from `start` on.
    ///
    /// # Safety
    ///
    /// `slot_size` bytes from `slot` on are readable, writable and initialised, and stay so as
    /// long as the token exists; no other token for them exists; nobody else writes them.
    pub(crate) unsafe fn new(
        slot: NonNull<u8>,
        index: u32,
        slot_size: u16,
        start: u16,
        len: u16,
    ) -> Self {
        debug_assert!(u32::from(start) + u32::from(len) <= u32::from(slot_size));
        Self {
            slot,
            index,
            slot_size,
            start,
            len,
            tx_checksum: None,
        }
    }

    /// The bytes of the frame, from the first byte of its link-layer header.
    pub fn bytes(&self) -> &[u8] {
        let data = self.at(self.start);
        // SAFETY: `start + len` is at most `slot_size` (kept by every method), those bytes are
        // initialised, and only this token can reach them.
        unsafe { slice::from_raw_parts(data.as_ptr(), usize::from(self.len)) }
    }

    /// The bytes of the frame, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let data = self.at(self.start);
        // SAFETY: as in `bytes`, and the token is borrowed mutably.
        unsafe { slice::from_raw_parts_mut(data.as_ptr(), usize::from(self.len)) }
    }

    /// Bytes in the frame.
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether the frame has no bytes, as a fresh one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How long the frame can become, in bytes: from where its data begins to the end of its slot.
    pub fn capacity(&self) -> usize {
        usize::from(self.slot_size - self.start)
    }

    /// Sets the length to `len` bytes and keeps the beginning. Bytes that come in hold whatever
    /// the slot held before.
    ///
    /// # Panics
    ///
    /// If `len` is more than [`capacity`](Self::capacity).
    pub fn resize(&mut self, len: usize) {
        assert!(
            len <= self.capacity(),
            "{len} bytes do not fit into {}",
            self.capacity()
        );
        self.len = u16::try_from(len).expect("the capacity fits into 16 bits");
    }

    /// Makes the frame as good as new: empty, data to begin at [`HEADROOM`], no checksum wanted.
    pub fn reset(&mut self) {
        self.start = START;
        self.len = 0;
        self.tx_checksum = None;
    }

    /// Takes `n` bytes off the front.
    ///
    /// # Panics
    ///
    /// If the frame has fewer.
    pub fn trim_front(&mut self, n: usize) {
        assert!(n <= self.len(), "{n} bytes cannot be cut from {}", self.len);
        let n = u16::try_from(n).expect("at most the length, which has 16 bits");
        self.start += n;
        self.len -= n;
    }

    /// The checksum that the sender of this frame is asked to finish, if any.
    pub fn tx_checksum(&self) -> Option<TxChecksum> {
        self.tx_checksum
    }

    /// Asks the sender of this frame to finish a checksum, or not to. [`reset`](Self::reset)
    /// withdraws it.
    pub fn set_tx_checksum(&mut self, tx_checksum: Option<TxChecksum>) {
        self.tx_checksum = tx_checksum;
    }

    /// Finishes the checksum that was asked for here and now, and withdraws the request. It is for
    /// drivers that have nobody to ask.
    ///
    /// A request that does not fit the frame is withdrawn and changes nothing.
    pub fn finish_tx_checksum(&mut self) {
        let Some(TxChecksum { start, offset }) = self.tx_checksum.take() else {
            return;
        };
        let (start, offset) = (usize::from(start), usize::from(offset));
        let Some(summed) = self.bytes_mut().get_mut(start..) else {
            return;
        };
        if summed.len() < offset + 2 {
            return;
        }
        let sum = internet_checksum(summed);
        summed[offset..offset + 2].copy_from_slice(&sum.to_be_bytes());
    }

    /// Whether the checksum request lies inside the frame; the kernel refuses others, and what it
    /// refuses stays at the head of the ring.
    pub(crate) fn tx_checksum_fits(&self) -> bool {
        self.tx_checksum
            .is_some_and(|sum| usize::from(sum.start) + usize::from(sum.offset) + 2 <= self.len())
    }

    /// Whether the slot has room for metadata in front of the data. Only a frame that a caller
    /// reclaimed at an address of its own choice has not.
    pub(crate) fn has_metadata_room(&self) -> bool {
        self.start >= TX_METADATA_LEN
    }

    /// Writes `struct xsk_tx_metadata` (linux/if_xdp.h, 6.18) in front of the data: 64 bits of
    /// flags, then where to sum and where to store, 16 bits each from the start of the data, then
    /// the launch time, which is not used.
    pub(crate) fn write_tx_metadata(&mut self, flags: u64, sum: TxChecksum) {
        let mut metadata = [0; TX_METADATA_LEN as usize];
        metadata[0..8].copy_from_slice(&flags.to_ne_bytes());
        metadata[8..10].copy_from_slice(&sum.start.to_ne_bytes());
        metadata[10..12].copy_from_slice(&sum.offset.to_ne_bytes());
        let start = self.start.checked_sub(TX_METADATA_LEN);
        let start = start.expect("asked for with has_metadata_room");
        let room = self.at(start);
        // SAFETY: the 24 bytes from `room` on end where the data begins, so they lie in the slot
        // of this token, which is borrowed mutably.
        let room = unsafe { slice::from_raw_parts_mut(room.as_ptr(), metadata.len()) };
        room.copy_from_slice(&metadata);
    }

    /// The first byte of the slot, by which a UMEM knows its own.
    pub(crate) fn slot(&self) -> NonNull<u8> {
        self.slot
    }

    /// Which slot of the UMEM it is.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// Where the data begins, in bytes from the beginning of the slot.
    pub(crate) fn start(&self) -> u16 {
        self.start
    }

    fn at(&self, offset: u16) -> NonNull<u8> {
        debug_assert!(offset <= self.slot_size);
        // SAFETY: `offset` is at most `slot_size`, so the result is in the slot or one past it.
        unsafe { self.slot.add(usize::from(offset)) }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("index", &self.index)
            .field("start", &self.start)
            .field("len", &self.len)
            .field("tx_checksum", &self.tx_checksum)
            .finish()
    }
}

/// The Internet checksum of `bytes` as RFC 1071 defines it, ready to be stored in network order.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let mut sum: u64 = words
        .iter()
        .map(|word| u64::from(u16::from_be_bytes(*word)))
        .sum();
    if let [last] = rest {
        sum += u64::from(u16::from_be_bytes([*last, 0]));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to 16 bits")
}
