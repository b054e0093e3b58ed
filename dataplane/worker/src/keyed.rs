//! A compact table of records that are found by their four-tuple: for the many that wait in a state
//! in which a whole flow would cost too much.
//!
//! Beside the record a slot costs 4 bytes for its chain, and a bucket costs 4; there are at least as
//! many buckets as slots and at most twice as many, so 12 bytes in all at worst. The hash is the
//! flow table's (SipHash-1-3 with a secret key). Memory is set aside by [`KeyedSlots::reserve`],
//! which control calls; taking and giving slots allocates nothing. Slots are numbered like those of
//! flows, so a [`Wheel`](crate::Wheel) and an `IndexQueue` go beside it; what shall be linked more
//! tightly has its links in the record. A record whose type has a niche costs no byte for being
//! absent. Generic over the record: half-open connections are one kind (RFC 4987 3.2).

use tidegate_tcp::FourTuple;

use crate::table;

/// No slot.
const END: u32 = u32::MAX;

/// What is found by its tuple.
pub(crate) trait Keyed {
    /// The sockets, from our side. They do not change.
    fn tuple(&self) -> FourTuple;
}

#[derive(Debug)]
struct Slot<T> {
    record: Option<T>,
    /// The next of the same bucket, or the next free one.
    next: u32,
}

/// Records by their tuple; see the module.
#[derive(Debug)]
pub(crate) struct KeyedSlots<T> {
    slots: Vec<Slot<T>>,
    /// First slot of each bucket; a power of two of them.
    buckets: Box<[u32]>,
    free: u32,
    len: u32,
    slots_max: u32,
    key: [u8; 16],
}

impl<T: Keyed> KeyedSlots<T> {
    /// Bytes that each slot costs beside its bucket.
    #[cfg(test)]
    pub(crate) const SLOT_LEN: usize = size_of::<Slot<T>>();
    /// Bytes that the buckets cost for each slot, at worst.
    #[cfg(test)]
    pub(crate) const BUCKET_LEN: usize = 2 * size_of::<u32>();

    /// A table without room.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            slots: Vec::new(),
            buckets: Box::default(),
            free: END,
            len: 0,
            slots_max: 0,
            key,
        }
    }

    /// Makes room for `slots_max` records in all, if there is less. It allocates.
    pub(crate) fn reserve(&mut self, slots_max: u32) {
        if slots_max <= self.slots_max {
            return;
        }
        self.slots_max = slots_max;
        let more = slots_max as usize - self.slots.len();
        self.slots.reserve_exact(more);
        let buckets = (slots_max as usize).next_power_of_two();
        if buckets == self.buckets.len() {
            return;
        }
        self.buckets = vec![END; buckets].into();
        for slot in 0..self.slots_used() {
            if let Some(record) = &self.slots[slot as usize].record {
                let bucket = self.bucket(&record.tuple());
                self.slots[slot as usize].next = self.buckets[bucket];
                self.buckets[bucket] = slot;
            }
        }
    }

    /// Records there are.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Slots that have been in use so far: that of every record is below it.
    pub(crate) fn slots_used(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(END)
    }

    /// The slot of the record with this tuple.
    pub(crate) fn find(&self, tuple: &FourTuple) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let mut slot = self.buckets[self.bucket(tuple)];
        while slot != END {
            let Slot { record, next } = &self.slots[slot as usize];
            if record
                .as_ref()
                .is_some_and(|record| record.tuple() == *tuple)
            {
                return Some(slot);
            }
            slot = *next;
        }
        None
    }

    /// Enters a record whose tuple is not in the table; `None` where there is no room.
    pub(crate) fn insert(&mut self, record: T) -> Option<u32> {
        let slot = if self.free != END {
            let slot = self.free;
            self.free = self.slots[slot as usize].next;
            slot
        } else if self.slots_used() < self.slots_max {
            self.slots.push(Slot {
                record: None,
                next: END,
            });
            self.slots_used() - 1
        } else {
            return None;
        };
        let bucket = self.bucket(&record.tuple());
        self.slots[slot as usize] = Slot {
            record: Some(record),
            next: self.buckets[bucket],
        };
        self.buckets[bucket] = slot;
        self.len += 1;
        Some(slot)
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let record = self.slots.get_mut(slot as usize)?.record.take()?;
        let after = self.slots[slot as usize].next;
        let bucket = self.bucket(&record.tuple());
        if self.buckets[bucket] == slot {
            self.buckets[bucket] = after;
        } else {
            let mut before = self.buckets[bucket];
            while self.slots[before as usize].next != slot {
                before = self.slots[before as usize].next;
            }
            self.slots[before as usize].next = after;
        }
        self.slots[slot as usize].next = self.free;
        self.free = slot;
        self.len -= 1;
        Some(record)
    }

    /// The record in this slot.
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.record.as_ref()
    }

    /// The record in this slot.
    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.record.as_mut()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the lowest bits choose the bucket"
    )]
    fn bucket(&self, tuple: &FourTuple) -> usize {
        table::hash(&self.key, tuple) as usize & (self.buckets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use hashbrown::HashMap;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Record(u16, u32);

    fn tuple(port: u16) -> FourTuple {
        FourTuple {
            local: Ipv4Addr::new(192, 0, 2, 1).into(),
            local_port: 80,
            remote: Ipv4Addr::new(192, 0, 2, 2).into(),
            remote_port: port,
        }
    }

    impl Keyed for Record {
        fn tuple(&self) -> FourTuple {
            tuple(self.0)
        }
    }

    proptest! {
        #[test]
        fn it_does_what_a_map_does(steps in prop::collection::vec((0..3u8, 0..40u16), 0..400)) {
            let mut table = KeyedSlots::new([1; 16]);
            let mut map: HashMap<u16, u32> = HashMap::new();
            let mut room = 1;
            table.reserve(room);
            for ((step, port), n) in steps.into_iter().zip(0u32..) {
                match step {
                    0 if !map.contains_key(&port) => {
                        let slot = table.insert(Record(port, n));
                        prop_assert_eq!(slot.is_some(), table.slots_max > u32::try_from(map.len()).unwrap());
                        if slot.is_some() {
                            map.insert(port, n);
                        }
                    }
                    1 => {
                        let removed = table.find(&tuple(port)).and_then(|slot| table.remove(slot));
                        prop_assert_eq!(removed.map(|record| record.1), map.remove(&port));
                    }
                    _ => {
                        room += 1;
                        table.reserve(room);
                    }
                }
                prop_assert_eq!(table.len() as usize, map.len());
                for port in 0..40 {
                    let found = table.find(&tuple(port)).and_then(|slot| table.at(slot));
                    prop_assert_eq!(found.map(|record| record.1), map.get(&port).copied());
                }
            }
        }
    }
}
