//! The AF_XDP driver: frames are redirected before the kernel's stack, into our packet memory.
//!
//! One program on the interface redirects what is for the owned addresses, and leaves the rest to
//! the kernel; one socket on each queue receives it. All sockets of a port share one UMEM. Several
//! ports may share an interface, one for each worker: queue `q` belongs to port `q % ports`, and
//! the program stays until the last of them is gone.
//!
//! Receiving goes round the port's queues, beginning with another one each time. Sending uses the
//! first of them only: frames of one flow must not overtake each other, and one queue carries more
//! than one core sends.
//!
//! What it needs: CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF outside of a user namespace, and
//! CAP_IPC_LOCK where packet memory exceeds the limit on locked memory.
//!
//! Descriptors say nothing about checksums. A virtual peer's kernel leaves the sums of what it
//! sends to hardware that is not there: have it finish them, or trust partial sums.

mod open;

use core::net::IpAddr;
use std::os::fd::AsFd;

use af_xdp::{Frame, Program, Socket, Statistics, Umem};
use tidegate_wire::Instant;

use crate::memory::ETHERNET_MAX;
use crate::{Burst, Error, Facts, Port, PortCounters, PortDrop, PortFrameCounts, WaitFds};

/// How often the kernel is asked how much it dropped, in milliseconds. The answer takes a system
/// call for each queue, and nobody looks more often.
const STATISTICS_INTERVAL_MS: u64 = 100;

/// How many frames are lent for receiving at a time. One at a time costs a write each that the
/// kernel's core must see; many at a time let the ring run low.
const FILL_STEP: u32 = 32;

/// Frames shorter than an Ethernet header are no frames.
const ETHERNET_MIN: usize = 14;

/// The program of an interface, shared by its ports; nobody looks at it on the data path.
#[expect(
    clippy::disallowed_types,
    reason = "immutable, and it must stay attached until the last port is gone"
)]
type SharedProgram = std::sync::Arc<Program>;

/// A port on AF_XDP sockets.
#[derive(Debug)]
pub struct XdpPort {
    /// Dropped before the sockets, so that nothing is redirected to a socket that is gone.
    program: SharedProgram,
    queues: Vec<Queue>,
    umem: Umem,
    facts: Facts,
    addresses: Vec<IpAddr>,
    counters: PortCounters,
    /// The queue to look at first.
    next_rx: usize,
    /// When the kernel is to be asked next for its drops.
    statistics_due: Instant,
}

/// One queue with what was last seen of the kernel's counts.
#[derive(Debug)]
struct Queue {
    socket: Socket,
    fill_size: u32,
    seen: Statistics,
    seen_tx_dropped: u64,
}

impl XdpPort {
    /// Answers for these addresses, and no longer for others, from now on. It holds for all ports
    /// of the interface; give the same list to each.
    ///
    /// # Errors
    ///
    /// When the program's map is full: it has room for 1024, or for as many as it began with.
    pub fn set_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        for address in addresses {
            self.program.own(*address)?;
        }
        for address in &self.addresses {
            if !addresses.contains(address) {
                self.program.disown(*address)?;
            }
        }
        self.addresses = addresses.to_vec();
        Ok(())
    }

    pub(super) const fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    fn update_drops(&mut self, now: Instant) {
        if now < self.statistics_due {
            return;
        }
        self.statistics_due = Instant::from_millis(now.as_millis() + STATISTICS_INTERVAL_MS);
        for queue in &mut self.queues {
            queue.count_drops(&mut self.counters);
        }
    }

    /// Takes frames out of the burst that no socket would send.
    fn drop_unsendable(&mut self, burst: &mut Burst) {
        let len_max = self.facts.mtu as usize + ETHERNET_MAX;
        let is_unsendable = |frame: &Frame| !(ETHERNET_MIN..=len_max).contains(&frame.len());
        while let Some(index) = burst.iter().position(is_unsendable) {
            let frame = burst.remove(index);
            let drop = if frame.len() > len_max {
                PortDrop::TxTooLong
            } else {
                PortDrop::TxInvalid
            };
            self.counters.count_drop(drop, 1);
            self.umem.give(frame);
        }
    }
}

impl Queue {
    /// Brings home what has been sent, receives, and lends new frames for what comes next.
    fn receive(&mut self, umem: &mut Umem, burst: &mut Burst, counters: &mut PortCounters) {
        self.complete(umem);
        let room = u32::try_from(burst.remaining_capacity()).expect("at most a burst");
        self.socket.rx(umem, room, |frame| {
            counters.count_rx(frame.len());
            burst.push(frame);
        });
        // Not for every single frame: to submit costs a write that the kernel's core must see.
        let step = FILL_STEP.min(self.fill_size / 2);
        if self.socket.frames().fill + step <= self.fill_size {
            self.socket.fill(umem);
        }
        self.socket.wake_rx();
    }

    /// Has the kernel go on with what it could not send before, and takes back what it has sent.
    fn complete(&mut self, umem: &mut Umem) {
        if self.socket.frames().tx > 0 {
            if self.socket.tx_pending() > 0 {
                self.socket.wake_tx();
            }
            self.socket.complete(umem);
        }
    }

    /// Adds what the kernel and the socket have dropped since the last time.
    fn count_drops(&mut self, counters: &mut PortCounters) {
        // Kernels before 5.9 do not count it all; there nothing is known.
        let Ok(now) = self.socket.statistics() else {
            return;
        };
        let before = core::mem::replace(&mut self.seen, now);
        // The kernel counts a frame as dropped for want of room and for its length alike; in the
        // first case it has also found the fill ring empty.
        let dropped = now.rx_dropped - before.rx_dropped;
        let found_empty = now.rx_fill_ring_empty - before.rx_fill_ring_empty;
        let no_frame = dropped.min(found_empty);
        let tx_dropped = self.socket.counters().tx_dropped;
        for (drop, frames) in [
            (PortDrop::RxNoFrame, no_frame),
            (PortDrop::RxTooLong, dropped - no_frame),
            (PortDrop::RxRingFull, now.rx_ring_full - before.rx_ring_full),
            (
                PortDrop::RxInvalid,
                now.rx_invalid_descs - before.rx_invalid_descs,
            ),
            (
                PortDrop::TxInvalid,
                now.tx_invalid_descs - before.tx_invalid_descs,
            ),
            (PortDrop::TxRefused, tx_dropped - self.seen_tx_dropped),
        ] {
            counters.count_drop(drop, frames);
        }
        self.seen_tx_dropped = tx_dropped;
    }
}

impl Port for XdpPort {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        self.update_drops(now);
        let (last, first) = self.queues.split_at_mut(self.next_rx);
        for queue in first.iter_mut().chain(last) {
            queue.receive(&mut self.umem, burst, &mut self.counters);
        }
        self.next_rx = (self.next_rx + 1) % self.queues.len();
    }

    fn tx_burst(&mut self, burst: &mut Burst, _now: Instant) {
        self.drop_unsendable(burst);
        let queue = self
            .queues
            .first_mut()
            .expect("a port has at least one queue");
        queue.complete(&mut self.umem);
        let room = usize::try_from(queue.socket.tx_room()).unwrap_or(usize::MAX);
        let taken = room.min(burst.len());
        if taken > 0 {
            let counters = &mut self.counters;
            let frames = burst.drain(..taken);
            let frames = frames.inspect(|frame| counters.count_tx(frame.len()));
            queue.socket.tx(&mut self.umem, frames);
        }
        queue.socket.wake_tx();
    }

    fn take_frame(&mut self) -> Option<Frame> {
        self.umem.take()
    }

    fn give_frame(&mut self, frame: Frame) {
        self.umem.give(frame);
    }

    fn frame_counts(&self) -> PortFrameCounts {
        let counts = self.umem.counts();
        let lent = self.queues.iter().map(|queue| queue.socket.frames());
        PortFrameCounts {
            total: counts.total,
            free: counts.free,
            fill: lent.clone().map(|frames| frames.fill).sum(),
            held: counts.held,
            tx: lent.map(|frames| frames.tx).sum(),
        }
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>) {
        for queue in &self.queues {
            // Where there is no more room, the queue is still looked at in each turn.
            let _ = fds.try_push(queue.socket.as_fd());
        }
    }

    fn next_event(&self) -> Option<Instant> {
        None
    }
}
