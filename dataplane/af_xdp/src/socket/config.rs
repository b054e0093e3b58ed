//! What a socket may be asked for, and what it turned out to be.

use std::fmt;

/// Whether frames are copied between the driver's memory and the UMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroCopy {
    /// Without copies where the driver can, else with.
    #[default]
    Auto,
    /// Without copies or not at all.
    On,
    /// With copies, also where the driver could do without.
    Off,
}

/// Preferred busy polling: the wake-up calls run the driver's poll function on the caller's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyPoll {
    /// How long one call may poll, in microseconds. 20 is usual; larger values keep the caller
    /// longer, smaller ones cost more calls.
    pub time_us: u32,
    /// How many frames one call may handle; 64 is the driver's own measure. Above it the kernel
    /// wants `CAP_NET_ADMIN`.
    pub budget: u32,
}

/// What to ask of a socket. Sizes of rings are powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// Entries of the fill ring, and how many frames are lent for receiving at most. Smaller
    /// values lose bursts, larger values take frames from sending and cool the caches.
    pub fill_size: u32,
    /// Entries of the rx ring. At least `fill_size`, so that it cannot overflow.
    pub rx_size: u32,
    /// Entries of the tx ring.
    pub tx_size: u32,
    /// Entries of the completion ring. At least `tx_size`, so that the kernel can always say that
    /// it is done.
    pub completion_size: u32,
    /// Whether to do without copies.
    pub zero_copy: ZeroCopy,
    /// Whether the driver may sleep and ask to be woken (`XDP_USE_NEED_WAKEUP`). Right for almost
    /// everybody; without it a driver in zero-copy mode polls by itself.
    pub need_wakeup: bool,
    /// Preferred busy polling, used only if the queue has a NAPI id (a veth has none).
    pub busy_poll: Option<BusyPoll>,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            fill_size: 1024,
            rx_size: 1024,
            tx_size: 1024,
            completion_size: 1024,
            zero_copy: ZeroCopy::Auto,
            need_wakeup: true,
            busy_poll: None,
        }
    }
}

/// What a socket turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode {
    /// Frames are not copied.
    pub zero_copy: bool,
    /// Why not, where it was tried: the error number of `bind`.
    pub zero_copy_refused: Option<i32>,
    /// The driver may sleep and asks to be woken.
    pub need_wakeup: bool,
    /// The wake-up calls poll the driver.
    pub busy_poll: bool,
    /// Checksums that a frame asks for are finished by the kernel or the NIC; otherwise
    /// [`Socket::tx`](crate::Socket::tx) finishes them itself.
    pub tx_checksum: bool,
    /// How many frames one wake-up sends at most in copy mode.
    pub tx_budget: u32,
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.zero_copy { "zero-copy" } else { "copy" })?;
        for (holds, name) in [
            (self.need_wakeup, "need_wakeup"),
            (self.busy_poll, "busy_poll"),
            (self.tx_checksum, "tx_checksum"),
        ] {
            if holds {
                write!(f, ", {name}")?;
            }
        }
        Ok(())
    }
}

/// What became of a wake-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The kernel had not asked for one; no system call was made.
    NotNeeded,
    /// The kernel has looked at the ring.
    Done,
    /// The kernel cannot send more just now (`EAGAIN`): what is left stays in the ring, wake again
    /// later.
    Again,
    /// The kernel or the driver has no memory for it just now (`ENOBUFS`): wake again later.
    NoBuffers,
    /// Something else, such as `ENETDOWN` for an interface that is down or gone.
    Failed(i32),
}

/// What the kernel counts for one socket (`struct xdp_statistics`, linux/if_xdp.h, 6.18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Received frames dropped for want of a frame to put them in, or too long for one.
    pub rx_dropped: u64,
    /// Descriptors of the fill ring that were invalid.
    pub rx_invalid_descs: u64,
    /// Descriptors of the tx ring that were invalid.
    pub tx_invalid_descs: u64,
    /// Received frames dropped because the rx ring was full.
    pub rx_ring_full: u64,
    /// How often the kernel found the fill ring empty.
    pub rx_fill_ring_empty: u64,
    /// How often the kernel found the tx ring empty.
    pub tx_ring_empty: u64,
}

/// What the socket counts itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketCounters {
    /// Frames received.
    pub rx_frames: u64,
    /// Frames put into the tx ring.
    pub tx_frames: u64,
    /// Frames not put there, because they were shorter than an Ethernet header.
    pub tx_refused: u64,
    /// Wake-ups that reported `EBUSY`: a frame was completed but the device dropped it.
    pub tx_dropped: u64,
    /// Addresses and lengths that came back wrong: the driver is broken. See
    /// [`Socket::last_reclaim_error`](crate::Socket::last_reclaim_error).
    pub returned_wrong: u64,
}

/// Where the frames are that a socket has lent to the kernel.
///
/// For a UMEM, the sum of these over its sockets, and of what [`Umem::lend`](crate::Umem::lend)
/// lent, is `lent` in its [`FrameCounts`](crate::FrameCounts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFrames {
    /// Lent for receiving: in the fill ring, with the driver, or in the rx ring.
    pub fill: u32,
    /// Lent for sending: in the tx ring, on the way, or in the completion ring.
    pub tx: u32,
}
