//! The trait `Port`: what a worker knows of an interface.
//!
//! A port owns packet memory, cut in frames, and moves frames between itself and one interface.
//! Frames are linear tokens (`af_xdp::Frame`): at any time each frame of a port is in exactly one
//! of four places, and [`PortFrameCounts`] says how many are where:
//!
//! ```text
//!            give_frame                    rx: the interface fills it
//!   held ---------------> free ----> fill -----------------+
//!    ^  \                  |  ^                            |
//!    |   \ tx_burst        |  | sent                       v
//!    |    +-------------> tx -+          rx_burst ------> held
//!    +---- take_frame -----+
//! ```
//!
//! Nothing here blocks, allocates or reads a clock; time is an argument. A frame goes back to the
//! port it came from and to no other.

use core::fmt::Debug;
use std::os::fd::BorrowedFd;

use af_xdp::Frame;
use arrayvec::ArrayVec;
use tidegate_wire::Instant;

use crate::{Facts, PortCounters};

/// The most frames that are moved in one call: large enough that the cost of a call is shared by
/// many frames, small enough that a burst's headers stay in the first-level cache.
pub const BURST: usize = 64;

/// Up to [`BURST`] frames handled together, the oldest first.
pub type Burst = ArrayVec<Frame, BURST>;

/// The descriptors to give to poll(2), in the port's own order of queues.
pub type WaitFds<'a> = ArrayVec<BorrowedFd<'a>, WAIT_FDS>;

/// The most descriptors that are waited for. A port with more queues names the first 16; frames
/// on the others are still received by every turn, a sleeping worker is only not woken by them.
pub const WAIT_FDS: usize = 16;

/// Where frames come from and go to: an interface of the machine, or a simulated one.
pub trait Port: Debug {
    /// What was found out and decided when the port was opened.
    fn facts(&self) -> &Facts;

    /// Appends received frames to `burst`, the oldest first, up to the burst's capacity.
    fn rx_burst(&mut self, burst: &mut Burst, now: Instant);

    /// Takes frames from the front of `burst` and sends them; what the port cannot take now stays
    /// in `burst`, in order. A frame that was taken but cannot be sent is counted as dropped.
    fn tx_burst(&mut self, burst: &mut Burst, now: Instant);

    /// An empty frame to write into and to send, or `None` while all are in use elsewhere.
    fn take_frame(&mut self) -> Option<Frame>;

    /// Takes a frame of this port back: one that was received and read, or taken and not sent.
    ///
    /// # Panics
    ///
    /// May panic when the frame belongs to another port.
    fn give_frame(&mut self, frame: Frame);

    /// Where this port's frames are.
    fn frame_counts(&self) -> PortFrameCounts;

    /// What went through and what was dropped since the port was opened.
    fn counters(&self) -> PortCounters;

    /// Appends the descriptors whose readability means that frames have come in, as many as fit.
    /// None are appended by a simulated port: there [`next_event`](Self::next_event) tells all.
    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>);

    /// When a simulated port has its next frame ready (possibly in the past: now); `None` when
    /// nothing is under way, and always for a real interface.
    fn next_event(&self) -> Option<Instant>;
}

/// Where a port's frames are: `free + fill + held + tx = total`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortFrameCounts {
    /// All frames of the port's packet memory.
    pub total: u32,
    /// Ready to be taken.
    pub free: u32,
    /// Set aside for receiving: with the kernel, or waiting for what is received next.
    pub fill: u32,
    /// With the worker: received or taken, and not yet sent or given back.
    pub held: u32,
    /// Being sent.
    pub tx: u32,
}

impl PortFrameCounts {
    /// Whether each frame is in exactly one place.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        let places = self.free as u64 + self.fill as u64 + self.held as u64 + self.tx as u64;
        places == self.total as u64
    }
}
