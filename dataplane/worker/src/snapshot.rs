//! What control is told of flows: one row each, as `ss -tanoi` shows them.

use core::time::Duration;

use tidegate_tcp::{Context, FourTuple, TcbSnapshot};

use crate::flow::{FlowId, SettingsId};
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
/// Where those in TIME_WAIT begin: above all half-open ones.
const TIME_WAIT: u32 = 3 << 30;

/// A connection in TIME_WAIT that has no flow any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWaitRow {
    /// The sockets.
    pub tuple: FourTuple,
    /// The settings of its flow.
    pub settings: SettingsId,
    /// How long it waits yet.
    pub remaining: Duration,
}

/// Some flows of the table, and after the last of them what is in TIME_WAIT.
#[derive(Clone, Debug, Default)]
pub struct FlowPage {
    /// The flows, by slot.
    pub rows: Vec<FlowRow>,
    /// Connections in TIME_WAIT, by slot.
    pub time_waits: Vec<TimeWaitRow>,
    /// Where to go on; none at the end of the table.
    pub next_slot: Option<u32>,
}

impl Stack {
    /// STATUS of a flow (RFC 9293 3.10.6), for as long as TCP knows it.
    pub fn status(&mut self, flow: FlowId) -> Option<TcbSnapshot> {
        self.step(flow, |flow, cx| flow.tcb.snapshot(cx))
    }

    /// Reads at most `max` slots from slot `from` on, first those of flows, then those of half-open
    /// connections, then those of TIME_WAIT. Empty ones cost time as well, so they are counted in.
    pub(crate) fn flow_page(&mut self, from: u32, max: u32) -> FlowPage {
        let max = max.clamp(1, ROWS_MAX);
        let tables = [
            (0, self.flows.slots_used()),
            (HALF_OPEN, self.half_opens.slots_used()),
            (TIME_WAIT, self.time_waits.slots_used()),
        ];
        let first = tables.map(|(first, _)| first);
        let number = first.iter().rposition(|first| *first <= from).unwrap_or(0);
        let (first, used) = tables[number];
        let from = from - first;
        let to = from.saturating_add(max).min(used);
        let mut page = FlowPage::default();
        for slot in from..to {
            match first {
                HALF_OPEN => page.rows.extend(self.half_open_row(slot)),
                TIME_WAIT => page.time_waits.extend(self.time_wait_row(slot)),
                _ => page.rows.extend(self.flow_row(slot)),
            }
        }
        let mut later = tables[number + 1..].iter();
        page.next_slot = if to < used {
            Some(first + to)
        } else {
            later.find(|(_, used)| *used > 0).map(|(first, _)| *first)
        };
        page
    }

    fn time_wait_row(&self, slot: u32) -> Option<TimeWaitRow> {
        let tuple = self.time_waits.tuple(slot)?;
        let (_, settings, until) = self.time_waits.at(slot, self.now);
        Some(TimeWaitRow {
            tuple,
            settings,
            remaining: until.saturating_since(self.now),
        })
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
