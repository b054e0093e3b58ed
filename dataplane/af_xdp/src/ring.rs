//! The rings that user and kernel share: one side writes entries, the other reads them.
//!
//! A ring is an array of a power of two of entries and two cursors of 32 bits that only ever grow
//! and wrap at 2^32. The producer owns one cursor, the consumer the other; neither waits.
//!
//! ```text
//!        consumer                producer
//!           v                       v
//!   [ . . . X X X X X X X X X X X X . . . . ]      X: entries = producer - consumer (mod 2^32)
//!           |-- peek, release --> | |-- reserve, submit -->
//! ```
//!
//! Each side works on a copy of its own cursor and shows it to the other once a burst: an entry is
//! written before the producer's cursor is stored with release, and read after that cursor was
//! loaded with acquire; the same holds the other way round for the free places. The other side's
//! cursor is copied too, and loaded again only when the copy says that there is not enough.
//!
//! Layout: `struct xdp_ring_offset` in linux/if_xdp.h, 6.18. Which ring carries what is told in the
//! crate's text. This file knows neither sockets nor frames, and works on any shared memory.

#![allow(
    unsafe_code,
    reason = "cursors and entries lie in memory that the kernel shares"
)]

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::Mapping;

/// Flag of a ring: the kernel sleeps and wants to be woken (`XDP_RING_NEED_WAKEUP`).
const NEED_WAKEUP: u32 = 1;

/// An entry of the rx and tx rings: `struct xdp_desc` in linux/if_xdp.h, 6.18.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Where the data begins, in bytes from the beginning of the UMEM.
    pub(crate) addr: u64,
    /// Bytes of data.
    pub(crate) len: u32,
    /// `XDP_PKT_CONTD` and `XDP_TX_METADATA`.
    pub(crate) options: u32,
}

/// What may lie in a ring: plain data for which any bytes will do.
///
/// # Safety
///
/// Every pattern of bits is a value of the type.
pub(crate) unsafe trait Entry: Copy {}

// SAFETY: an integer; the fill and completion rings carry addresses.
unsafe impl Entry for u64 {}

// SAFETY: a struct of integers without padding.
unsafe impl Entry for Descriptor {}

/// Where the parts of a ring lie in its mapping, in bytes from the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) producer: usize,
    pub(crate) consumer: usize,
    pub(crate) flags: usize,
    pub(crate) entries: usize,
    /// How many entries, a power of two.
    pub(crate) size: u32,
}

impl Layout {
    /// Bytes that must be mapped.
    pub(crate) fn mapping_len<T>(&self) -> usize {
        self.entries + self.size as usize * size_of::<T>()
    }
}

/// The parts that both sides need.
struct Ring<T> {
    memory: Mapping,
    layout: Layout,
    mask: u32,
    entry: PhantomData<T>,
}

impl<T: Entry> Ring<T> {
    fn new(memory: Mapping, layout: Layout) -> Self {
        assert!(
            layout.size.is_power_of_two(),
            "a ring of {} entries",
            layout.size
        );
        assert!(
            memory.len() >= layout.mapping_len::<T>(),
            "the mapping is too short for its ring"
        );
        for cursor in [layout.producer, layout.consumer, layout.flags] {
            assert!(
                cursor % align_of::<AtomicU32>() == 0,
                "a cursor is not aligned"
            );
            assert!(
                cursor + size_of::<AtomicU32>() <= memory.len(),
                "a cursor lies outside"
            );
        }
        assert!(
            layout.entries.is_multiple_of(align_of::<T>()),
            "the entries are not aligned"
        );
        Self {
            memory,
            layout,
            mask: layout.size - 1,
            entry: PhantomData,
        }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: `new` has checked that the word lies in the mapping, which lives as long as self.
        let word = unsafe { self.memory.base().add(offset) };
        // SAFETY: it is aligned (`new`), and all who share it use atomic operations on it.
        unsafe { word.cast::<AtomicU32>().as_ref() }
    }

    fn producer(&self) -> &AtomicU32 {
        self.word(self.layout.producer)
    }

    fn consumer(&self) -> &AtomicU32 {
        self.word(self.layout.consumer)
    }

    fn need_wakeup(&self) -> bool {
        self.word(self.layout.flags).load(Ordering::Relaxed) & NEED_WAKEUP != 0
    }

    /// Where the entry of a cursor lies.
    fn entry(&self, cursor: u32) -> NonNull<T> {
        let index = (cursor & self.mask) as usize;
        let offset = self.layout.entries + index * size_of::<T>();
        // SAFETY: the masked index is below `size`, and `new` has checked that so many entries lie
        // in the mapping.
        unsafe { self.memory.base().add(offset).cast() }
    }
}

/// The writing side of a ring.
pub(crate) struct Producer<T> {
    ring: Ring<T>,
    /// The next entry to write; the shared cursor follows at `submit`.
    written: u32,
    /// The consumer's cursor as last seen.
    consumed: u32,
}

impl<T: Entry> Producer<T> {
    /// The writing side of the ring in `memory`, which continues where its cursors stand.
    pub(crate) fn new(memory: Mapping, layout: Layout) -> Self {
        let ring = Ring::new(memory, layout);
        let written = ring.producer().load(Ordering::Relaxed);
        let consumed = ring.consumer().load(Ordering::Acquire);
        Self {
            ring,
            written,
            consumed,
        }
    }

    /// How many entries, up to `wanted`, can be written before the next `submit`.
    pub(crate) fn reserve(&mut self, wanted: u32) -> u32 {
        if self.free() < wanted {
            self.consumed = self.ring.consumer().load(Ordering::Acquire);
        }
        self.free().min(wanted)
    }

    /// Writes an entry that was reserved. The other side sees it after `submit`.
    pub(crate) fn write(&mut self, entry: T) {
        debug_assert!(self.free() > 0, "written without a reservation");
        let place = self.ring.entry(self.written);
        // SAFETY: the place lies in the ring, and the consumer does not read it before `submit`
        // has moved the cursor past it.
        unsafe { place.write(entry) };
        self.written = self.written.wrapping_add(1);
    }

    /// Shows everything written to the other side.
    pub(crate) fn submit(&mut self) {
        self.ring.producer().store(self.written, Ordering::Release);
    }

    /// How many entries the other side has not taken yet, as it says now.
    pub(crate) fn pending(&self) -> u32 {
        self.written
            .wrapping_sub(self.ring.consumer().load(Ordering::Relaxed))
    }

    /// Whether the kernel wants a system call before it looks at the ring.
    pub(crate) fn need_wakeup(&self) -> bool {
        self.ring.need_wakeup()
    }

    /// How many entries the ring holds.
    pub(crate) fn size(&self) -> u32 {
        self.ring.layout.size
    }

    fn free(&self) -> u32 {
        // A consumer that claims more than was written is broken; nothing is free then.
        self.size()
            .saturating_sub(self.written.wrapping_sub(self.consumed))
    }
}

/// The reading side of a ring.
pub(crate) struct Consumer<T> {
    ring: Ring<T>,
    /// The next entry to read; the shared cursor follows at `release`.
    read: u32,
    /// The producer's cursor as last seen.
    produced: u32,
}

impl<T: Entry> Consumer<T> {
    /// The reading side of the ring in `memory`, which continues where its cursors stand.
    pub(crate) fn new(memory: Mapping, layout: Layout) -> Self {
        let ring = Ring::new(memory, layout);
        let read = ring.consumer().load(Ordering::Relaxed);
        let produced = ring.producer().load(Ordering::Acquire);
        Self {
            ring,
            read,
            produced,
        }
    }

    /// How many entries, up to `wanted`, can be read before the next `release`.
    pub(crate) fn peek(&mut self, wanted: u32) -> u32 {
        if self.available() < wanted {
            self.produced = self.ring.producer().load(Ordering::Acquire);
        }
        self.available().min(wanted)
    }

    /// Reads an entry that `peek` has announced.
    pub(crate) fn read(&mut self) -> T {
        debug_assert!(self.available() > 0, "read without a peek");
        let place = self.ring.entry(self.read);
        // SAFETY: the place lies in the ring; the producer has written it before its cursor, which
        // was loaded with acquire, and does not write it again before `release`; and any bytes are
        // a value of an `Entry`.
        let entry = unsafe { place.read() };
        self.read = self.read.wrapping_add(1);
        entry
    }

    /// Gives the places of everything read back to the other side.
    pub(crate) fn release(&mut self) {
        self.ring.consumer().store(self.read, Ordering::Release);
    }

    /// How many entries the ring holds.
    #[cfg(test)]
    pub(crate) fn size(&self) -> u32 {
        self.ring.layout.size
    }

    fn available(&self) -> u32 {
        // A producer that claims more than the ring holds is broken; no more than that is read.
        self.produced
            .wrapping_sub(self.read)
            .min(self.ring.layout.size)
    }
}

#[cfg(test)]
mod tests;
