//! The stack: everything of a worker but its ports and its application.
//!
//! This file has the calls of the application. They queue and mark; the turn does the rest.
//! `settle` keeps the queues, timers and counts of a flow in step with its TCB, `passive` and
//! `active` open flows.

use core::time::Duration;

use tidegate_tcp::{
    CongestionKind, FastOpenKeys, FourTuple, Memory, MemoryConfig, MemoryCounts, Secrets,
    SendError, Settings, ShutdownError, State,
};
use tidegate_wire::{Instant, MacAddr};

use crate::config::WorkerConfig;
use crate::counters::{Counter, Gauges, SharedCounters};
use crate::fast_open::Peers;
use crate::flow::{Due, Flow, FlowId, Flows, Phase, SettingsId};
use crate::half_open::HalfOpens;
use crate::listener::{Listen, ListenError, ListenerId, Listeners};
use crate::neighbour::Neighbours;
use crate::open::LocalPorts;
use crate::queue::IndexQueue;
use crate::rate::Rate;
use crate::route::{Interface, Routes};
use crate::slot_set::SlotSet;
use crate::table::FlowTable;
use crate::time_wait::TimeWaits;
use crate::wheel::Wheel;

/// What an application acts with. Its calls queue and mark; none transmits, none runs a callback.
///
/// A call on a flow that has ended does nothing, or says that there is no such flow.
#[derive(Debug)]
pub struct Stack {
    /// The time of this turn.
    pub(crate) now: Instant,
    pub(crate) settings: Vec<Settings>,
    pub(crate) secrets: Secrets,
    pub(crate) memory: Memory,
    pub(crate) flows: Flows,
    pub(crate) table: FlowTable,
    pub(crate) wheel: Wheel,
    /// Flows that want to transmit.
    pub(crate) sending: IndexQueue,
    /// Flows that want to transmit and whose next hop is being asked for.
    pub(crate) parked: SlotSet,
    /// Flows with a callback due, or to be removed.
    pub(crate) attention: IndexQueue,
    /// What is left of connections in TIME_WAIT.
    pub(crate) time_waits: TimeWaits,
    pub(crate) listeners: Listeners,
    /// Connections that came to a listener and are no flows yet.
    pub(crate) half_opens: HalfOpens,
    pub(crate) fast_open_keys: FastOpenKeys,
    /// Cookies that others gave us.
    pub(crate) fast_open_peers: Peers,
    pub(crate) local_ports: LocalPorts,
    pub(crate) routes: Routes,
    pub(crate) neighbours: Neighbours,
    pub(crate) trusts_frames: bool,
    /// How many of our addresses have been announced so far.
    pub(crate) announced: usize,
    pub(crate) echo_rate: Rate,
    pub(crate) counters: SharedCounters,
    pub(crate) is_draining: bool,
    /// Flows whose end the application has still to be told.
    pub(crate) owed_ends: u32,
}

impl Stack {
    /// The stack of a worker whose configuration was checked.
    pub(crate) fn new(config: WorkerConfig, counters: SharedCounters) -> Self {
        let flows_max = config.flows_max;
        let key = |purpose| derive(&config.secret, purpose);
        // Known at the start, so that a worker without BBR has no memory for it.
        let wants_bbr = |settings: &Settings| settings.congestion == CongestionKind::Bbr;
        let bbr_records = if config.settings.iter().any(wants_bbr) {
            flows_max
        } else {
            0
        };
        let routes = Routes::new(config.interfaces);
        let ours = routes.owned().iter().map(|(address, _)| *address).collect();
        let time_waits = TimeWaits::new(config.time_wait_max, config.settings.len(), ours, key(5));
        Self {
            now: Instant::ZERO,
            settings: config.settings,
            secrets: Secrets::from_bytes(config.secret),
            memory: Memory::new(MemoryConfig {
                blocks: config.text_blocks,
                range_sets: config.range_sets,
                // A flow with text in flight holds a block at least.
                send_logs: config.text_blocks,
                bbr_records,
            }),
            flows: Flows::new(flows_max),
            table: FlowTable::new(flows_max, key(1)),
            wheel: Wheel::new(flows_max),
            sending: IndexQueue::new(flows_max),
            parked: SlotSet::new(flows_max),
            attention: IndexQueue::new(flows_max),
            time_waits,
            listeners: Listeners::default(),
            half_opens: HalfOpens::new(key(4)),
            fast_open_keys: FastOpenKeys::new(key(5)),
            fast_open_peers: Peers::new(),
            local_ports: LocalPorts::new(config.local_ports, key(2)),
            routes,
            neighbours: Neighbours::new(config.neighbours_max, key(3)),
            trusts_frames: config.trust_frames,
            announced: 0,
            echo_rate: Rate::new(config.echo_replies_per_second),
            counters,
            is_draining: false,
            owed_ends: 0,
        }
    }

    /// The time of this turn.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Opens a listener.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(&mut self, listen: Listen) -> Result<ListenerId, ListenError> {
        if listen.address.is_some_and(|own| !self.routes.is_owned(own)) {
            return Err(ListenError::NotOurAddress);
        }
        if self.settings_of(listen.settings).is_none() {
            return Err(ListenError::NoSuchSettings);
        }
        let id = self.listeners.open(listen)?;
        self.half_opens.reserve(self.listeners.syn_backlogs());
        Ok(id)
    }

    /// Closes a listener. Flows that the application has go on; those in the accept queue are
    /// reset, and half-open connections are forgotten.
    pub fn unlisten(&mut self, listener: ListenerId) {
        let Some(mut closed) = self.listeners.close(listener) else {
            return;
        };
        while let Some((slot, _)) = self.half_opens.oldest(&closed.syn_queue) {
            self.half_opens.remove(slot, Some(&mut closed.syn_queue));
            self.counters.leave_state(State::SynReceived);
            self.count(Counter::HandshakesLost);
        }
        for flow in closed.queue {
            self.with_flow(flow, |flow, cx| flow.tcb.abort(cx));
        }
    }

    /// The application's number of a listener, while it is open.
    #[must_use]
    pub fn listener_tag(&self, listener: ListenerId) -> Option<u32> {
        self.listeners.of(listener).map(|open| open.listen.tag)
    }

    /// Flows that wait in a listener's accept queue for the application to be ready.
    #[must_use]
    pub fn queued(&self, listener: ListenerId) -> usize {
        self.listeners
            .of(listener)
            .map_or(0, |open| open.queue.len())
    }

    /// Queues text to be sent; answers how many bytes the send queue took. Where that is fewer
    /// than there are, [`on_writable`](crate::App::on_writable) comes when there is room, also
    /// where what is missing is not this flow's space but the worker's memory.
    ///
    /// # Errors
    /// The flow has ended, or our side is closed. Never [`SendError::NoMemory`].
    pub fn send(&mut self, flow: FlowId, text: &[u8]) -> Result<usize, SendError> {
        let sent = self
            .with_live(flow, |flow, cx| flow.tcb.send(text, cx))
            .unwrap_or(Err(SendError::NoConnection));
        if sent == Err(SendError::NoMemory) {
            self.with_live(flow, |flow, _| flow.is_starved = true);
            return Ok(0);
        }
        sent
    }

    /// Bytes that [`send`](Self::send) would take now.
    #[must_use]
    pub fn send_space(&mut self, flow: FlowId) -> u32 {
        if !self.flows.of(flow).is_some_and(Flow::is_live) {
            return 0;
        }
        self.step(flow, |flow, cx| flow.tcb.send_space(cx))
            .unwrap_or(0)
    }

    /// Sends a FIN after what is queued; we go on reading.
    ///
    /// # Errors
    /// The flow has ended, or our side is closed already.
    pub fn shutdown(&mut self, flow: FlowId) -> Result<(), ShutdownError> {
        self.with_live(flow, |flow, cx| flow.tcb.shutdown(cx))
            .unwrap_or(Err(ShutdownError::NoConnection))
    }

    /// Closes both directions: a FIN after what is queued, and a RST if there is text that nobody
    /// has read or will read (RFC 9293 3.6.1, SHLD-3). Only the end is told after this.
    pub fn close(&mut self, flow: FlowId) {
        self.with_live(flow, |flow, cx| {
            flow.phase = Phase::Left;
            flow.set_timer(None);
            flow.tcb.close(cx);
        });
    }

    /// Gives the flow up: a RST, and nothing that is queued. Only the end is told after this.
    pub fn abort(&mut self, flow: FlowId) {
        if !self.flows.of(flow).is_some_and(Flow::is_owed_an_end) {
            return;
        }
        self.with_flow(flow, |flow, cx| {
            flow.phase = Phase::Left;
            flow.set_timer(None);
            flow.tcb.abort(cx);
        });
    }

    /// Offers text again that [`on_text`](crate::App::on_text) left. It comes in a callback of its
    /// own, after the present one.
    pub fn resume(&mut self, flow: FlowId) {
        self.with_live(flow, |flow, _| {
            flow.is_paused = false;
            flow.due.insert(Due::TEXT);
        });
    }

    /// Lets [`on_timer`](crate::App::on_timer) come at a time, once, or not at all. A time in the
    /// past is in the next turn.
    pub fn set_timer(&mut self, flow: FlowId, at: Option<Instant>) {
        self.with_live(flow, |flow, _| flow.set_timer(at));
    }

    /// Bytes of urgent text that are still to come (RFC 9293 3.8.5, MUST-33).
    #[must_use]
    pub fn urgent(&self, flow: FlowId) -> u32 {
        self.seen(flow).map_or(0, |flow| flow.tcb.urgent())
    }

    /// Sends small segments at once, or lets them wait for company (RFC 9293 3.7.4, MUST-17).
    pub fn set_nodelay(&mut self, flow: FlowId, nodelay: bool) {
        self.with_live(flow, |flow, _| flow.tcb.set_nodelay(nodelay));
    }

    /// Probes a silent peer, at the times of the flow's settings, or does not (RFC 9293 3.8.4,
    /// MUST-24).
    pub fn set_keepalive(&mut self, flow: FlowId, keepalive: bool) {
        self.with_live(flow, |flow, cx| flow.tcb.set_keepalive(keepalive, cx));
    }

    /// Gives the flow up when text stays unacknowledged for so long (RFC 9293 3.8.3, MUST-21).
    pub fn set_user_timeout(&mut self, flow: FlowId, timeout: Option<Duration>) {
        self.with_live(flow, |flow, _| flow.tcb.set_user_timeout(timeout));
    }

    /// Bytes of text that wait in the receive queue; within
    /// [`on_text`](crate::App::on_text), what it was given counts where it came out of the queue.
    #[must_use]
    pub fn readable(&self, flow: FlowId) -> u32 {
        self.seen(flow).map_or(0, |flow| flow.tcb.readable())
    }

    /// The application's number of a flow; 0 for one that has ended.
    #[must_use]
    pub fn tag(&self, flow: FlowId) -> u32 {
        self.seen(flow).map_or(0, |flow| flow.tag)
    }

    /// Changes the application's number of a flow.
    pub fn set_tag(&mut self, flow: FlowId, tag: u32) {
        if let Some(flow) = self.flows.of_mut(flow) {
            flow.tag = tag;
        }
    }

    /// Both sockets of a flow.
    #[must_use]
    pub fn tuple(&self, flow: FlowId) -> Option<FourTuple> {
        self.seen(flow).map(|flow| flow.tcb.tuple())
    }

    /// Whether a connection between these sockets is in TIME_WAIT and has no flow any more: its end
    /// was told, its last ACK has gone out, and its id finds nothing.
    #[must_use]
    pub fn is_waiting(&self, tuple: &FourTuple) -> bool {
        self.time_waits.find(tuple).is_some()
    }

    /// The flow between these sockets, in whatever state.
    #[must_use]
    pub fn find(&self, tuple: &FourTuple) -> Option<FlowId> {
        let slot = self.table.find(tuple, &self.flows)?;
        Some(self.flows.id(slot))
    }

    /// The state of a flow. It can be asked for after the end was told, too, for as long as TCP has
    /// something left to do: an application that is done may still want to see TIME_WAIT.
    #[must_use]
    pub fn state(&self, flow: FlowId) -> Option<State> {
        self.flows.of(flow).map(|flow| flow.tcb.state())
    }

    /// The interface on a port of the worker.
    ///
    /// # Panics
    /// There is no such port.
    #[must_use]
    pub fn interface(&self, port: usize) -> &Interface {
        &self.routes.interfaces()[port]
    }

    /// How many flows there are, half-open ones and those in TIME_WAIT included.
    #[must_use]
    pub fn flows(&self) -> u32 {
        self.flows.len() + self.half_opens.len() + self.time_waits.len()
    }

    /// Text blocks and range sets, free and in all.
    #[must_use]
    pub fn memory(&self) -> MemoryCounts {
        self.memory.counts()
    }

    /// The flow, while the application may ask about it.
    fn seen(&self, flow: FlowId) -> Option<&Flow> {
        let may_ask =
            |flow: &&Flow| matches!(flow.phase, Phase::Live | Phase::Left | Phase::Ending);
        self.flows.of(flow).filter(may_ask)
    }

    /// The settings of that number.
    #[must_use]
    pub fn settings_of(&self, id: SettingsId) -> Option<&Settings> {
        self.settings.get(usize::from(id.0))
    }

    /// Our hardware address on a port.
    pub(crate) fn mac(&self, port: u16) -> MacAddr {
        self.routes.interface(port).mac
    }

    /// Counts something once.
    pub(crate) fn count(&self, counter: Counter) {
        self.counters.count(counter);
    }

    /// Publishes what goes up and down.
    pub(crate) fn publish(&self) {
        let memory = self.memory.counts();
        self.counters.set_gauges(&Gauges {
            text_blocks_free: memory.blocks_free,
            text_blocks: memory.blocks_total,
            range_sets_free: memory.range_sets_free,
            range_sets: memory.range_sets_total,
            memory_pressed: u32::from(self.memory.is_pressed()),
            memory_pressures: memory.pressures,
            bbr_records_free: memory.bbr_free,
            bbr_records: memory.bbr_total,
            bbr_denied: memory.bbr_denied,
            neighbours: self.neighbours.len(),
            sending: self.sending.len(),
        });
    }
}

/// A key for one purpose out of the secret of the start.
fn derive(secret: &[u8; 32], purpose: u8) -> [u8; 16] {
    use core::hash::Hasher as _;

    use siphasher::sip128::{Hasher128 as _, SipHasher24};

    let mut key = [0; 16];
    key.copy_from_slice(&secret[..16]);
    let mut hasher = SipHasher24::new_with_key(&key);
    hasher.write(&secret[16..]);
    hasher.write(&[b'w', purpose]);
    hasher.finish128().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_flow_costs_at_most_512_bytes_everything_counted() {
        // A count that fills the hash table as badly as it gets: just above a power of two.
        for flows_max in [1_000, 1_024, 66_000, 1_000_000] {
            let table = FlowTable::new(flows_max, [0; 16]).len_per_flow(flows_max);
            let queues = 2 * IndexQueue::LINK_LEN + 1;
            let len = Flows::SLOT_LEN + Wheel::ENTRY_LEN + queues + table;
            assert!(len <= 512, "{len} bytes, {table} of them in the table");
        }
    }

    #[test]
    fn keys_for_different_purposes_and_secrets_differ() {
        let keys = [
            derive(&[1; 32], 1),
            derive(&[1; 32], 2),
            derive(&[2; 32], 1),
        ];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
    }
}
