//! The flow table: from a four-tuple to the slot of its flow.
//!
//! The hash is SipHash-1-3 with a secret key: whoever chooses the tuples cannot choose who collides
//! with whom, so a flood costs what honest traffic costs. The table holds nothing but slots, the
//! tuples are compared in the flows. It is made for twice as many flows as there may be, so that
//! it neither grows nor allocates, whatever comes and goes.

use core::hash::Hasher;
use core::net::IpAddr;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use tidegate_tcp::FourTuple;

use crate::flow::Flows;

/// Flows by their four-tuple.
#[derive(Debug)]
pub(crate) struct FlowTable {
    slots: HashTable<u32>,
    key: [u8; 16],
}

impl FlowTable {
    /// A table for at most `flows_max` flows.
    pub(crate) fn new(flows_max: u32, key: [u8; 16]) -> Self {
        // Twice, because a table that is at most half full makes room for what was removed in
        // place, where a fuller one would allocate.
        Self {
            slots: HashTable::with_capacity(flows_max as usize * 2),
            key,
        }
    }

    /// Bytes that each flow costs, when the table is as large as `flows_max` makes it.
    #[cfg(test)]
    pub(crate) fn len_per_flow(&self, flows_max: u32) -> usize {
        self.slots.allocation_size().div_ceil(flows_max as usize)
    }

    /// How many flows are in it.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("no more than slots")
    }

    /// The slot of the flow with this tuple.
    pub(crate) fn find(&self, tuple: &FourTuple, flows: &Flows) -> Option<u32> {
        let is_it = |slot: &u32| {
            flows
                .at(*slot)
                .is_some_and(|flow| flow.tcb.tuple() == *tuple)
        };
        self.slots.find(hash(&self.key, tuple), is_it).copied()
    }

    /// Enters the flow in `slot`, whose tuple is not in the table yet.
    pub(crate) fn insert(&mut self, slot: u32, flows: &Flows) {
        let key = self.key;
        let hash_of = |slot: &u32| {
            flows
                .at(*slot)
                .map_or(0, |flow| hash(&key, &flow.tcb.tuple()))
        };
        self.slots.insert_unique(hash_of(&slot), slot, hash_of);
    }

    /// Takes out the flow in `slot`, which has this tuple.
    pub(crate) fn remove(&mut self, slot: u32, tuple: &FourTuple) {
        let entry = self
            .slots
            .find_entry(hash(&self.key, tuple), |other| *other == slot);
        if let Ok(entry) = entry {
            entry.remove();
        }
    }
}

/// SipHash-1-3 of a tuple.
pub(crate) fn hash(key: &[u8; 16], tuple: &FourTuple) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    write_address(&mut hasher, tuple.local);
    write_address(&mut hasher, tuple.remote);
    hasher.write_u32(u32::from(tuple.local_port) << 16 | u32::from(tuple.remote_port));
    hasher.finish()
}

/// An address, without allocating and without a length: both of a tuple are of one version.
pub(crate) fn write_address(hasher: &mut SipHasher13, address: IpAddr) {
    match address {
        IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
        IpAddr::V6(address) => hasher.write_u128(address.to_bits()),
    }
}
