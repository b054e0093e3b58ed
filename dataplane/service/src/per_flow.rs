//! What an application remembers of each flow, found by the flow's slot.
//!
//! The table has one place for every slot of the worker's flow table, so that nothing is allocated
//! when a flow comes. The whole [`FlowId`] is compared, generation included: a record of an earlier
//! flow in the same slot is never mistaken for this one's.

use tidegate_worker::FlowId;

/// One record a flow, at most `flows_max` of them.
#[derive(Debug)]
pub struct PerFlow<T> {
    slots: Vec<Option<(FlowId, T)>>,
}

impl<T> PerFlow<T> {
    /// An empty table for flows with slots below `flows_max`.
    #[must_use]
    pub fn new(flows_max: u32) -> Self {
        Self {
            slots: (0..flows_max).map(|_| None).collect(),
        }
    }

    /// Remembers `record` for `flow`, in place of whatever its slot held.
    ///
    /// # Panics
    /// Where the flow's slot is not below `flows_max`: the table was made for another worker.
    pub fn insert(&mut self, flow: FlowId, record: T) {
        self.slots[flow.index() as usize] = Some((flow, record));
    }

    /// The record of `flow`, if there is one.
    #[must_use]
    pub fn of(&self, flow: FlowId) -> Option<&T> {
        match self.slots.get(flow.index() as usize) {
            Some(Some((owner, record))) if *owner == flow => Some(record),
            _ => None,
        }
    }

    /// The record of `flow`, to be changed.
    #[must_use]
    pub fn of_mut(&mut self, flow: FlowId) -> Option<&mut T> {
        match self.slots.get_mut(flow.index() as usize) {
            Some(Some((owner, record))) if *owner == flow => Some(record),
            _ => None,
        }
    }

    /// Forgets `flow` and returns what was known of it.
    pub fn take(&mut self, flow: FlowId) -> Option<T> {
        let slot = self.slots.get_mut(flow.index() as usize)?;
        match slot {
            Some((owner, _)) if *owner == flow => slot.take().map(|(_, record)| record),
            _ => None,
        }
    }
}
