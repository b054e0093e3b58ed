//! What must hold of a stack between two turns, whatever came: each flow agrees with itself
//! ([`Tcb::assert_invariants`](tidegate_tcp::Tcb::assert_invariants)) and is in just those tables
//! and queues that its state asks for.
//!
//! Tests and simulations ask after each step; the data path does not.

use tidegate_tcp::Context;

use crate::flow::Phase;
use crate::stack::Stack;

impl Stack {
    /// Panics where the stack contradicts itself.
    ///
    /// # Panics
    /// See above; the message says what does not hold, and of which flow.
    pub fn assert_invariants(&mut self) {
        let mut found = 0;
        for slot in 0..self.flows.slots_used() {
            found += u32::from(self.assert_flow(slot));
        }
        assert_eq!(found, self.flows.len(), "flows that no slot holds");
        assert_eq!(self.table.len(), found, "the table has more or less");
        self.assert_half_opens();
        self.assert_time_waits();
    }

    /// Each half-open connection is found, agrees with itself, and stands in its listener's queue.
    fn assert_half_opens(&mut self) {
        for slot in 0..self.half_opens.slots_used() {
            let Some(record) = self.half_opens.at(slot).copied() else {
                continue;
            };
            let tuple = record.half_open.tuple();
            assert_eq!(self.half_opens.find(&tuple), Some(slot), "{tuple}");
            assert_eq!(self.table.find(&tuple, &self.flows), None, "{tuple}");
            let (tcb, cx) = self.unfold(&record);
            tcb.assert_invariants(cx.memory);
        }
        let queues = self.listeners.iter().map(|open| (open.id, &open.syn_queue));
        let queued: u32 = queues
            .map(|(id, queue)| self.half_opens.assert_queue(id, queue))
            .sum();
        assert_eq!(queued, self.half_opens.len(), "a record without listener");
    }

    /// Each connection in TIME_WAIT is found, and its sockets are nobody else's.
    fn assert_time_waits(&self) {
        let waiting = (0..self.time_waits.slots_used())
            .filter_map(|slot| Some((slot, self.time_waits.tuple(slot)?)))
            .inspect(|(slot, tuple)| {
                assert_eq!(
                    self.time_waits.find(tuple),
                    Some(*slot),
                    "TIME_WAIT is lost"
                );
                let flow = self.table.find(tuple, &self.flows);
                assert_eq!(flow, None, "a flow has sockets in TIME_WAIT");
                assert_eq!(self.half_opens.find(tuple), None, "half-open in TIME_WAIT");
            })
            .count();
        assert_eq!(waiting, self.time_waits.len() as usize, "in TIME_WAIT");
    }

    /// The same for the flow in `slot`; answers whether there is one.
    fn assert_flow(&mut self, slot: u32) -> bool {
        let id = self.flows.id(slot);
        let Some(flow) = self.flows.at(slot) else {
            let is_queued = self.sending.contains(slot) || self.attention.contains(slot);
            assert!(!is_queued, "{id} is gone and waits for its turn");
            return false;
        };
        let tcb = &flow.tcb;
        tcb.assert_invariants(&self.memory);
        assert_eq!(
            self.table.find(&tcb.tuple(), &self.flows),
            Some(slot),
            "{id} is not found by its sockets"
        );
        let state = tcb.state();
        assert_eq!(flow.counted, state, "{id} is counted in another state");
        let cx = Context {
            now: self.now,
            settings: &self.settings[usize::from(flow.settings.0)],
            memory: &mut self.memory,
        };
        let is_queued = self.sending.contains(slot) || self.parked.contains(slot);
        // The timer of a paced flow goes off when its next burst is due; the first segment of that
        // may go a little earlier, with whatever else makes the flow send.
        let is_paced = tcb.snapshot(&cx).pacing_rate.is_some();
        let is_waiting = tcb.wants_transmit(&cx) && !is_queued && !is_paced;
        assert!(!is_waiting, "{id} wants to transmit and nobody knows");
        let has_left = flow.phase == Phase::Over && tcb.time_wait(&cx).is_some();
        assert!(!has_left, "{id} is in TIME_WAIT and keeps its slot");
        true
    }
}
