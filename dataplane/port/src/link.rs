//! A simulated link: two ports in memory, with faults from a seed, in simulated time.
//!
//! [`Link::pair`] makes the two ends. Each is a [`Port`] like any other, so a worker runs on it
//! unchanged; a frame that one end sends arrives at the other when its time has come, which
//! [`Port::next_event`] tells. Everything follows from the seed and from the order of calls.
//!
//! Why the ends share a locked `Wire`: they must be usable by two workers in one thread (the
//! simulation), movable to two threads (the benches), and each must be able to say when its next
//! frame is due although it is borrowed immutably. `Rc` would keep every `Driver` on one thread; a
//! channel cannot be asked for the time of its first element; a wire carried by the harness needs
//! its hands inside both workers. The lock is taken once a burst, in a simulation always free, and
//! no other port has one.
//!
//! What it does not do: no preamble, check sequence or gap in the bandwidth, no carrier (a lost
//! cable is a loss of 1.0), no third end.

mod lane;
#[cfg(test)]
mod tests;

use std::sync::{MutexGuard, PoisonError};

use af_xdp::Frame;
use tidegate_wire::{Instant, MacAddr, RxChecksum};

use self::lane::Lane;
use crate::memory::{ETHERNET_MAX, PacketMemory};
use crate::path::LinkStatistics;
use crate::{
    Burst, DriverKind, Error, Facts, Impairment, Offloads, Port, PortCounters, PortDrop,
    PortFrameCounts, QueueFacts, WaitFds,
};

/// How a link is made.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// The longest datagram, in bytes, at most 3822.
    pub mtu: u32,
    /// Frames of packet memory of each end, at least 128.
    pub frames: u32,
    /// Decides every fault.
    pub seed: u64,
    /// How frames fare that end A sends.
    pub a_to_b: Impairment,
    /// How frames fare that end B sends.
    pub b_to_a: Impairment,
    /// The hardware address of end A.
    pub a_mac: MacAddr,
    /// The hardware address of end B.
    pub b_mac: MacAddr,
    /// What both ends' facts say about received checksums. With anything but `Verify` the link
    /// behaves as a veth does and leaves sums unfinished that a sender left to it.
    pub rx_checksum: RxChecksum,
    /// Whether both ends offer transmit checksum offload.
    pub tx_checksum: bool,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            mtu: 1500,
            frames: 1024,
            seed: 0,
            a_to_b: Impairment::default(),
            b_to_a: Impairment::default(),
            a_mac: MacAddr([2, 0, 0, 0, 0, 0x0a]),
            b_mac: MacAddr([2, 0, 0, 0, 0, 0x0b]),
            rx_checksum: RxChecksum::Verify,
            tx_checksum: false,
        }
    }
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first.
    A,
    /// The second.
    B,
}

/// The line between the ends.
#[derive(Debug)]
struct Wire {
    from_a: Lane,
    from_b: Lane,
}

impl Wire {
    const fn from(&mut self, end: End) -> &mut Lane {
        match end {
            End::A => &mut self.from_a,
            End::B => &mut self.from_b,
        }
    }

    const fn towards(&mut self, end: End) -> &mut Lane {
        match end {
            End::A => &mut self.from_b,
            End::B => &mut self.from_a,
        }
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "the simulated wire is what two ends share; see the module's text"
)]
type SharedWire = std::sync::Arc<std::sync::Mutex<Wire>>;

/// A hand on a link, to look at it and to change it while workers have its ends.
#[derive(Clone, Debug)]
pub struct Link(SharedWire);

impl Link {
    /// Makes a link and returns its ends, A first.
    ///
    /// # Errors
    ///
    /// When the MTU does not fit into a frame, the frames are too few, or their memory cannot be
    /// mapped.
    pub fn pair(config: LinkConfig) -> Result<(LinkPort, LinkPort), Error> {
        let wire = Wire {
            from_a: Lane::new(config.seed, config.a_to_b),
            from_b: Lane::new(!config.seed, config.b_to_a),
        };
        let link = Self(SharedWire::new(wire.into()));
        let a = LinkPort::new(link.clone(), End::A, &config)?;
        let b = LinkPort::new(link, End::B, &config)?;
        Ok((a, b))
    }

    /// Changes how frames fare that `from` sends from now on.
    pub fn set_impairment(&self, from: End, impairment: Impairment) {
        self.wire().from(from).set_impairment(impairment);
    }

    /// Loses exactly the next `frames` frames that `from` sends.
    pub fn lose_next(&self, from: End, frames: u64) {
        self.wire().from(from).lose_next(frames);
    }

    /// What became of the frames that `from` has sent.
    #[must_use]
    pub fn statistics(&self, from: End) -> LinkStatistics {
        self.wire().from(from).statistics()
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        // A panic elsewhere leaves the wire whole: no call stops half-way through an update.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of a simulated link.
#[derive(Debug)]
pub struct LinkPort {
    link: Link,
    end: End,
    facts: Facts,
    memory: PacketMemory,
    counters: PortCounters,
}

impl LinkPort {
    fn new(link: Link, end: End, config: &LinkConfig) -> Result<Self, Error> {
        let name = match end {
            End::A => "link-a",
            End::B => "link-b",
        };
        Ok(Self {
            link,
            end,
            facts: facts(name, end, config),
            memory: PacketMemory::new(name, config.frames, config.mtu)?,
            counters: PortCounters::default(),
        })
    }

    /// A hand on the link that this is an end of.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    pub(crate) const fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    /// Which end this is.
    #[must_use]
    pub const fn end(&self) -> End {
        self.end
    }
}

fn facts(name: &str, end: End, config: &LinkConfig) -> Facts {
    Facts {
        name: name.to_owned(),
        driver: DriverKind::Link,
        mac: match end {
            End::A => config.a_mac,
            End::B => config.b_mac,
        },
        mtu: config.mtu,
        offloads: Offloads {
            tx_checksum: config.tx_checksum,
        },
        rx_checksum: config.rx_checksum,
        queues: vec![QueueFacts {
            queue: 0,
            mode: "simulated".to_owned(),
        }],
        notes: Vec::new(),
    }
}

impl Port for LinkPort {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        self.memory.top_up_fill();
        let mut wire = self.link.wire();
        let lane = wire.towards(self.end);
        while !burst.is_full() {
            let memory = &mut self.memory;
            let received = lane.receive(now, |bytes| {
                let mut frame = memory.take_fill()?;
                frame.resize(bytes.len());
                frame.bytes_mut().copy_from_slice(bytes);
                Some(frame)
            });
            let Some(received) = received else {
                break;
            };
            lane.count_received(received.is_some());
            match received {
                Some(frame) => {
                    self.counters.count_rx(frame.len());
                    burst.push(frame);
                }
                None => self.counters.count_drop(PortDrop::RxNoFrame, 1),
            }
        }
    }

    fn tx_burst(&mut self, burst: &mut Burst, now: Instant) {
        let len_max = self.facts.mtu as usize + ETHERNET_MAX;
        let mut wire = self.link.wire();
        let lane = wire.from(self.end);
        for mut frame in burst.drain(..) {
            if frame.len() > len_max {
                self.counters.count_drop(PortDrop::TxTooLong, 1);
                self.memory.give(frame);
                continue;
            }
            if self.facts.rx_checksum == RxChecksum::Verify {
                frame.finish_tx_checksum();
            }
            lane.send(frame.bytes(), now);
            self.counters.count_tx(frame.len());
            self.memory.give(frame);
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        self.memory.take()
    }

    fn give_frame(&mut self, frame: Frame) {
        self.memory.give(frame);
    }

    fn frame_counts(&self) -> PortFrameCounts {
        self.memory.counts()
    }

    fn counters(&self) -> PortCounters {
        self.counters
    }

    fn wait_fds<'a>(&'a self, _fds: &mut WaitFds<'a>) {}

    fn next_event(&self) -> Option<Instant> {
        self.link.wire().towards(self.end).next_due()
    }
}
