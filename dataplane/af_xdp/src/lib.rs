//! AF_XDP sockets for Linux, on `libc` alone: packet memory, the four rings, and an XDP program.
//!
//! # What AF_XDP is
//!
//! A program that wants whole Ethernet frames, many of them, and none of the kernel's network
//! stack, opens an AF_XDP socket on one queue of one network interface. Frames then travel between
//! the driver and the program through memory that both see. No system call moves a frame: the
//! program writes an address into a ring, or reads one from it.
//!
//! Two things are set up for that, and they are independent:
//!
//! - An **XDP program** on the interface, some instructions that the kernel runs for every frame
//!   that comes in, decides which frames go to a socket. The others go on into the kernel, so that
//!   the machine stays reachable on the same interface. [`Program`] brings one that selects by IP
//!   address. Only receiving needs it.
//! - A **UMEM**, one piece of memory cut into frames of equal size, is registered with the kernel,
//!   and four **rings** pass the frames back and forth. They are [`Umem`] and [`Socket`].
//!
//! # The four rings
//!
//! A ring has one writer and one reader, of whom one is the kernel. Two rings serve receiving, two
//! serve sending; each pair is a circle on which empty and full frames go round.
//!
//! ```text
//!                  this process                          kernel and driver
//!
//!                +--------------+   fill ring                +-----------+
//!       fill()   | free frames  | ======= empty ===========> |           |
//!                |              |                            |  receive  | <--- wire
//!       rx()     | frames held  | <====== full ============= |           |
//!                |              |   rx ring                  +-----------+
//!                |     UMEM     |
//!                |              |   tx ring                  +-----------+
//!       tx()     | frames held  | ======= full ============> |           |
//!                |              |                            |   send    | ---> wire
//!     complete() | free frames  | <====== empty ============ |           |
//!                +--------------+   completion ring          +-----------+
//! ```
//!
//! | ring | direction | an entry says |
//! |---|---|---|
//! | fill | process to kernel | "put a received frame here": an address |
//! | rx | kernel to process | "this came in": address, length |
//! | tx | process to kernel | "send this": address, length, whether metadata lies in front |
//! | completion | kernel to process | "this has been sent, take the frame back": an address |
//!
//! A socket that does not keep its fill ring filled receives nothing; one that does not empty its
//! completion ring cannot send for long.
//!
//! # Who owns a frame
//!
//! At any time a frame is free, or held by the program, or lent to the kernel; never two of them.
//! This is where other interfaces to AF_XDP leave it to the programmer not to write into a frame
//! that the kernel is sending, or to return one twice. Here a held frame is a value, [`Frame`],
//! which can be neither copied nor forged. To put it into a ring consumes it, and all that is left
//! is an address, which is of no use until the kernel gives it back. So packet memory is safe to
//! use from safe code, and the UMEM keeps a book that catches a driver that gives an address back
//! twice ([`ReclaimError`]). The book adds up at any time:
//!
//! ```text
//!   free + fill + held + tx = total      (Umem::counts and Socket::frames)
//! ```
//!
//! A [`Umem`] needs no socket: drivers for other kinds of interface can use it as packet memory.
//!
//! # Waking the kernel
//!
//! The kernel does not look at a ring all the time. When the driver goes to sleep it sets a flag in
//! the ring, `need_wakeup`, and then wants one system call before it looks again; while it is busy
//! anyway it needs none. [`Socket::wake_tx`] and [`Socket::wake_rx`] read the flag and make the call
//! only if it is set. In copy mode, see below, sending always wants the call, because the call
//! itself does the work.
//!
//! # Copy and zero-copy, native and generic
//!
//! In **zero-copy** mode the device reads and writes the UMEM itself. The driver must be made for it:
//! many drivers of 10 Gbit/s and more are. Elsewhere the kernel **copies** each frame once; that
//! works on every interface, `veth` and TAP included. [`SocketConfig`] says what may be tried,
//! [`SocketMode`] what came of it.
//!
//! The XDP program can run in the driver (**native**), before the kernel has spent anything on the
//! frame, or behind it (**generic**): slower, but there is no interface without it. [`XdpMode`] says
//! what may be tried, [`Attachment`] and [`Program::native_refused`] what came of it. A driver
//! refuses native mode when a frame of the interface's MTU does not fit a page, or when queues are
//! missing.
//!
//! # Privileges
//!
//! | to do what | takes |
//! |---|---|
//! | open a socket and send | `CAP_NET_RAW` |
//! | receive, that is, attach a program | also `CAP_NET_ADMIN` and `CAP_BPF` |
//! | register more memory than `RLIMIT_MEMLOCK` (often 8 MB) | also `CAP_IPC_LOCK` |
//! | make a [`Umem`] and not register it | nothing |
//!
//! In a user namespace sending works, receiving does not: BPF maps are refused there. An [`Error`]
//! names the interface, the queue, the system call and what to do about it.
//!
//! # Example
//!
//! Sends back whatever comes in for one address, for as long as there is something:
//!
//! ```no_run
//! use af_xdp::{Program, ProgramConfig, Socket, SocketConfig, Umem, UmemConfig};
//!
//! # fn main() -> Result<(), af_xdp::Error> {
//! let mut umem = Umem::new(UmemConfig::default())?;
//! let mut socket = Socket::open(&mut umem, "eth1", 0, SocketConfig::default())?;
//! socket.fill(&mut umem);
//!
//! let program = Program::attach("eth1", ProgramConfig::default())?;
//! program.own("192.0.2.1".parse().unwrap())?;
//! program.serve(&socket)?;
//!
//! let mut burst = Vec::with_capacity(64);
//! loop {
//!     socket.complete(&mut umem);
//!     let room = socket.tx_room().min(64);
//!     socket.rx(&mut umem, room, |frame| burst.push(frame));
//!     for frame in &mut burst {
//!         let (to, from) = frame.bytes_mut()[..12].split_at_mut(6);
//!         to.swap_with_slice(from);
//!     }
//!     socket.tx(&mut umem, burst.drain(..));
//!     socket.wake_tx();
//!     socket.fill(&mut umem);
//!     socket.wake_rx();
//! }
//! # }
//! ```
//!
//! # Limits
//!
//! One socket a queue; it has its own fill and completion ring, also where queues share a UMEM
//! ([`Socket::open_shared`]). Frames of 2048 or 4096 bytes, of which 256 are headroom; a frame that
//! is longer than its slot is dropped by the kernel (`XDP_USE_SG` is not used). The kernel does not
//! say whether the checksums of a received frame are right: verify them, and know that a frame from
//! a `veth` of the same machine may carry only the sum of its pseudo-header. Linux 5.10 or later;
//! checksums are finished by the kernel from 6.11 on.

mod error;
mod frame;
mod program;
mod ring;
mod socket;
mod sys;
mod umem;

pub use error::Error;
pub use frame::{Frame, HEADROOM, TxChecksum};
pub use program::{Attachment, Program, ProgramConfig, XdpMode};
pub use socket::{
    BusyPoll, Socket, SocketConfig, SocketCounters, SocketFrames, SocketMode, Statistics, Wake,
    ZeroCopy,
};
pub use umem::{FrameCounts, ReclaimError, Umem, UmemConfig};

#[cfg(test)]
mod tests {
    use super::*;

    /// What one core owns may be made on another.
    #[test]
    fn everything_can_be_sent_to_the_thread_that_uses_it() {
        fn is_send<T: Send>() -> usize {
            size_of::<T>()
        }
        assert!(is_send::<Umem>() > 0 && is_send::<Socket>() > 0 && is_send::<Program>() > 0);
        // A frame is moved often; it should stay small.
        assert_eq!(is_send::<Frame>(), 24);
    }
}
