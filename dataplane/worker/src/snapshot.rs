//! What control is told of flows: one row each, as `ss -tanoi` shows them.

use core::time::Duration;

use tidegate_tcp::{Context, TcbSnapshot};

use crate::flow::FlowId;
use crate::listener::ListenerId;
use crate::stack::Stack;

/// The most rows of a page: what a worker tells between two turns without being late for the next.
const ROWS_MAX: u32 = 1_024;

/// A flow as it was between two turns.
#[derive(Clone, Debug)]
pub struct FlowRow {
    /// Its id; none while it is half-open and came to a listener.
    pub flow: Option<FlowId>,
    /// The listener it came to, of a flow that we did not open.
    pub listener: Option<ListenerId>,
    /// The application's number.
    pub tag: u32,
    /// Time until the application's timer.
    pub app_timer: Option<Duration>,
    /// What TCP says: tuple, state, queues, timer, round trip, windows.
    pub tcb: TcbSnapshot,
}

/// Where the half-open connections begin among the slots: above those of all flows.
const HALF_OPEN: u32 = 1 << 31;

/// Some flows of the table.
#[derive(Clone, Debug, Default)]
pub struct FlowPage {
    /// The flows, by slot.
    pub rows: Vec<FlowRow>,
    /// Where to go on; none at the end of the table.
    pub next_slot: Option<u32>,
}

impl Stack {
    /// STATUS of a flow (RFC 9293 3.10.6), for as long as TCP knows it.
    pub fn status(&mut self, flow: FlowId) -> Option<TcbSnapshot> {
        self.step(flow, |flow, cx| flow.tcb.snapshot(cx))
    }

    /// Reads at most `max` slots from slot `from` on, first those of flows, then those of half-open
    /// connections. Empty ones cost time as well, so they are counted in.
    pub(crate) fn flow_page(&mut self, from: u32, max: u32) -> FlowPage {
        let max = max.clamp(1, ROWS_MAX);
        let (half_open, flows) = (self.half_opens.slots_used(), self.flows.slots_used());
        if from >= HALF_OPEN {
            let from = from - HALF_OPEN;
            let to = from.saturating_add(max).min(half_open);
            return FlowPage {
                rows: (from..to)
                    .filter_map(|slot| self.half_open_row(slot))
                    .collect(),
                next_slot: (to < half_open).then_some(HALF_OPEN + to),
            };
        }
        let to = from.saturating_add(max).min(flows);
        let next = (half_open > 0).then_some(HALF_OPEN);
        FlowPage {
            rows: (from..to).filter_map(|slot| self.flow_row(slot)).collect(),
            next_slot: if to < flows { Some(to) } else { next },
        }
    }

    fn flow_row(&mut self, slot: u32) -> Option<FlowRow> {
        let flow = self.flows.at(slot)?;
        let cx = Context {
            now: self.now,
            settings: &self.settings[usize::from(flow.settings.0)],
            memory: &mut self.memory,
        };
        Some(FlowRow {
            flow: Some(self.flows.id(slot)),
            listener: flow.listener,
            tag: flow.tag,
            app_timer: flow.timer().map(|at| at.saturating_since(cx.now)),
            tcb: flow.tcb.snapshot(&cx),
        })
    }

    fn half_open_row(&mut self, slot: u32) -> Option<FlowRow> {
        let record = *self.half_opens.at(slot)?;
        let tag = self.listener_tag(record.listener).unwrap_or(0);
        let (tcb, cx) = self.unfold(&record);
        Some(FlowRow {
            flow: None,
            listener: Some(record.listener),
            tag,
            app_timer: None,
            tcb: tcb.snapshot(&cx),
        })
    }
}
