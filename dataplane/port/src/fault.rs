//! `Fault`: a port around a port that loses, doubles, damages, reorders and delays frames, from a
//! seed. It stands between a worker and a real interface, to see how the two bear a bad network.
//!
//! Delayed frames stay frames of the port inside: received ones that wait count as `fill`, those
//! that wait to be sent as `tx`, so the books stay exact. A quarter of the port's frames may wait
//! each way; beyond it, received frames stay with the port inside and frames to send with the
//! worker.
//!
//! Frames that wait to be sent go out when the worker calls either burst; when the next is due,
//! [`Port::next_event`] tells, on a real interface too.

use std::collections::VecDeque;

use af_xdp::Frame;
use tidegate_wire::Instant;

use crate::impairment::flip_bit;
use crate::path::{Path, Plan};
use crate::{
    BURST, Burst, Facts, Impairment, LinkStatistics, Port, PortCounters, PortDrop, PortFrameCounts,
    WaitFds,
};

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultConfig {
    /// Decides every fault.
    pub seed: u64,
    /// How received frames fare.
    pub rx: Impairment,
    /// How frames fare that are sent.
    pub tx: Impairment,
}

/// A port with faults.
#[derive(Debug)]
pub struct Fault<P: Port> {
    port: P,
    rx: Delay,
    tx: Delay,
    /// Frames that are due and that the port inside has not taken yet.
    outgoing: Burst,
    /// Frames and bytes given to the worker.
    received: PortCounters,
}

/// Frames that wait in one direction.
#[derive(Debug)]
struct Delay {
    path: Path,
    /// Ordered by when they are due, among equals by arrival.
    waiting: VecDeque<(Instant, Frame)>,
    waiting_max: usize,
}

impl Delay {
    fn new(seed: u64, impairment: Impairment, waiting_max: usize) -> Self {
        Self {
            path: Path::new(seed, impairment),
            // Duplicates may take the room of frames that have been let in.
            waiting: VecDeque::with_capacity(waiting_max + BURST),
            waiting_max,
        }
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= self.waiting_max
    }

    fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Decides about a frame of `port`. One that does not arrive goes back to it.
    fn enter(&mut self, mut frame: Frame, port: &mut impl Port, now: Instant) {
        let plan = self.path.plan(frame.len(), now);
        let Plan::Arrives {
            due,
            duplicated,
            corrupted,
        } = plan
        else {
            port.give_frame(frame);
            return;
        };
        if duplicated
            && !self.is_full()
            && let Some(copy) = copy(&frame, port)
        {
            self.path.statistics.duplicated += 1;
            self.insert(due, copy);
        }
        if let Some(random) = corrupted {
            // Finished later, the sum would cover the damage.
            frame.finish_tx_checksum();
            self.path.statistics.corrupted += u64::from(flip_bit(frame.bytes_mut(), random));
        }
        self.insert(due, frame);
    }

    fn insert(&mut self, due: Instant, frame: Frame) {
        match self.waiting.back() {
            Some((last, _)) if *last > due => {
                let place = self.waiting.partition_point(|(other, _)| *other <= due);
                self.waiting.insert(place, (due, frame));
            }
            _ => self.waiting.push_back((due, frame)),
        }
    }

    /// The next frame that is due.
    fn leave(&mut self, now: Instant) -> Option<Frame> {
        if self.next_due()? > now {
            return None;
        }
        self.path.statistics.delivered += 1;
        self.waiting.pop_front().map(|(_, frame)| frame)
    }

    fn statistics(&self) -> LinkStatistics {
        LinkStatistics {
            in_flight: self.waiting.len() as u64,
            ..self.path.statistics
        }
    }

    /// Frames that were dropped on purpose.
    const fn dropped(&self) -> u64 {
        self.path.statistics.lost + self.path.statistics.queue_dropped
    }
}

/// A copy of a frame, unless the port has none to copy into.
fn copy(frame: &Frame, port: &mut impl Port) -> Option<Frame> {
    let mut copy = port.take_frame()?;
    if copy.capacity() < frame.len() {
        port.give_frame(copy);
        return None;
    }
    copy.resize(frame.len());
    copy.bytes_mut().copy_from_slice(frame.bytes());
    copy.set_tx_checksum(frame.tx_checksum());
    Some(copy)
}

impl<P: Port> Fault<P> {
    /// Puts faults between `port` and whoever uses it.
    pub fn new(port: P, config: FaultConfig) -> Self {
        let waiting_max = port.frame_counts().total as usize / 4;
        Self {
            port,
            rx: Delay::new(config.seed, config.rx, waiting_max),
            tx: Delay::new(!config.seed, config.tx, waiting_max),
            outgoing: Burst::new(),
            received: PortCounters::default(),
        }
    }

    /// The port inside.
    pub const fn port(&self) -> &P {
        &self.port
    }

    /// The port inside, to be changed. Its frames must not be moved past the faults.
    pub const fn port_mut(&mut self) -> &mut P {
        &mut self.port
    }

    /// Changes how received frames fare from now on.
    pub fn set_rx(&mut self, impairment: Impairment) {
        self.rx.path.set_impairment(impairment);
    }

    /// Changes how frames fare that are sent from now on.
    pub fn set_tx(&mut self, impairment: Impairment) {
        self.tx.path.set_impairment(impairment);
    }

    /// What became of received frames: `sent` are those that the port inside has received.
    #[must_use]
    pub fn rx_statistics(&self) -> LinkStatistics {
        self.rx.statistics()
    }

    /// What became of frames to send: `delivered` are those that were offered to the port inside.
    #[must_use]
    pub fn tx_statistics(&self) -> LinkStatistics {
        self.tx.statistics()
    }

    /// Sends what is due, as far as the port inside takes it.
    fn send_due(&mut self, now: Instant) {
        loop {
            while !self.outgoing.is_full()
                && let Some(frame) = self.tx.leave(now)
            {
                self.outgoing.push(frame);
            }
            if self.outgoing.is_empty() {
                return;
            }
            self.port.tx_burst(&mut self.outgoing, now);
            if !self.outgoing.is_empty() {
                return;
            }
        }
    }
}

impl<P: Port> Port for Fault<P> {
    fn facts(&self) -> &Facts {
        self.port.facts()
    }

    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        self.send_due(now);
        if self.rx.waiting.len() + BURST <= self.rx.waiting_max.max(BURST) {
            let mut incoming = Burst::new();
            self.port.rx_burst(&mut incoming, now);
            for frame in incoming {
                self.rx.enter(frame, &mut self.port, now);
            }
        }
        while !burst.is_full()
            && let Some(frame) = self.rx.leave(now)
        {
            self.received.count_rx(frame.len());
            burst.push(frame);
        }
    }

    fn tx_burst(&mut self, burst: &mut Burst, now: Instant) {
        self.send_due(now);
        let room = self.tx.waiting_max.saturating_sub(self.tx.waiting.len());
        let taken = burst.len().min(room);
        for frame in burst.drain(..taken) {
            self.tx.enter(frame, &mut self.port, now);
        }
        self.send_due(now);
    }

    fn take_frame(&mut self) -> Option<Frame> {
        self.port.take_frame()
    }

    fn give_frame(&mut self, frame: Frame) {
        self.port.give_frame(frame);
    }

    fn frame_counts(&self) -> PortFrameCounts {
        let inside = self.port.frame_counts();
        let count = |frames| u32::try_from(frames).expect("no more than all frames");
        let rx = count(self.rx.waiting.len());
        let tx = count(self.tx.waiting.len() + self.outgoing.len());
        PortFrameCounts {
            fill: inside.fill + rx,
            held: inside.held - rx - tx,
            tx: inside.tx + tx,
            ..inside
        }
    }

    fn counters(&self) -> PortCounters {
        let mut counters = PortCounters {
            rx_frames: self.received.rx_frames,
            rx_bytes: self.received.rx_bytes,
            ..self.port.counters()
        };
        counters.count_drop(PortDrop::RxFault, self.rx.dropped());
        counters.count_drop(PortDrop::TxFault, self.tx.dropped());
        counters
    }

    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>) {
        self.port.wait_fds(fds);
    }

    fn next_event(&self) -> Option<Instant> {
        let inside = self.port.next_event();
        let due = [self.rx.next_due(), self.tx.next_due(), inside];
        due.into_iter().flatten().min()
    }
}

impl<P: Port> Drop for Fault<P> {
    fn drop(&mut self) {
        let waiting = self.rx.waiting.drain(..).chain(self.tx.waiting.drain(..));
        for frame in waiting
            .map(|(_, frame)| frame)
            .chain(self.outgoing.drain(..))
        {
            self.port.give_frame(frame);
        }
    }
}

#[cfg(test)]
mod tests;
