//! Half-open connections: those that came to a listener and are in SYN_RECV (RFC 9293 3.10.7.2).
//!
//! Each is a record of at most 128 bytes, everything counted, and no flow: what the protocol keeps
//! of it ([`HalfOpen`], a folded TCB), to which listener it came, and where its SYN came from. Answers
//! go back there where the next hop is not known, so that a flood of SYNs asks nobody for anybody
//! and fills no table of neighbours. There is room for all that the
//! open listeners may have, and for no more; it is set aside when a listener is opened. Those of a
//! listener are linked in the order in which they came: with the same settings for all, the first
//! is also the first to have been sent its SYN-ACK again, and the first to make room (RFC 4987 3.4).

use core::time::Duration;

use tidegate_tcp::{FourTuple, HalfOpen};
use tidegate_wire::{Ethernet, Instant, MacAddr};

use crate::keyed::{Keyed, KeyedSlots};
use crate::listener::{Listener, ListenerId};
use crate::neighbour::Link;
use crate::wheel::Wheel;

/// No record.
const END: u32 = u32::MAX;

/// In place of a VLAN's number, which has 12 bits.
const NO_VLAN: u16 = u16::MAX;

/// How long a timer that found no place for its SYN-ACK waits.
pub(crate) const RETRY: Duration = Duration::from_millis(1);

/// Where answers go: to the next hop if that is known, else back to where the SYN came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    mac: MacAddr,
    vlan: u16,
    pub(crate) port: u16,
}

impl Origin {
    /// The origin of a frame that came to `port`.
    pub(crate) fn of(frame: &Ethernet, port: u16) -> Self {
        Self {
            mac: frame.src,
            vlan: frame.vlan.unwrap_or(NO_VLAN),
            port,
        }
    }

    /// The origin that the neighbour table knows better.
    pub(crate) fn known(link: &Link) -> Self {
        Self {
            mac: link.mac,
            vlan: link.vlan.unwrap_or(NO_VLAN),
            port: link.port,
        }
    }

    /// The header of a frame that goes there from `own`.
    pub(crate) fn ethernet(&self, own: MacAddr, ether_type: u16) -> Ethernet {
        Ethernet {
            dst: self.mac,
            src: own,
            vlan: Some(self.vlan).filter(|vlan| *vlan != NO_VLAN),
            ether_type,
        }
    }
}

/// A half-open connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) half_open: HalfOpen,
    pub(crate) listener: ListenerId,
    pub(crate) origin: Origin,
    /// Its neighbours among those of its listener.
    older: u32,
    newer: u32,
}

impl Keyed for Record {
    fn tuple(&self) -> FourTuple {
        self.half_open.tuple()
    }
}

/// Those of one listener: how many, the first and the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SynQueue {
    pub(crate) len: u32,
    oldest: u32,
    newest: u32,
}

impl SynQueue {
    pub(crate) const EMPTY: Self = Self {
        len: 0,
        oldest: END,
        newest: END,
    };
}

/// All of a worker.
#[derive(Debug)]
pub(crate) struct HalfOpens {
    records: KeyedSlots<Record>,
    wheel: Wheel,
}

impl HalfOpens {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            records: KeyedSlots::new(key),
            wheel: Wheel::new(0),
        }
    }

    /// Makes room for so many in all.
    pub(crate) fn reserve(&mut self, room: u32) {
        self.records.reserve(room);
        self.wheel.grow(room);
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> u32 {
        self.records.len()
    }

    /// Slots that have been in use so far.
    pub(crate) fn slots_used(&self) -> u32 {
        self.records.slots_used()
    }

    pub(crate) fn find(&self, tuple: &FourTuple) -> Option<u32> {
        self.records.find(tuple)
    }

    pub(crate) fn at(&self, slot: u32) -> Option<&Record> {
        self.records.at(slot)
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut Record> {
        self.records.at_mut(slot)
    }

    /// Enters a connection as the newest of its listener; answers whether there was room.
    pub(crate) fn insert(
        &mut self,
        half_open: HalfOpen,
        origin: Origin,
        listener: &mut Listener,
        now: Instant,
    ) -> bool {
        let queue = &mut listener.syn_queue;
        let record = Record {
            half_open,
            listener: listener.id,
            origin,
            older: queue.newest,
            newer: END,
        };
        let Some(slot) = self.records.insert(record) else {
            return false;
        };
        match self.records.at_mut(queue.newest) {
            Some(before) => before.newer = slot,
            None => queue.oldest = slot,
        }
        queue.newest = slot;
        queue.len += 1;
        self.wheel.arm(slot, Some(half_open.next_timeout(now)));
        true
    }

    /// A connection goes on in SYN_RECV.
    pub(crate) fn update(&mut self, slot: u32, half_open: HalfOpen, now: Instant) {
        if let Some(record) = self.records.at_mut(slot) {
            record.half_open = half_open;
            self.wheel.arm(slot, Some(half_open.next_timeout(now)));
        }
    }

    /// Takes a connection out; `queue` is that of its listener, while it is open.
    pub(crate) fn remove(&mut self, slot: u32, queue: Option<&mut SynQueue>) -> Option<Record> {
        let record = self.records.remove(slot)?;
        self.wheel.arm(slot, None);
        if let Some(before) = self.records.at_mut(record.older) {
            before.newer = record.newer;
        }
        if let Some(after) = self.records.at_mut(record.newer) {
            after.older = record.older;
        }
        if let Some(queue) = queue {
            if queue.oldest == slot {
                queue.oldest = record.newer;
            }
            if queue.newest == slot {
                queue.newest = record.older;
            }
            queue.len -= 1;
        }
        Some(record)
    }

    /// The oldest of a listener.
    pub(crate) fn oldest(&self, queue: &SynQueue) -> Option<(u32, &Record)> {
        Some((queue.oldest, self.records.at(queue.oldest)?))
    }

    /// Panics where the links of a listener's queue are broken; answers how many are in it.
    pub(crate) fn assert_queue(&self, listener: ListenerId, queue: &SynQueue) -> u32 {
        let (mut len, mut last, mut slot) = (0, END, queue.oldest);
        while let Some(record) = self.records.at(slot) {
            assert_eq!((record.listener, record.older), (listener, last));
            len += 1;
            (last, slot) = (slot, record.newer);
        }
        assert_eq!((len, last), (queue.len, queue.newest), "{listener:?}");
        len
    }

    /// Takes one whose time has come.
    pub(crate) fn poll_expired(&mut self, now: Instant) -> Option<u32> {
        self.wheel.poll_expired(now)
    }

    /// Lets one have its turn a little later.
    pub(crate) fn put_off(&mut self, slot: u32, now: Instant) {
        self.wheel.arm(slot, Some(now + RETRY));
    }

    /// When the first has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_open_connection_costs_at_most_128_bytes_everything_counted() {
        let len =
            KeyedSlots::<Record>::SLOT_LEN + KeyedSlots::<Record>::BUCKET_LEN + Wheel::ENTRY_LEN;
        assert!(len <= 128, "{len} bytes");
    }
}
