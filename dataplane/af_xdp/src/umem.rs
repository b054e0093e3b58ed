//! `Umem`: packet memory, cut into frames, and the book of who has which.
//!
//! The memory is mapped once and never moves. Each slot is in one of three states, and the book
//! catches whoever breaks the order:
//!
//! ```text
//!            take                     lend
//!   free ------------>  held   ------------------>  lent
//!        <------------ (Frame) <------------------ (address)
//!            give                   reclaim
//! ```
//!
//! A UMEM needs no socket and no privilege; other drivers use it as packet memory too. Registering
//! it with the kernel is the business of a [`Socket`](crate::Socket), which lends and reclaims on
//! its own account: what it has lent, only it can reclaim, so the kernel never writes into bytes
//! that safe code can reach.

#![allow(
    unsafe_code,
    reason = "frame tokens are made from the mapped memory here and only here"
)]

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::frame::{Frame, START};
use crate::sys::Mapping;

/// How large packet memory is and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UmemConfig {
    /// How many frames. All of them count against `RLIMIT_MEMLOCK` once a socket registers them.
    pub frames: u32,
    /// Bytes of one frame, 2048 or 4096. The first 256 are headroom: 2048 receives up to 1792
    /// bytes, 4096 up to 3840.
    pub frame_size: u32,
    /// Whether sockets may ask the kernel to finish checksums ([`Frame::set_tx_checksum`]).
    /// Needs Linux 6.11; without it the socket finishes them itself.
    pub tx_metadata: bool,
}

impl Default for UmemConfig {
    fn default() -> Self {
        Self {
            frames: 4096,
            frame_size: 2048,
            tx_metadata: false,
        }
    }
}

/// Where the frames of a UMEM are: `free + lent + held = total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// All frames.
    pub total: u32,
    /// Frames nobody has.
    pub free: u32,
    /// Frames lent out, known by their address only.
    pub lent: u32,
    /// Frames somebody has as a [`Frame`].
    pub held: u32,
}

/// An address came back that was not out there: the device or its driver is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReclaimError {
    /// No frame has this address.
    OutOfRange(u64),
    /// The frame of this address is not lent to whoever returns it: returned twice, or never lent.
    NotLent(u64),
}

impl fmt::Display for ReclaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange(addr) => write!(f, "address {addr:#x} lies outside of the UMEM"),
            Self::NotLent(addr) => {
                write!(f, "the frame at {addr:#x} was returned twice or never lent")
            }
        }
    }
}

impl std::error::Error for ReclaimError {}

/// To whom a frame is lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A caller of [`Umem::lend`].
    Caller,
    /// The fill or rx ring of the socket with this number.
    Fill(u16),
    /// The tx or completion ring of the socket with this number.
    Tx(u16),
}

/// The state of one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Free,
    Held,
    Lent(Holder),
}

/// Tells UMEMs apart, so that a socket notices when it is given another one than its own.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// Packet memory; see the module's text.
///
/// Dropping it unmaps the memory if no [`Frame`] and no address that a caller lent is out;
/// otherwise the mapping stays on purpose until the process ends. Frames that a socket has lent
/// do not count: the kernel holds the pages by itself.
pub struct Umem {
    /// `None` only while dropping.
    memory: Option<Mapping>,
    config: UmemConfig,
    slots: Vec<Slot>,
    /// Last in, first out: the frame used last is the one whose bytes are still in the cache.
    free: Vec<u32>,
    lent: u32,
    /// The part of `lent` that callers of [`Umem::lend`] have.
    lent_by_caller: u32,
    id: u64,
    sockets: u16,
}

impl Umem {
    /// Maps the memory. It is zeroed, and touched only as it is used.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a frame size other than 2048 and 4096 or no frames; `ENOMEM` from `mmap`.
    pub fn new(config: UmemConfig) -> Result<Self, Error> {
        if !matches!(config.frame_size, 2048 | 4096) {
            return Err(Error::invalid(
                "frame_size",
                "use 2048 or 4096 bytes a frame",
            ));
        }
        if config.frames == 0 {
            return Err(Error::invalid("frames", "use at least one frame"));
        }
        let len = u64::from(config.frames) * u64::from(config.frame_size);
        let len = usize::try_from(len).map_err(|_| {
            Error::invalid("frames", "use fewer frames: they exceed the address space")
        })?;
        Ok(Self {
            memory: Some(Mapping::anonymous(len)?),
            config,
            slots: vec![Slot::Free; config.frames as usize],
            free: (0..config.frames).rev().collect(),
            lent: 0,
            lent_by_caller: 0,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            sockets: 0,
        })
    }

    /// What it was made with.
    pub fn config(&self) -> UmemConfig {
        self.config
    }

    /// Takes a free frame: empty, its data to begin at [`HEADROOM`](crate::HEADROOM). `None` when all are in use.
    pub fn take(&mut self) -> Option<Frame> {
        let index = self.free.pop()?;
        self.slots[index as usize] = Slot::Held;
        Some(self.token(index, START, 0))
    }

    /// Takes a frame back, whatever is in it.
    ///
    /// # Panics
    ///
    /// If the frame belongs to another UMEM.
    pub fn give(&mut self, frame: Frame) {
        self.check_owned(&frame);
        let slot = &mut self.slots[frame.index() as usize];
        debug_assert_eq!(*slot, Slot::Held, "a token exists only for a held frame");
        *slot = Slot::Free;
        self.free.push(frame.index());
    }

    /// Whether the frame is one of this UMEM.
    pub fn owns(&self, frame: &Frame) -> bool {
        frame.index() < self.config.frames && self.slot(frame.index()) == frame.slot()
    }

    /// Turns a frame into the address of its data, in bytes from the beginning of the memory. The
    /// bytes cannot be reached until [`reclaim`](Self::reclaim) turns the address back.
    ///
    /// # Panics
    ///
    /// If the frame belongs to another UMEM.
    pub fn lend(&mut self, frame: Frame) -> u64 {
        self.lent_by_caller += 1;
        self.lend_to(frame, Holder::Caller)
    }

    /// Turns an address back into its frame. Any address inside the frame will do; the data begins
    /// there, and its length is 0 until [`Frame::resize`] says otherwise.
    ///
    /// # Errors
    ///
    /// If nobody lent that frame with [`lend`](Self::lend), or it was reclaimed before.
    pub fn reclaim(&mut self, addr: u64) -> Result<Frame, ReclaimError> {
        let frame = self.reclaim_from(addr, Holder::Caller)?;
        self.lent_by_caller -= 1;
        Ok(frame)
    }

    /// Where the frames are.
    pub fn counts(&self) -> FrameCounts {
        let total = self.config.frames;
        let free = u32::try_from(self.free.len()).expect("at most `frames` are free");
        FrameCounts {
            total,
            free,
            lent: self.lent,
            held: total - free - self.lent,
        }
    }

    /// As [`lend`](Self::lend), on the account of `holder`.
    pub(crate) fn lend_to(&mut self, frame: Frame, holder: Holder) -> u64 {
        self.check_owned(&frame);
        let slot = &mut self.slots[frame.index() as usize];
        debug_assert_eq!(*slot, Slot::Held, "a token exists only for a held frame");
        *slot = Slot::Lent(holder);
        self.lent += 1;
        u64::from(frame.index()) * u64::from(self.config.frame_size) + u64::from(frame.start())
    }

    /// As [`reclaim`](Self::reclaim), from the account of `holder`.
    pub(crate) fn reclaim_from(
        &mut self,
        addr: u64,
        holder: Holder,
    ) -> Result<Frame, ReclaimError> {
        let frame_size = u64::from(self.config.frame_size);
        let index = u32::try_from(addr / frame_size).unwrap_or(u32::MAX);
        let start = u16::try_from(addr % frame_size).expect("a frame has at most 4096 bytes");
        let slot = self
            .slots
            .get_mut(index as usize)
            .ok_or(ReclaimError::OutOfRange(addr))?;
        if *slot != Slot::Lent(holder) {
            return Err(ReclaimError::NotLent(addr));
        }
        *slot = Slot::Held;
        self.lent -= 1;
        Ok(self.token(index, start, 0))
    }

    /// A number for a new socket, never used before; `None` after 65,535 of them.
    pub(crate) fn number_socket(&mut self) -> Option<u16> {
        let number = self.sockets;
        self.sockets = self.sockets.checked_add(1)?;
        Some(number)
    }

    /// Which UMEM of this process it is.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The mapped memory, to be registered.
    pub(crate) fn memory(&self) -> &Mapping {
        self.memory.as_ref().expect("only drop takes it")
    }

    fn check_owned(&self, frame: &Frame) {
        assert!(self.owns(frame), "the frame belongs to another UMEM");
    }

    fn slot(&self, index: u32) -> NonNull<u8> {
        debug_assert!(index < self.config.frames);
        let offset = index as usize * self.config.frame_size as usize;
        // SAFETY: `index` is below `frames`, so the offset lies in the mapping.
        unsafe { self.memory().base().add(offset) }
    }

    /// The token for a slot that has just become held.
    fn token(&self, index: u32, start: u16, len: u16) -> Frame {
        debug_assert_eq!(self.slots[index as usize], Slot::Held);
        let slot_size = u16::try_from(self.config.frame_size).expect("2048 or 4096");
        // SAFETY: the slot lies in the mapping, which outlives held frames (see `drop`); it was
        // free or lent until now and is held from now on, so this is the only token for it, and
        // whoever it was lent to has returned it.
        unsafe { Frame::new(self.slot(index), index, slot_size, start, len) }
    }
}

impl Drop for Umem {
    fn drop(&mut self) {
        let memory = self.memory.take().expect("dropped once");
        let free = self.free.len();
        let lent_to_sockets = self.lent - self.lent_by_caller;
        if free + lent_to_sockets as usize != self.slots.len() {
            memory.leak();
        }
    }
}

impl fmt::Debug for Umem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Umem")
            .field("config", &self.config)
            .field("counts", &self.counts())
            .finish()
    }
}

#[cfg(test)]
mod tests;
