//! Connections in TIME_WAIT, 64 bytes each, everything counted: what `flows_max` counts are those that
//! still do something.
//!
//! A flow comes here when its application was told the end and its last ACK has gone out; its slot is
//! then free. What is left of its TCB ([`TimeWait`]) stands in a slab of `time_wait_max` records, made
//! at the start, beside the sockets: the remote address in full, ours by its number. Records with the
//! same hash are chained. Those of the same settings wait equally long, so they stand in one queue, by
//! the time at which they end; one that begins anew goes to its end. When the slab is full, the record
//! that would end first makes room.

use core::net::IpAddr;

use tidegate_tcp::{FourTuple, TimeWait};
use tidegate_wire::Instant;

use crate::flow::SettingsId;
use crate::table;

/// No record: the end of a list or a chain.
const END: u32 = u32::MAX;

/// The port of a record that is free; nobody has port 0.
const FREE: u16 = 0;

/// A connection that waits.
#[derive(Clone, Copy, Debug)]
struct Record {
    time_wait: TimeWait,
    /// The remote address; one of IPv4 in its mapped form (RFC 4291 2.5.5.2).
    remote: [u8; 16],
    remote_port: u16,
    /// Our address, as an index.
    local: u16,
    local_port: u16,
    settings: SettingsId,
    /// When it ends: the last 32 bits of the milliseconds since the start.
    until_ms: u32,
    /// Neighbours in the queue of its settings. Free records are linked by `next`.
    next: u32,
    prev: u32,
    /// The next with the same hash.
    chain: u32,
}

/// The records of the same settings, the first to end in front.
#[derive(Clone, Copy, Debug)]
struct Queue {
    head: u32,
    tail: u32,
}

/// All connections of a worker that are in TIME_WAIT.
#[derive(Debug)]
pub(crate) struct TimeWaits {
    records: Vec<Record>,
    records_max: u32,
    free: u32,
    len: u32,
    /// Where the chain of each hash begins: at most as many as records.
    chains: Box<[u32]>,
    /// One for each of the worker's settings.
    queues: Vec<Queue>,
    /// Our addresses.
    locals: Vec<IpAddr>,
    key: [u8; 16],
    /// No record ends before this.
    first_ms: u32,
}

impl TimeWaits {
    /// Room for `records_max` records, for so many settings.
    pub(crate) fn new(
        records_max: u32,
        settings: usize,
        locals: Vec<IpAddr>,
        key: [u8; 16],
    ) -> Self {
        let chains = 1 << records_max.max(1).ilog2();
        let queue = Queue {
            head: END,
            tail: END,
        };
        Self {
            records: Vec::with_capacity(records_max as usize),
            records_max,
            free: END,
            len: 0,
            chains: vec![END; chains].into(),
            queues: vec![queue; settings],
            locals,
            key,
            first_ms: 0,
        }
    }

    /// The worker has one more settings.
    pub(crate) fn add_settings(&mut self) {
        self.queues.push(Queue {
            head: END,
            tail: END,
        });
    }

    /// How many wait.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether one more needs another to make room.
    pub(crate) const fn is_full(&self) -> bool {
        self.len == self.records_max
    }

    /// Slots that have been in use so far.
    pub(crate) fn slots_used(&self) -> u32 {
        u32::try_from(self.records.len()).expect("made from a 32-bit count")
    }

    /// The slot of the record between these sockets.
    pub(crate) fn find(&self, tuple: &FourTuple) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let remote = octets(tuple.remote);
        let mut slot = self.chains[self.chain_of(tuple)];
        while slot != END {
            let record = &self.records[slot as usize];
            let is_it = record.remote_port == tuple.remote_port
                && record.local_port == tuple.local_port
                && record.remote == remote
                && self.locals[usize::from(record.local)] == tuple.local;
            if is_it {
                return Some(slot);
            }
            slot = record.chain;
        }
        None
    }

    /// What is left of the connection in `slot`, its settings, and when it ends.
    pub(crate) fn at(&self, slot: u32, now: Instant) -> (&TimeWait, SettingsId, Instant) {
        let record = &self.records[slot as usize];
        let until = instant_of(record.until_ms, now);
        (&record.time_wait, record.settings, until)
    }

    /// What is left of the connection in `slot`, to be changed.
    pub(crate) fn time_wait_mut(&mut self, slot: u32) -> &mut TimeWait {
        &mut self.records[slot as usize].time_wait
    }

    /// The sockets of the record in `slot`; nothing where it is free.
    pub(crate) fn tuple(&self, slot: u32) -> Option<FourTuple> {
        let record = self.records.get(slot as usize)?;
        let local = self.locals.get(usize::from(record.local))?;
        let remote = IpAddr::from(record.remote);
        (record.remote_port != FREE).then(|| FourTuple {
            local: *local,
            local_port: record.local_port,
            remote: if local.is_ipv4() {
                remote.to_canonical()
            } else {
                remote
            },
            remote_port: record.remote_port,
        })
    }

    /// Enters a connection, which is in no record yet and ends at `until`. Answers whether there was
    /// room, and our address is known.
    pub(crate) fn insert(
        &mut self,
        tuple: &FourTuple,
        time_wait: TimeWait,
        settings: SettingsId,
        until: Instant,
    ) -> bool {
        let local = self.locals.iter().position(|own| *own == tuple.local);
        let Some(Ok(local)) = local.map(u16::try_from) else {
            return false;
        };
        let chain = self.chain_of(tuple);
        let record = Record {
            time_wait,
            remote: octets(tuple.remote),
            remote_port: tuple.remote_port,
            local,
            local_port: tuple.local_port,
            settings,
            until_ms: millis(until),
            next: END,
            prev: END,
            chain: self.chains[chain],
        };
        let Some(slot) = self.place(record) else {
            return false;
        };
        self.chains[chain] = slot;
        self.len += 1;
        self.link(slot);
        true
    }

    /// 2 MSL begin anew for the record in `slot`.
    pub(crate) fn restart(&mut self, slot: u32, until: Instant) {
        self.unlink(slot);
        self.records[slot as usize].until_ms = millis(until);
        self.link(slot);
    }

    /// Removes the record in `slot`, which is in use.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(tuple) = self.tuple(slot) else {
            debug_assert!(false, "a free record is removed");
            return;
        };
        self.unlink(slot);
        let chain = self.chain_of(&tuple);
        let after = self.records[slot as usize].chain;
        let mut at = self.chains[chain];
        if at == slot {
            self.chains[chain] = after;
        } else {
            while self.records[at as usize].chain != slot {
                at = self.records[at as usize].chain;
            }
            self.records[at as usize].chain = after;
        }
        let record = &mut self.records[slot as usize];
        record.remote_port = FREE;
        record.next = self.free;
        self.free = slot;
        self.len -= 1;
    }

    /// Removes a record whose time has come; answers whether there was one.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        if self.len == 0 || is_before(floor_millis(now), self.first_ms) {
            return false;
        }
        let Some(slot) = self.oldest() else {
            return false;
        };
        self.first_ms = self.records[slot as usize].until_ms;
        let is_due = !is_before(floor_millis(now), self.first_ms);
        if is_due {
            self.remove(slot);
        }
        is_due
    }

    /// Removes the record that would end first; answers whether there was one.
    pub(crate) fn recycle(&mut self) -> bool {
        let oldest = self.oldest();
        if let Some(slot) = oldest {
            self.remove(slot);
        }
        oldest.is_some()
    }

    /// When [`expire`](Self::expire) is to be called next; never later than the first end.
    pub(crate) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        (self.len > 0).then(|| instant_of(self.first_ms, now))
    }

    /// The record that ends first.
    fn oldest(&self) -> Option<u32> {
        let heads = self.queues.iter().map(|queue| queue.head);
        heads.filter(|head| *head != END).reduce(|first, other| {
            match self.is_earlier(other, first) {
                true => other,
                false => first,
            }
        })
    }

    fn is_earlier(&self, slot: u32, other: u32) -> bool {
        let until_ms = |slot: u32| self.records[slot as usize].until_ms;
        is_before(until_ms(slot), until_ms(other))
    }

    /// A slot for a record.
    fn place(&mut self, record: Record) -> Option<u32> {
        if self.free != END {
            let slot = self.free;
            self.free = self.records[slot as usize].next;
            self.records[slot as usize] = record;
            return Some(slot);
        }
        let slot = self.slots_used();
        (slot < self.records_max).then(|| {
            self.records.push(record);
            slot
        })
    }

    /// Puts a record into the queue of its settings: nearly always at the end.
    fn link(&mut self, slot: u32) {
        let Record {
            settings, until_ms, ..
        } = self.records[slot as usize];
        let queue = usize::from(settings.0);
        let mut prev = self.queues[queue].tail;
        while prev != END && self.is_earlier(slot, prev) {
            prev = self.records[prev as usize].prev;
        }
        let next = match prev {
            END => core::mem::replace(&mut self.queues[queue].head, slot),
            prev => core::mem::replace(&mut self.records[prev as usize].next, slot),
        };
        match next {
            END => self.queues[queue].tail = slot,
            next => self.records[next as usize].prev = slot,
        }
        let record = &mut self.records[slot as usize];
        (record.prev, record.next) = (prev, next);
        if self.len == 1 || is_before(until_ms, self.first_ms) {
            self.first_ms = until_ms;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Record {
            settings,
            next,
            prev,
            ..
        } = self.records[slot as usize];
        let queue = &mut self.queues[usize::from(settings.0)];
        match prev {
            END => queue.head = next,
            prev => self.records[prev as usize].next = next,
        }
        match next {
            END => self.queues[usize::from(settings.0)].tail = prev,
            next => self.records[next as usize].prev = prev,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the chains are fewer")]
    fn chain_of(&self, tuple: &FourTuple) -> usize {
        table::hash(&self.key, tuple) as usize & (self.chains.len() - 1)
    }
}

/// An address in sixteen octets.
const fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Milliseconds at or after `at`: none ends early.
#[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
const fn millis(at: Instant) -> u32 {
    at.as_nanos().div_ceil(1_000_000) as u32
}

/// Whole milliseconds that have passed.
#[expect(clippy::cast_possible_truncation, reason = "only differences are used")]
const fn floor_millis(now: Instant) -> u32 {
    now.as_millis() as u32
}

/// Whether the one is before the other, the shorter way round: less than 24 days lie between them.
const fn is_before(ms: u32, other: u32) -> bool {
    ms.wrapping_sub(other).cast_signed() < 0
}

/// The instant of `ms`, which lies less than 24 days from now.
fn instant_of(ms: u32, now: Instant) -> Instant {
    let ahead = ms.wrapping_sub(floor_millis(now)).cast_signed();
    let base = Instant::from_millis(now.as_nanos() / 1_000_000);
    match u64::try_from(ahead) {
        Ok(ahead) => base + core::time::Duration::from_millis(ahead),
        Err(_) => now,
    }
}

#[cfg(test)]
mod tests;
