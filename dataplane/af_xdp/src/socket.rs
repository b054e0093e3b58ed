//! `Socket`: one queue of one interface, with its four rings and the frames it has lent.
//!
//! ```text
//!            fill()                                    rx()
//!   UMEM  ------------>  fill ring  ---> kernel --->  rx ring  --------->  a frame to read
//!
//!            tx()                                      complete()
//!   frame ------------>  tx ring  -----> kernel --->  completion ring -->  UMEM
//! ```
//!
//! A burst of a poll loop is `complete`, `rx`, work, `tx`, `wake_tx`, `fill`, `wake_rx`. None of
//! them waits, allocates or locks, and only the two wake-ups may make a system call.
//!
//! A frame that is in the kernel's hands when its socket is dropped stays lent for as long as the
//! UMEM lives: whether the kernel is through with it cannot be known. Frames that span several
//! descriptors (`XDP_USE_SG`) are not supported.

mod config;
mod open;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use config::{
    BusyPoll, SocketConfig, SocketCounters, SocketFrames, SocketMode, Statistics, Wake, ZeroCopy,
};

use crate::error::Error;
use crate::frame::Frame;
use crate::ring::{Consumer, Descriptor, Producer};
use crate::sys;
use crate::umem::{Holder, ReclaimError, Umem};

/// What a frame has at least, in bytes. Devices and drivers rely on it.
const ETHERNET_HEADER_LEN: usize = 14;

/// One queue of one interface; see the module's text.
pub struct Socket {
    fd: OwnedFd,
    fill: Producer<u64>,
    rx: Consumer<Descriptor>,
    tx: Producer<Descriptor>,
    completion: Consumer<u64>,
    /// Which UMEM it was opened with.
    umem: u64,
    /// Its number in the book of the UMEM.
    number: u16,
    frames: SocketFrames,
    interface: Box<str>,
    queue: u32,
    mode: SocketMode,
    counters: SocketCounters,
    last_reclaim_error: Option<ReclaimError>,
}

impl Socket {
    /// Opens a socket on `queue` of `interface` and registers `umem` with it. Needs `CAP_NET_RAW`,
    /// and `CAP_IPC_LOCK` if the memory exceeds `RLIMIT_MEMLOCK`.
    ///
    /// # Errors
    ///
    /// Whatever the kernel refuses, with advice: `EPERM`, `ENODEV`, `ENOBUFS` for too much locked
    /// memory, `EBUSY` for a queue that somebody else has (tried for 100 ms in each mode),
    /// `EINVAL` for a queue that does not exist, `EOPNOTSUPP` for [`ZeroCopy::On`] and a driver
    /// that cannot.
    pub fn open(
        umem: &mut Umem,
        interface: &str,
        queue: u32,
        config: SocketConfig,
    ) -> Result<Self, Error> {
        open::open(umem, open::Memory::Own, interface, queue, config)
    }

    /// Opens a socket on another queue that shares the registered memory of `first`
    /// (`XDP_SHARED_UMEM`). It has its own fill and completion ring; whether it copies, and whether
    /// it wants to be woken, comes from `first` whatever `config` says.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// If `first` was opened with another UMEM.
    pub fn open_shared(
        umem: &mut Umem,
        first: &Self,
        interface: &str,
        queue: u32,
        config: SocketConfig,
    ) -> Result<Self, Error> {
        open::open(
            umem,
            open::Memory::SharedWith(first),
            interface,
            queue,
            config,
        )
    }

    /// Lends free frames for receiving until as many are lent as the fill ring holds, and says how
    /// many it lent now.
    ///
    /// # Panics
    ///
    /// If `umem` is not the one the socket was opened with.
    pub fn fill(&mut self, umem: &mut Umem) -> u32 {
        self.check_umem(umem);
        let missing = self.fill.size() - self.frames.fill;
        let reserved = self.fill.reserve(missing.min(umem.counts().free));
        let frame_size = u64::from(umem.config().frame_size);
        for _ in 0..reserved {
            let frame = umem.take().expect("no more are reserved than are free");
            let addr = umem.lend_to(frame, Holder::Fill(self.number));
            // The kernel places the data itself; it wants to know the slot only.
            self.fill.write(addr - addr % frame_size);
        }
        if reserved > 0 {
            self.fill.submit();
            self.frames.fill += reserved;
        }
        reserved
    }

    /// Gives up to `max` received frames to `sink`, oldest first, and says how many.
    ///
    /// # Panics
    ///
    /// If `umem` is not the one the socket was opened with.
    pub fn rx(&mut self, umem: &mut Umem, max: u32, mut sink: impl FnMut(Frame)) -> u32 {
        self.check_umem(umem);
        let available = self.rx.peek(max);
        if available == 0 {
            return 0;
        }
        let mut received = 0;
        for _ in 0..available {
            let descriptor = self.rx.read();
            if let Some(frame) = self.receive(umem, descriptor) {
                sink(frame);
                received += 1;
            }
        }
        self.rx.release();
        self.counters.rx_frames += u64::from(received);
        received
    }

    /// How many frames [`tx`](Self::tx) takes now.
    pub fn tx_room(&mut self) -> u32 {
        self.tx.reserve(self.tx.size())
    }

    /// Puts frames into the tx ring, in order, until there is no room or no frame left, and says
    /// how many it took. It takes no frame from the iterator that it cannot put there; but an
    /// iterator such as `drain` drops what is left in it, and dropped frames are lost, so give it
    /// [`tx_room`](Self::tx_room) frames at most.
    ///
    /// The kernel may want to be told: see [`wake_tx`](Self::wake_tx). A frame that is shorter than
    /// an Ethernet header is counted and goes back to the UMEM at once; the kernel would neither
    /// send nor return an empty one.
    ///
    /// # Panics
    ///
    /// If `umem` is not the one the socket was opened with, or a frame belongs to another.
    pub fn tx(&mut self, umem: &mut Umem, frames: impl IntoIterator<Item = Frame>) -> u32 {
        self.check_umem(umem);
        let (mut taken, mut room) = (0, self.tx_room());
        let mut frames = frames.into_iter();
        while room > 0 {
            let Some(frame) = frames.next() else { break };
            taken += 1;
            if !self.is_sendable(&frame) {
                self.counters.tx_refused += 1;
                umem.give(frame);
                continue;
            }
            let descriptor = self.lend_for_tx(umem, frame);
            self.tx.write(descriptor);
            self.frames.tx += 1;
            self.counters.tx_frames += 1;
            room -= 1;
        }
        self.tx.submit();
        taken
    }

    /// How many frames lie in the tx ring that the kernel has not looked at.
    pub fn tx_pending(&self) -> u32 {
        self.tx.pending()
    }

    /// Takes back the frames that have been sent and sets them free; says how many.
    ///
    /// # Panics
    ///
    /// If `umem` is not the one the socket was opened with.
    pub fn complete(&mut self, umem: &mut Umem) -> u32 {
        self.check_umem(umem);
        let available = self.completion.peek(u32::MAX);
        if available == 0 {
            return 0;
        }
        let mut completed = 0;
        for _ in 0..available {
            let addr = self.completion.read();
            match umem.reclaim_from(addr, Holder::Tx(self.number)) {
                Ok(frame) => {
                    umem.give(frame);
                    completed += 1;
                }
                Err(error) => self.count_wrong(error),
            }
        }
        self.completion.release();
        self.frames.tx -= completed;
        completed
    }

    /// Has the kernel send what lies in the tx ring, if it wants to be told. At most one system
    /// call is made for what is sent at once; more follow only as long as each one got further.
    ///
    /// After [`Wake::Again`] and [`Wake::NoBuffers`] the rest stays in the ring: call again later,
    /// on the next turn, for as long as [`tx_pending`](Self::tx_pending) is not 0.
    pub fn wake_tx(&mut self) -> Wake {
        let mut pending = self.tx.pending();
        // In zero-copy mode some drivers return sent frames only when they are woken.
        let waiting = pending > 0 || (self.mode.zero_copy && self.frames.tx > 0);
        let wanted = waiting && self.tx.need_wakeup();
        if !(wanted || self.mode.busy_poll) {
            return Wake::NotNeeded;
        }
        let mut calls_left = self.tx.size();
        loop {
            let result = sys::socket::wake_tx(self.fd.as_fd());
            let before = std::mem::replace(&mut pending, self.tx.pending());
            calls_left -= 1;
            match result {
                Ok(()) => return Wake::Done,
                // One frame was completed but not sent, and those behind it have not been tried.
                Err(libc::EBUSY) if calls_left > 0 => self.counters.tx_dropped += 1,
                // The call has sent as many as one call may.
                Err(libc::EAGAIN) if pending < before && pending > 0 && calls_left > 0 => {}
                Err(errno) => return Wake::from_errno(errno),
            }
        }
    }

    /// Has the driver look at the fill ring, if it wants to be told.
    pub fn wake_rx(&mut self) -> Wake {
        if !self.mode.busy_poll && !self.fill.need_wakeup() {
            return Wake::NotNeeded;
        }
        match sys::socket::wake_rx(self.fd.as_fd()) {
            Ok(()) => Wake::Done,
            Err(errno) => Wake::from_errno(errno),
        }
    }

    /// What the kernel counts for this socket.
    ///
    /// # Errors
    ///
    /// If the kernel is older than Linux 5.9, which counted less.
    pub fn statistics(&self) -> Result<Statistics, Error> {
        let counted = sys::socket::statistics(self.fd.as_fd()).map_err(|errno| {
            Error::new(
                "getsockopt(XDP_STATISTICS)",
                errno,
                "use Linux 5.9 or later",
            )
            .of_interface(&self.interface)
            .of_queue(self.queue)
        })?;
        Ok(Statistics {
            rx_dropped: counted.rx_dropped,
            rx_invalid_descs: counted.rx_invalid_descs,
            tx_invalid_descs: counted.tx_invalid_descs,
            rx_ring_full: counted.rx_ring_full,
            rx_fill_ring_empty: counted.rx_fill_ring_empty_descs,
            tx_ring_empty: counted.tx_ring_empty_descs,
        })
    }

    /// What the socket counts itself.
    pub fn counters(&self) -> SocketCounters {
        self.counters
    }

    /// The last address that came back wrong, if any did.
    pub fn last_reclaim_error(&self) -> Option<ReclaimError> {
        self.last_reclaim_error
    }

    /// Where the frames are that the socket has lent.
    pub fn frames(&self) -> SocketFrames {
        self.frames
    }

    /// What the socket turned out to be.
    pub fn mode(&self) -> SocketMode {
        self.mode
    }

    /// The interface it was opened on.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The queue it was opened on.
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// Turns a descriptor of the rx ring into its frame; `None` if it makes no sense.
    fn receive(&mut self, umem: &mut Umem, descriptor: Descriptor) -> Option<Frame> {
        let mut frame = match umem.reclaim_from(descriptor.addr, Holder::Fill(self.number)) {
            Ok(frame) => frame,
            Err(error) => {
                self.count_wrong(error);
                return None;
            }
        };
        self.frames.fill -= 1;
        let len = descriptor.len as usize;
        if len > frame.capacity() {
            self.count_wrong(ReclaimError::OutOfRange(
                descriptor.addr + u64::from(descriptor.len),
            ));
            umem.give(frame);
            return None;
        }
        frame.resize(len);
        Some(frame)
    }

    fn is_sendable(&self, frame: &Frame) -> bool {
        frame.len() >= ETHERNET_HEADER_LEN && (frame.has_metadata_room() || !self.mode.tx_checksum)
    }

    /// Lends a frame for sending, its checksum finished or left to the kernel.
    fn lend_for_tx(&self, umem: &mut Umem, mut frame: Frame) -> Descriptor {
        let mut options = 0;
        match frame.tx_checksum() {
            Some(sum) if self.mode.tx_checksum && frame.tx_checksum_fits() => {
                frame.write_tx_metadata(u64::from(libc::XDP_TXMD_FLAGS_CHECKSUM), sum);
                options = libc::XDP_TX_METADATA;
            }
            Some(_) => frame.finish_tx_checksum(),
            None => {}
        }
        let len = u32::try_from(frame.len()).expect("a frame has at most 4096 bytes");
        Descriptor {
            addr: umem.lend_to(frame, Holder::Tx(self.number)),
            len,
            options,
        }
    }

    fn count_wrong(&mut self, error: ReclaimError) {
        self.counters.returned_wrong += 1;
        self.last_reclaim_error = Some(error);
    }

    fn check_umem(&self, umem: &Umem) {
        assert_eq!(
            self.umem,
            umem.id(),
            "the socket was opened with another UMEM"
        );
    }
}

impl Wake {
    fn from_errno(errno: i32) -> Self {
        match errno {
            libc::EAGAIN | libc::EBUSY => Self::Again,
            libc::ENOBUFS => Self::NoBuffers,
            errno => Self::Failed(errno),
        }
    }
}

impl AsFd for Socket {
    /// To wait for with poll(2): readable when frames have come in, writable when the tx ring has
    /// room. In copy mode poll(2) also sends what lies in the tx ring.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("interface", &self.interface)
            .field("queue", &self.queue)
            .field("mode", &self.mode)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}
