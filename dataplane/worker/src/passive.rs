//! Passive opens: a SYN comes to a listener (RFC 9293 sections 3.10.7.1 and 3.10.7.2), and the
//! handshake that follows.

use tidegate_tcp::{Context, ResetReply, Segment, SeqNum, Tcb, arrive};
use tidegate_wire::{Discard, TcpFlags};

use crate::app::App;
use crate::cookie::SynAck;
use crate::counters::Counter;
use crate::flow::{Due, Flow, FlowId, Phase};
use crate::listener::{Listen, ListenerId};
use crate::stack::Stack;

/// What becomes of a segment that belongs to no flow.
#[derive(Debug)]
pub(crate) enum Stray {
    /// It opened a flow.
    Opened,
    /// It is answered by a SYN-ACK, and nothing is kept.
    Answered(SynAck),
    /// It brought a cookie back and is for the flow in this slot.
    Restored(u32),
    /// It is discarded, and answered with a RST where there is one.
    Discarded(Discard, Option<ResetReply>),
}

/// RFC 9293 3.10.7.2: an ACK for a listener that makes nothing gets a RST. One for which there
/// was only no room gets none, so that it can come again.
fn answer_in_listen(discard: Discard, seg: &Segment<'_>) -> Option<ResetReply> {
    let is_refused = matches!(
        discard,
        Discard::TcpAckInListen | Discard::TcpCookieWrong | Discard::TcpRstInListen
    );
    arrive::listen(seg).filter(|_| is_refused)
}

impl Stack {
    /// A segment that belongs to no flow. `vlan` is the tag of its frame; `iss_after` is the initial
    /// sequence number that a segment may have which reopens a connection out of TIME_WAIT.
    pub(crate) fn on_stray<A: App>(
        &mut self,
        app: &A,
        (seg, vlan): (&Segment<'_>, Option<u16>),
        iss_after: Option<SeqNum>,
    ) -> Stray {
        if let Err(discard) = self.check_addresses(seg) {
            return Stray::Discarded(discard, None);
        }
        let (local, port) = (seg.tuple.local, seg.tuple.local_port);
        let Some(listener) = self.listeners.find(local, port) else {
            let reply = arrive::closed(seg);
            let discard = match reply {
                Some(_) => Discard::TcpNoListener,
                None => Discard::TcpRstInClosed,
            };
            return Stray::Discarded(discard, reply);
        };
        let (id, listen) = (listener.id, listener.listen);
        let is_full = listener.is_syn_queue_full();
        if seg.flags.contains(TcpFlags::ACK) {
            return match self.take_cookie(app, (seg, vlan), id) {
                Ok(slot) => Stray::Restored(slot),
                Err(discard) => Stray::Discarded(discard, answer_in_listen(discard, seg)),
            };
        }
        // A number that has to fit the old connection's is no cookie.
        if seg.flags.contains(TcpFlags::SYN) && listener.is_baking() && iss_after.is_none() {
            return match self.bake(seg, id) {
                Ok(syn_ack) => Stray::Answered(syn_ack),
                Err(discard) => Stray::Discarded(discard, None),
            };
        }
        let tcb = match self.new_passive_tcb(seg, &listen, iss_after, is_full) {
            Ok(tcb) => tcb,
            Err(discard) => return Stray::Discarded(discard, None),
        };
        let mut flow = Flow::new(tcb, listen.settings, Phase::HalfOpen);
        flow.tag = listen.tag;
        flow.listener = Some(id);
        self.enter_hop(&mut flow, vlan);
        if self.enter(flow).is_none() {
            return Stray::Discarded(Discard::FlowTableFull, None);
        }
        if let Some(listener) = self.listeners.of_mut(id) {
            listener.half_open += 1;
        }
        self.count(Counter::HalfOpened);
        Stray::Opened
    }

    /// Whether both addresses are those of one station each, and ours is ours.
    fn check_addresses(&self, seg: &Segment<'_>) -> Result<(), Discard> {
        let (local, remote) = (seg.tuple.local, seg.tuple.remote);
        if !self.routes.is_owned(local) {
            // RFC 9293 3.9.2.3, MUST-57: no answer to what was sent to many.
            return Err(if self.routes.is_broadcast(local) {
                Discard::TcpToGroup
            } else {
                Discard::IpDestinationNotOurs
            });
        }
        if self.routes.is_owned(remote) {
            return Err(Discard::IpSourceIsOurs);
        }
        // RFC 9293 3.9.2.3, MUST-63.
        if self.routes.is_broadcast(remote) || seg.tuple.remote_port == 0 {
            return Err(Discard::IpSourceInvalid);
        }
        Ok(())
    }

    /// The TCB of a SYN that a listener takes.
    fn new_passive_tcb(
        &mut self,
        seg: &Segment<'_>,
        listen: &Listen,
        iss_after: Option<SeqNum>,
        is_syn_queue_full: bool,
    ) -> Result<Tcb, Discard> {
        let mtu = self.mtu_towards(seg);
        let iss = iss_after.unwrap_or_else(|| self.secrets.iss(&seg.tuple, self.now));
        let mut cx = Context {
            now: self.now,
            settings: &self.settings[usize::from(listen.settings.0)],
            memory: &mut self.memory,
        };
        let tcb = Tcb::accept(seg, iss, mtu.unwrap_or(0), &mut cx)?;
        // The segment is a SYN that we would take; now it is asked whether we can. Nothing is held
        // by a TCB that has not moved yet, so dropping it loses nothing.
        mtu?;
        if is_syn_queue_full {
            return Err(Discard::SynQueueFull);
        }
        if self.flows.is_full() && !self.recycle_time_wait() {
            return Err(Discard::FlowTableFull);
        }
        Ok(tcb.with_ts_offset(self.secrets.ts_offset(&seg.tuple)))
    }

    /// The largest datagram of the way to where a segment came from.
    pub(crate) fn mtu_towards(&self, seg: &Segment<'_>) -> Result<u32, Discard> {
        let way = self.routes.way_to(seg.tuple.remote);
        let way = way.ok_or(Discard::NoRoute)?;
        Ok(self.routes.interface(way.port).mtu)
    }

    /// A frame with a VLAN tag tells in which VLAN its sender is to be asked for.
    pub(crate) fn enter_hop(&mut self, flow: &mut Flow, vlan: Option<u16>) {
        if vlan.is_none() {
            return;
        }
        if let Some(way) = self.routes.way_to(flow.tcb.tuple().remote)
            && let Ok(hop) = self.neighbours.enter(way, vlan, self.now)
        {
            flow.hop = hop;
        }
    }

    /// A half-open flow gets a segment while its accept queue may be full: shall it be dropped?
    pub(crate) fn check_accept_queue<A: App>(
        &mut self,
        app: &A,
        id: FlowId,
    ) -> Result<(), Discard> {
        let Some(flow) = self.flows.of(id) else {
            return Ok(());
        };
        let Some(listener) = flow.listener else {
            return Ok(());
        };
        self.check_room(app, listener).inspect_err(|_| {
            let listener = self.listeners.of(listener);
            if listener.is_some_and(|listener| listener.listen.abort_on_overflow) {
                self.count(Counter::AcceptAborted);
                self.with_flow(id, |flow, cx| flow.tcb.abort(cx));
            }
        })
    }

    /// Whether a flow that finishes its handshake now has a place, with the application or in the
    /// accept queue.
    pub(crate) fn check_room<A: App>(&self, app: &A, id: ListenerId) -> Result<(), Discard> {
        let Some(listener) = self.listeners.of(id) else {
            return Ok(());
        };
        let is_taken_at_once = listener.queue.is_empty() && app.is_ready(id);
        if is_taken_at_once || !listener.is_queue_full() {
            Ok(())
        } else {
            Err(Discard::AcceptQueueFull)
        }
    }

    /// A flow that came to a listener has finished its handshake.
    pub(crate) fn on_handshake<A: App>(&mut self, app: &A, id: FlowId) {
        self.leave_syn_queue(id);
        let listener = self.flows.of(id).and_then(|flow| flow.listener);
        let Some(listener) = listener.and_then(|id| self.listeners.of_mut(id)) else {
            // The listener was closed meanwhile. Nobody is there to take the flow.
            self.with_flow(id, |flow, cx| {
                flow.phase = Phase::Queued;
                flow.tcb.abort(cx);
            });
            return;
        };
        if listener.queue.is_empty() && app.is_ready(listener.id) {
            self.hand_over(id);
            return;
        }
        if listener.is_queue_full() {
            // The segment that finished the handshake was no ACK of the usual kind.
            self.count(Counter::AcceptAborted);
            self.with_flow(id, |flow, cx| {
                flow.phase = Phase::Queued;
                flow.tcb.abort(cx);
            });
            return;
        }
        listener.queue.push_back(id);
        self.count(Counter::AcceptQueued);
        if let Some(flow) = self.flows.of_mut(id) {
            flow.phase = Phase::Queued;
        }
    }

    /// The application gets a flow; the callbacks follow.
    pub(crate) fn hand_over(&mut self, id: FlowId) {
        self.count(Counter::Accepted);
        self.owed_ends += 1;
        self.with_flow(id, |flow, _| {
            flow.phase = Phase::Live;
            flow.due.insert(Due::ACCEPTED);
            // What came while it waited.
            flow.due.insert(Due::TEXT);
        });
    }

    /// A flow whose listener the application is ready for.
    pub(crate) fn next_queued<A: App>(&mut self, app: &A) -> Option<FlowId> {
        let id = self
            .listeners
            .iter()
            .find(|listener| !listener.queue.is_empty() && app.is_ready(listener.id))?
            .id;
        self.listeners.of_mut(id)?.queue.pop_front()
    }

    /// A flow that the application never had has ended: its listener forgets it.
    pub(crate) fn leave_listener(&mut self, id: FlowId) {
        self.count(Counter::HandshakesLost);
        let Some(flow) = self.flows.of(id) else {
            return;
        };
        if flow.phase == Phase::HalfOpen {
            self.leave_syn_queue(id);
            return;
        }
        let listener = flow.listener;
        if let Some(listener) = listener.and_then(|id| self.listeners.of_mut(id)) {
            listener.queue.retain(|other| *other != id);
        }
    }

    fn leave_syn_queue(&mut self, id: FlowId) {
        let listener = self.flows.of(id).and_then(|flow| flow.listener);
        if let Some(listener) = listener.and_then(|id| self.listeners.of_mut(id)) {
            listener.half_open = listener.half_open.saturating_sub(1);
        }
    }
}
