//! Passive opens: a SYN comes to a listener (RFC 9293 sections 3.10.7.1 and 3.10.7.2), and flows
//! leave it for the application.

use tidegate_tcp::{Context, HalfOpen, ResetReply, Segment, SeqNum, State, Tcb, arrive};
use tidegate_wire::{Discard, TcpFlags};

use crate::app::App;
use crate::cookie::SynCookies;
use crate::counters::Counter;
use crate::flow::{Due, Flow, FlowId, Phase};
use crate::half_open::Origin;
use crate::listener::ListenerId;
use crate::reply::Reply;
use crate::stack::Stack;

/// What becomes of a segment that belongs to no flow and to no half-open connection.
#[derive(Debug)]
pub(crate) enum Stray {
    /// It made a half-open connection, whose SYN-ACK this is.
    Opened(Reply),
    /// It is answered by a SYN-ACK, and nothing is kept.
    Answered(Reply),
    /// It is discarded, and answered with a RST where there is one.
    Discarded(Discard, Option<ResetReply>),
}

/// RFC 9293 3.10.7.2: an ACK for a listener that makes nothing gets a RST. One for which there
/// was only no room gets none, so that it can come again.
fn answer_in_listen(discard: Discard, seg: &Segment<'_>) -> Option<ResetReply> {
    let is_refused = matches!(discard, Discard::TcpAckInListen | Discard::TcpCookieWrong);
    arrive::listen(seg).filter(|_| is_refused)
}

impl Stray {
    /// A segment that a listener does not take.
    pub(crate) fn refused(discard: Discard, seg: &Segment<'_>) -> Self {
        Self::Discarded(discard, answer_in_listen(discard, seg))
    }
}

impl Stack {
    /// A segment that belongs to no flow. `iss_after` is the initial sequence number that a segment
    /// may have which reopens a connection out of TIME_WAIT.
    pub(crate) fn on_stray(
        &mut self,
        seg: &Segment<'_>,
        origin: Origin,
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
        let id = listener.id;
        self.on_syn(seg, origin, (id, iss_after))
            .unwrap_or_else(|discard| Stray::refused(discard, seg))
    }

    /// A SYN with a good Fast Open cookie and text comes to a listener that takes both, and there is
    /// a place for its flow. Everything else is as without Fast Open.
    pub(crate) fn try_open_fast<A: App>(
        &mut self,
        app: &mut A,
        seg: &Segment<'_>,
        vlan: Option<u16>,
    ) -> Option<Reply> {
        seg.options.fast_open?;
        let (local, port) = (seg.tuple.local, seg.tuple.local_port);
        let id = self.listeners.find(local, port)?.id;
        let may = arrive::check_opening(seg).is_ok()
            && self.check_addresses(seg).is_ok()
            && self.check_place(app, id).is_ok();
        let asked = Some(self.fast_open_of(seg, id)).filter(|asked| may && asked.is_open)?;
        self.open_fast(app, seg, vlan, (id, asked.cookie)).ok()
    }

    /// A SYN comes to a listener, or something else that it does not want.
    fn on_syn(
        &mut self,
        seg: &Segment<'_>,
        origin: Origin,
        (id, iss_after): (ListenerId, Option<SeqNum>),
    ) -> Result<Stray, Discard> {
        arrive::check_opening(seg)?;
        let mtu = self.mtu_towards(seg)?;
        if self.flows.is_full() {
            return Err(Discard::FlowTableFull);
        }
        // A number that has to fit the old connection's is no cookie.
        let is_baking = self.make_room_for_syn(id, iss_after.is_none())?;
        if is_baking {
            return self.bake(seg, mtu, id).map(Stray::Answered);
        }
        let asked = self.fast_open_of(seg, id);
        for (is_so, counter) in [
            (asked.cookie.is_some(), Counter::FastOpenCookiesSent),
            (asked.is_wrong, Counter::FastOpenWrong),
            (asked.is_refused, Counter::FastOpenRefused),
        ] {
            self.counters.add(counter, u64::from(is_so));
        }
        let iss = iss_after.unwrap_or_else(|| self.secrets.iss(&seg.tuple, self.now));
        let settings = self.settings_of_listener(id);
        let mut cx = Context {
            now: self.now,
            settings: &self.settings[settings],
            memory: &mut self.memory,
        };
        let ts_offset = self.secrets.ts_offset(&seg.tuple);
        let mut tcb = Tcb::accept(seg, iss, mtu, &mut cx)?.with_ts_offset(ts_offset);
        let reply =
            Reply::poll_syn(&mut tcb, asked.cookie, &mut cx).ok_or(Discard::SynQueueFull)?;
        let half_open = HalfOpen::fold(&tcb).ok_or(Discard::SynQueueFull)?;
        let listener = self.listeners.of_mut(id).ok_or(Discard::TcpNoListener)?;
        if !self
            .half_opens
            .insert(half_open, origin, listener, self.now)
        {
            return Err(Discard::SynQueueFull);
        }
        self.counters.enter_state(State::SynReceived);
        self.count(Counter::HalfOpened);
        Ok(Stray::Opened(reply))
    }

    /// Finds a place for a SYN; answers whether it shall be answered by a cookie.
    fn make_room_for_syn(&mut self, id: ListenerId, may_bake: bool) -> Result<bool, Discard> {
        let listener = self.listeners.of(id).ok_or(Discard::TcpNoListener)?;
        let cookies = listener.listen.syn_cookies;
        if cookies == SynCookies::Always && may_bake {
            return Ok(true);
        }
        if !listener.is_syn_queue_full() {
            return Ok(false);
        }
        // RFC 4987 3.4: the oldest makes room, if its SYN-ACK went out again and nobody cared.
        let oldest = self.half_opens.oldest(&listener.syn_queue);
        let oldest = oldest.filter(|(_, record)| record.half_open.is_retried());
        if let Some(slot) = oldest.map(|(slot, _)| slot) {
            self.remove_half_open(slot);
            self.count(Counter::HalfOpenRecycled);
            self.count(Counter::HandshakesLost);
            return Ok(false);
        }
        if cookies != SynCookies::Off && may_bake {
            return Ok(true);
        }
        Err(Discard::SynQueueFull)
    }

    /// The listener of a segment that may bring a cookie back.
    pub(crate) fn listener_of_cookie(&self, seg: &Segment<'_>) -> Option<ListenerId> {
        if !seg.flags.contains(TcpFlags::ACK) || self.check_addresses(seg).is_err() {
            return None;
        }
        let (local, port) = (seg.tuple.local, seg.tuple.local_port);
        let listener = self.listeners.find(local, port)?;
        listener.expects_cookie(self.now).then_some(listener.id)
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
        let listener = flow.listener;
        if let Some(listener) = listener.and_then(|id| self.listeners.of_mut(id)) {
            listener.queue.retain(|other| *other != id);
        }
    }
}
