//! What happens to half-open connections: segments, timeouts, ICMP errors (RFC 9293 3.10.7.4, 3.10.8,
//! 3.9.2.2), until they are flows or gone.
//!
//! The rules are those of a [`Tcb`] in SYN_RECV: the record is unfolded, has its step, says what it
//! has to say and is folded again. A connection that is established by that becomes a flow, where
//! there is a place for it; where there is none the segment counts as lost, and the record stays as
//! it was.

use tidegate_port::Port;
use tidegate_tcp::{Arrival, Context, Events, HalfOpen, IcmpError, Segment, State, Tcb};
use tidegate_wire::{Discard, Ethernet, TcpFlags};

use crate::app::App;
use crate::counters::Counter;
use crate::flow::{Flow, Phase};
use crate::half_open::{Origin, Record};
use crate::listener::ListenerId;
use crate::port_tx::PortTx;
use crate::receive::Fate;
use crate::reply::Reply;
use crate::stack::Stack;
use crate::tell;

/// The most timers of half-open connections in one turn; the others have the next.
const EXPIRE_MAX: usize = 256;

/// A segment for the half-open connection in `slot`.
pub(crate) fn on_segment<P: Port, A: App>(
    (port, origin): (&mut PortTx<P>, Origin),
    (stack, app): (&mut Stack, &mut A),
    ethernet: &Ethernet,
    (seg, slot): (Segment<'_>, u32),
) -> Result<Fate, Discard> {
    if let Some(record) = stack.half_opens.at_mut(slot)
        && seg.flags.contains(TcpFlags::SYN)
    {
        // It may come another way than the first, or unharmed.
        record.origin = origin;
    }
    let record = *stack.half_opens.at(slot).ok_or(Discard::TcpNoListener)?;
    if finishes_handshake(&seg)
        && let Err(discard) = stack.check_place(app, record.listener)
    {
        if discard == Discard::AcceptQueueFull && stack.is_aborting(record.listener) {
            stack.count(Counter::AcceptAborted);
            let _ = stack.step_half_open(port, slot, |tcb, cx| tcb.abort(cx));
        }
        return Err(discard);
    }
    let (mut tcb, mut cx) = stack.unfold(&record);
    let outcome = tcb.on_segment(seg, &mut cx);
    if matches!(tcb.state(), State::SynReceived | State::Closed) {
        stack.say(port, &record, &mut tcb).unwrap_or_else(|lost| {
            stack.counters.lose(lost);
        });
        stack.fold(slot, &mut tcb);
        outcome?;
        stack.count(Counter::RxSegments);
        return Ok(Fate::Delivered);
    }
    stack.remove_half_open(slot);
    let arrival = outcome.unwrap_or_default();
    let from = (record.listener, ethernet.vlan);
    stack.become_flow(app, tcb, from, (&seg, &arrival));
    Ok(Fate::Delivered)
}

/// A segment for a listener that has sent cookies; it may bring one back.
pub(crate) fn on_cookie<A: App>(
    (stack, app): (&mut Stack, &mut A),
    ethernet: &Ethernet,
    seg: Segment<'_>,
    listener: ListenerId,
) -> Result<Option<Reply>, Discard> {
    let mut tcb = stack.take_cookie(&seg, listener)?;
    let room = stack.check_place(app, listener);
    let is_aborting = stack.is_aborting(listener);
    let settings = stack.settings_of_listener(listener);
    let mut cx = Context {
        now: stack.now,
        settings: &stack.settings[settings],
        memory: &mut stack.memory,
    };
    if let Err(discard) = room {
        let is_aborted = discard == Discard::AcceptQueueFull && is_aborting;
        // Otherwise it is as if the ACK was lost; the peer's text brings the cookie once more.
        if !is_aborted {
            return Err(discard);
        }
        tcb.abort(&mut cx);
        let reply = Reply::poll(&mut tcb, &mut cx);
        stack.count(Counter::AcceptAborted);
        return Ok(reply);
    }
    let arrival = tcb.on_segment(seg, &mut cx)?;
    let from = (listener, ethernet.vlan);
    stack.become_flow(app, tcb, from, (&seg, &arrival));
    Ok(None)
}

/// SYN-ACKs that nobody has answered go out again, or are given up; answers how many.
pub(crate) fn send_again<P: Port>(ports: &mut [PortTx<P>], stack: &mut Stack) -> usize {
    let mut count = 0;
    while count < EXPIRE_MAX
        && let Some(slot) = stack.half_opens.poll_expired(stack.now)
    {
        count += 1;
        let Some(origin) = stack.half_opens.at(slot).map(|record| record.origin) else {
            continue;
        };
        let port = &mut ports[usize::from(origin.port)];
        let said = stack.step_half_open(port, slot, |tcb, cx| {
            tcb.on_timeout(cx);
        });
        if said.is_err() {
            // Nothing has happened yet: the port has to have room first.
            stack.half_opens.put_off(slot, stack.now);
        }
    }
    stack.counters.add(Counter::TimersFired, count as u64);
    count
}

/// Whether a segment to a half-open connection is the ACK that it waits for.
pub(crate) fn finishes_handshake(seg: &Segment<'_>) -> bool {
    seg.flags.contains(TcpFlags::ACK) && !seg.flags.intersects(TcpFlags::RST | TcpFlags::SYN)
}

impl Stack {
    /// The TCB of a record, and its surroundings.
    pub(crate) fn unfold(&mut self, record: &Record) -> (Tcb, Context<'_>) {
        let settings = self.settings_of_listener(record.listener);
        let ts_offset = self.secrets.ts_offset(&record.half_open.tuple());
        let cx = Context {
            now: self.now,
            settings: &self.settings[settings],
            memory: &mut self.memory,
        };
        (record.half_open.unfold(ts_offset, &cx), cx)
    }

    /// Does something to the connection in `slot`, sends what it wants to say, and folds it again
    /// or removes it. Where the port took nothing, nothing has happened to it.
    fn step_half_open<P: Port>(
        &mut self,
        port: &mut PortTx<P>,
        slot: u32,
        act: impl FnOnce(&mut Tcb, &mut Context<'_>),
    ) -> Result<(), Discard> {
        let Some(record) = self.half_opens.at(slot).copied() else {
            return Ok(());
        };
        let (mut tcb, mut cx) = self.unfold(&record);
        act(&mut tcb, &mut cx);
        self.say(port, &record, &mut tcb)?;
        self.fold(slot, &mut tcb);
        Ok(())
    }

    /// Sends what a TCB wants to say, as far as the port takes it.
    fn say<P: Port>(
        &mut self,
        port: &mut PortTx<P>,
        record: &Record,
        tcb: &mut Tcb,
    ) -> Result<(), Discard> {
        let settings = self.settings_of_listener(record.listener);
        let mut cx = Context {
            now: self.now,
            settings: &self.settings[settings],
            memory: &mut self.memory,
        };
        let before = tcb.retransmits();
        let mut outcome = Ok(());
        while let Some(reply) = Reply::poll(tcb, &mut cx) {
            let sent = reply.send(port, &record.origin, self.now);
            if sent.is_ok() {
                self.counters.count(Counter::TxSegments);
            }
            outcome = outcome.and(sent);
        }
        let again = tcb.retransmits().wrapping_sub(before);
        if outcome.is_ok() {
            self.counters.add(Counter::Retransmits, u64::from(again));
        }
        outcome
    }

    /// Keeps what has become of the connection in `slot`, or forgets it.
    fn fold(&mut self, slot: u32, tcb: &mut Tcb) {
        let now = self.now;
        if let Some(half_open) = HalfOpen::fold(tcb) {
            self.half_opens.update(slot, half_open, now);
            return;
        }
        tcb.release(&mut self.memory);
        self.remove_half_open(slot);
        self.count(Counter::HandshakesLost);
    }

    /// Takes the connection in `slot` out of all tables.
    pub(crate) fn remove_half_open(&mut self, slot: u32) {
        let listener = self.half_opens.at(slot).map(|record| record.listener);
        let listener = listener.and_then(|id| self.listeners.of_mut(id));
        let queue = listener.map(|listener| &mut listener.syn_queue);
        if self.half_opens.remove(slot, queue).is_some() {
            self.counters.leave_state(State::SynReceived);
        }
    }

    /// An ICMP error about the half-open connection in `slot`.
    pub(crate) fn on_icmp_half_open(&mut self, slot: u32, error: IcmpError) -> Result<(), Discard> {
        let record = self.half_opens.at(slot).copied();
        let record = record.ok_or(Discard::IcmpNotForAFlow)?;
        let (mut tcb, mut cx) = self.unfold(&record);
        tcb.on_icmp(error, &mut cx)?;
        self.fold(slot, &mut tcb);
        Ok(())
    }

    /// Whether there is a place for one more flow of a listener.
    pub(crate) fn check_place<A: App>(
        &mut self,
        app: &A,
        listener: ListenerId,
    ) -> Result<(), Discard> {
        self.check_room(app, listener)?;
        if self.flows.is_full() {
            return Err(Discard::FlowTableFull);
        }
        Ok(())
    }

    fn is_aborting(&self, listener: ListenerId) -> bool {
        let listener = self.listeners.of(listener);
        listener.is_some_and(|listener| listener.listen.abort_on_overflow)
    }

    /// Where the answer to a segment goes that came in this frame.
    pub(crate) fn origin_of(&self, seg: &Segment<'_>, ethernet: &Ethernet, port: u16) -> Origin {
        let way = self.routes.way_to(seg.tuple.remote);
        let known = way.and_then(|way| self.neighbours.known(way));
        match known.filter(|link| link.port == port) {
            Some(link) => Origin::known(&link),
            None => Origin::of(ethernet, port),
        }
    }

    /// The row of settings that the connections of a listener have.
    pub(crate) fn settings_of_listener(&self, listener: ListenerId) -> usize {
        let listener = self.listeners.of(listener);
        listener.map_or(0, |listener| usize::from(listener.listen.settings.0))
    }

    /// A connection has come out of its handshake, with all that the last segment of it brought.
    pub(crate) fn become_flow<A: App>(
        &mut self,
        app: &mut A,
        tcb: Tcb,
        (listener, vlan): (ListenerId, Option<u16>),
        (seg, arrival): (&Segment<'_>, &Arrival<'_>),
    ) {
        let Some(listen) = self.listeners.of(listener).map(|listener| listener.listen) else {
            return;
        };
        let mut flow = Flow::new(tcb, listen.settings, Phase::HalfOpen);
        flow.tag = listen.tag;
        flow.listener = Some(listener);
        self.enter_hop(&mut flow, vlan);
        let Some(id) = self.enter(flow) else {
            return;
        };
        self.count_segment(seg);
        if !arrival.events.contains(Events::ESTABLISHED) {
            // Fast Open: it is the application's before its handshake is done.
            self.on_handshake(app, id);
        }
        tell::on_arrival(app, self, id, arrival);
    }
}
