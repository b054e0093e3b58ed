//! Keeping a flow's queues, timer and counts in step with its TCB, and removing flows.
//!
//! Calls of the application go through [`Stack::with_flow`], which settles the flow afterwards. The
//! stages of the turn take several steps with a flow ([`Stack::step`]) and settle it once, at the
//! end of `tell` or of the flow's share of the transmit stage.

use core::time::Duration;

use tidegate_tcp::{Context, State, TimeWait};
use tidegate_wire::Instant;

use crate::counters::Counter;
use crate::flow::{Due, Flow, FlowId, Phase};
use crate::stack::Stack;

/// How soon a flow looks again whether there is memory for its text. Nobody tells it; a block may
/// have become free with any ACK of any flow.
const RETRY_MEMORY: Duration = Duration::from_millis(10);

impl Flow {
    /// Whether something is to be told or the flow is to be removed.
    fn wants_attention(&self) -> bool {
        let has_ended = self.tcb.end().is_some();
        match self.phase {
            Phase::HalfOpen | Phase::Queued | Phase::Left => has_ended,
            Phase::Live => has_ended || self.has_callback_due(),
            Phase::Ending => false,
            Phase::Over => self.tcb.is_finished(),
        }
    }

    /// Whether a callback of a live flow, other than its end, could be made now.
    fn has_callback_due(&self) -> bool {
        let is_text_waiting = self.tcb.readable() > 0;
        self.due.has(Due::AT_ONCE)
            || (self.due.has(Due::TEXT) && is_text_waiting && !self.is_paused)
            || (self.due.has(Due::PEER_CLOSED) && !is_text_waiting)
    }
}

impl Stack {
    /// Does something to a flow, whoever it belongs to; `None` where it has gone. The caller settles
    /// it when it is done with it.
    pub(crate) fn step<R>(
        &mut self,
        id: FlowId,
        act: impl FnOnce(&mut Flow, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let flow = self.flows.of_mut(id)?;
        let mut cx = Context {
            now: self.now,
            settings: &self.settings[usize::from(flow.settings.0)],
            memory: &mut self.memory,
        };
        Some(act(flow, &mut cx))
    }

    /// Does something to a flow, whoever it belongs to, and settles it; `None` where it has gone.
    pub(crate) fn with_flow<R>(
        &mut self,
        id: FlowId,
        act: impl FnOnce(&mut Flow, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let result = self.step(id, act);
        self.settle(id.index());
        result
    }

    /// The same to a flow that the application has and has not left.
    pub(crate) fn with_live<R>(
        &mut self,
        id: FlowId,
        act: impl FnOnce(&mut Flow, &mut Context<'_>) -> R,
    ) -> Option<R> {
        if self.flows.of(id).is_some_and(Flow::is_live) {
            self.with_flow(id, act)
        } else {
            None
        }
    }

    /// Brings everything about the flow in `slot` up to date with its TCB.
    pub(crate) fn settle(&mut self, slot: u32) {
        let Some(flow) = self.flows.at_mut(slot) else {
            return;
        };
        let state = flow.tcb.state();
        let counted = core::mem::replace(&mut flow.counted, state);
        let cx = Context {
            now: self.now,
            settings: &self.settings[usize::from(flow.settings.0)],
            memory: &mut self.memory,
        };
        // A parked flow waits for its next hop, whatever happens to it meanwhile.
        if flow.tcb.wants_transmit(&cx) && !self.parked.contains(slot) {
            self.sending.push(slot);
        }
        let is_over = flow.phase == Phase::Over;
        let left = is_over.then(|| flow.tcb.time_wait(&cx)).flatten();
        let mut deadline = flow.next_timeout();
        if flow.is_starved {
            if self.memory.counts().blocks_free > 0 {
                flow.is_starved = false;
                flow.due.insert(Due::WRITABLE);
            } else {
                let retry = self.now + RETRY_MEMORY;
                deadline = deadline.into_iter().chain([retry]).min();
            }
        }
        if flow.wants_attention() {
            self.attention.push(slot);
        }
        self.wheel.arm(slot, deadline);
        if counted != state {
            self.counters.leave_state(counted);
            self.counters.enter_state(state);
            let listener = self.flows.at(slot).and_then(|flow| flow.listener);
            if let Some(listener) = listener.filter(|_| counted == State::SynReceived) {
                self.leave_fast_open(listener);
            }
            if state == State::Closed {
                self.wake_waiting(slot);
            }
        }
        if let Some((time_wait, until)) = left {
            self.retire(slot, time_wait, until);
        }
    }

    /// The flow in `slot` has ended. An application that left text because it had no room to send
    /// waits for room; there never will be any, and that it has to hear as well, or nobody reads
    /// the text and the flow stays for ever.
    fn wake_waiting(&mut self, slot: u32) {
        if let Some(flow) = self.flows.at_mut(slot)
            && flow.is_live()
            && flow.is_paused
            && flow.tcb.readable() > 0
        {
            flow.due.insert(Due::WRITABLE);
            self.attention.push(slot);
        }
    }

    /// The flow in `slot` is over for everybody; what is left of it waits where it costs less.
    fn retire(&mut self, slot: u32, time_wait: TimeWait, until: Instant) {
        let Some(flow) = self.flows.at(slot) else {
            return;
        };
        let (tuple, settings) = (flow.tcb.tuple(), flow.settings);
        if self.time_waits.is_full() && self.time_waits.recycle() {
            self.count(Counter::TimeWaitRecycled);
            self.counters.leave_state(State::TimeWait);
        }
        // Where it finds no place it stays what it is, until its time has come.
        if self.time_waits.insert(&tuple, time_wait, settings, until) {
            self.remove(slot);
            self.counters.enter_state(State::TimeWait);
        }
    }

    /// Forgets the connection in TIME_WAIT that has this slot there.
    pub(crate) fn end_time_wait(&mut self, slot: u32) {
        self.time_waits.remove(slot);
        self.counters.leave_state(State::TimeWait);
    }

    /// Enters a new flow into slab and table; the caller has seen to there being room.
    pub(crate) fn enter(&mut self, flow: Flow) -> Option<FlowId> {
        let id = self.flows.insert(flow)?;
        self.table.insert(id.index(), &self.flows);
        self.counters.enter_state(State::Closed);
        self.settle(id.index());
        Some(id)
    }

    /// Removes the flow in `slot` from everywhere and gives its memory back.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(mut flow) = self.flows.remove(slot) else {
            return;
        };
        flow.tcb.release(&mut self.memory);
        self.table.remove(slot, &flow.tcb.tuple());
        self.counters.leave_state(flow.counted);
        if let Some(listener) = flow.listener.filter(|_| flow.counted == State::SynReceived) {
            self.leave_fast_open(listener);
        }
        self.sending.remove(slot);
        self.parked.remove(slot);
        self.attention.remove(slot);
        self.wheel.arm(slot, None);
    }

    /// Closes all listeners, so that the flows can end.
    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
        let open: Vec<_> = self.listeners.iter().map(|listener| listener.id).collect();
        for listener in open {
            self.unlisten(listener);
        }
    }

    /// Whether the application has no flow any more, after a [`drain`](Self::drain).
    pub(crate) fn is_drained(&self) -> bool {
        self.is_draining && self.owed_ends == 0 && self.sending.is_empty()
    }

    /// Whether the links know of all our addresses.
    fn is_announced(&self) -> bool {
        self.announced == self.routes.owned().len()
    }

    /// When the stack itself has something to do next. `Instant::ZERO` means at once.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if !self.attention.is_empty() || self.neighbours.has_work() || !self.is_announced() {
            return Some(Instant::ZERO);
        }
        let timers = self.wheel.next_deadline();
        let neighbours = self.neighbours.next_deadline();
        let half_opens = self.half_opens.next_deadline();
        let time_waits = self.time_waits.next_deadline(self.now);
        let first = timers.into_iter().chain(neighbours);
        first.chain(half_opens).chain(time_waits).min()
    }
}
