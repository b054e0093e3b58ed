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
    /// Its id.
    pub flow: FlowId,
    /// The listener it came to, of a flow that we did not open.
    pub listener: Option<ListenerId>,
    /// The application's number.
    pub tag: u32,
    /// Time until the application's timer.
    pub app_timer: Option<Duration>,
    /// What TCP says: tuple, state, queues, timer, round trip, windows.
    pub tcb: TcbSnapshot,
}

/// Some flows of the table.
#[derive(Clone, Debug, Default)]
pub struct FlowPage {
    /// The flows, by slot.
    pub rows: Vec<FlowRow>,
    /// Where to go on; none at the end of the table.
    pub next_slot: Option<u32>,
}

impl Stack {
    /// Reads at most `max` slots from slot `from` on. Empty ones cost time as well, so they are
    /// counted in.
    pub(crate) fn flow_page(&mut self, from: u32, max: u32) -> FlowPage {
        let used = self.flows.slots_used();
        let to = from.saturating_add(max.clamp(1, ROWS_MAX)).min(used);
        let cx = Context {
            now: self.now,
            settings: &self.settings[0],
            memory: &mut self.memory,
        };
        let row = |slot: u32| {
            let flow = self.flows.at(slot)?;
            Some(FlowRow {
                flow: self.flows.id(slot),
                listener: flow.listener,
                tag: flow.tag,
                app_timer: flow.timer().map(|at| at.saturating_since(cx.now)),
                tcb: flow.tcb.snapshot(&cx),
            })
        };
        FlowPage {
            rows: (from..to).filter_map(row).collect(),
            next_slot: (to < used).then_some(to),
        }
    }
}
