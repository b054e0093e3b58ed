//! Telling the application: from what TCP says to the callbacks of [`App`], in the order in which a
//! reader of the stream expects them.
//!
//! Handshake, then text, then room in the send queue, then the end of the peer's text, then the
//! end. Callbacks run one after the other, never one inside another. What an application causes by
//! its calls is told in a later round, so two applications that answer each other cannot keep the
//! worker from its ports.

use tidegate_tcp::{Arrival, Events, State};
use tidegate_wire::Discard;

use crate::app::{App, Notice};
use crate::counters::Counter;
use crate::flow::{Due, Flow, FlowId, Phase};
use crate::stack::Stack;

/// Takes what a segment has brought to a flow, and tells the application.
pub(crate) fn on_arrival<A: App>(
    app: &mut A,
    stack: &mut Stack,
    id: FlowId,
    arrival: &Arrival<'_>,
) {
    note(app, stack, id, arrival.events);
    if let Some(discard) = arrival.discard {
        stack.counters.lose(discard);
    }
    if !arrival.text.is_empty() {
        offer_in_frame(app, stack, id, arrival.text);
    }
    tell(app, stack, id.index());
}

/// Takes what a timer or an ICMP error has brought to a flow, and tells the application.
pub(crate) fn on_events<A: App>(app: &mut A, stack: &mut Stack, id: FlowId, events: Events) {
    note(app, stack, id, events);
    tell(app, stack, id.index());
}

/// Which callback follows from which event.
const DUE_AFTER: [(Events, Due); 6] = [
    (Events::READABLE, Due::TEXT),
    (Events::WRITABLE, Due::WRITABLE),
    (Events::PEER_CLOSED, Due::PEER_CLOSED),
    (Events::URGENT, Due::URGENT),
    (Events::TROUBLE, Due::TROUBLE),
    (Events::SOFT_ERROR, Due::SOFT_ERROR),
];

/// The notices, in the order in which they are told.
const NOTICES: [(Due, Notice); 3] = [
    (Due::URGENT, Notice::Urgent),
    (Due::TROUBLE, Notice::Trouble),
    (Due::SOFT_ERROR, Notice::SoftError),
];

/// Remembers what is to be told.
fn note<A: App>(app: &A, stack: &mut Stack, id: FlowId, events: Events) {
    let Some(flow) = stack.flows.of_mut(id) else {
        return;
    };
    for (event, due) in DUE_AFTER {
        if events.contains(event) {
            flow.due.insert(due);
        }
    }
    if events.contains(Events::ESTABLISHED) {
        match flow.phase {
            Phase::HalfOpen => stack.on_handshake(app, id),
            // One that came by Fast Open was told of before.
            Phase::Live if flow.listener.is_some() => {}
            Phase::Live => {
                flow.due.insert(Due::CONNECTED);
                stack.count(Counter::Connected);
            }
            Phase::Queued | Phase::Left | Phase::Ending | Phase::Over => {}
        }
    }
}

/// Offers text that is still in its frame, and keeps what is not taken.
fn offer_in_frame<A: App>(app: &mut A, stack: &mut Stack, id: FlowId, text: &[u8]) {
    tell_opening(app, stack, id);
    let can_take = |flow: &Flow| flow.is_live() && !flow.is_paused;
    let taken = if stack.flows.of(id).is_some_and(can_take) {
        let taken = app.on_text(stack, id, text);
        debug_assert!(taken <= text.len(), "more was taken than there was");
        taken.min(text.len())
    } else {
        0
    };
    let rest = &text[taken..];
    let lost = stack.step(id, |flow, cx| {
        if rest.is_empty() || flow.tcb.state() == State::Closed {
            return 0;
        }
        flow.is_paused = flow.is_live();
        // For when it is taken out of the accept queue.
        flow.due.insert(Due::TEXT);
        flow.tcb.keep_text(rest, cx)
    });
    if lost.is_some_and(|lost| lost > 0) {
        // It was not acknowledged, so the peer sends it again.
        stack.counters.lose(Discard::TextMemoryFull);
    }
}

/// Makes the callbacks that are due for the flow in `slot`, and removes it when it is over, or
/// settles it.
pub(crate) fn tell<A: App>(app: &mut A, stack: &mut Stack, slot: u32) {
    let Some(flow) = stack.flows.at(slot) else {
        return;
    };
    let id = stack.flows.id(slot);
    if flow.is_live() {
        tell_opening(app, stack, id);
        offer_queued(app, stack, id);
        tell_rest(app, stack, id);
    }
    tell_end(app, stack, id);
    let is_over = |flow: &Flow| flow.phase == Phase::Over && flow.tcb.is_finished();
    if stack.flows.of(id).is_some_and(is_over) {
        stack.remove(slot);
    } else {
        stack.settle(slot);
    }
}

/// The flow is the application's from now on; and what it may want to know before the text.
fn tell_opening<A: App>(app: &mut A, stack: &mut Stack, id: FlowId) {
    if take(stack, id, Due::CONNECTED) {
        app.on_connected(stack, id);
    }
    if take(stack, id, Due::ACCEPTED) {
        let listener = stack.flows.of(id).and_then(|flow| flow.listener);
        if let Some(listener) = listener {
            app.on_accept(stack, id, listener);
        }
    }
    for (due, notice) in NOTICES {
        if take(stack, id, due) {
            app.on_notice(stack, id, notice);
        }
    }
}

/// Offers text of the receive queue until it is empty or the application leaves some.
fn offer_queued<A: App>(app: &mut A, stack: &mut Stack, id: FlowId) {
    if !take(stack, id, Due::TEXT) {
        return;
    }
    loop {
        let chunk = stack.step(id, |flow, cx| {
            let can_take = flow.is_live() && !flow.is_paused;
            if can_take {
                flow.tcb.detach_text(cx)
            } else {
                None
            }
        });
        let Some(Some(chunk)) = chunk else {
            return;
        };
        let len = chunk.as_slice().len();
        let taken = app.on_text(stack, id, chunk.as_slice());
        debug_assert!(taken <= len, "more was taken than there was");
        let taken = taken.min(len);
        stack.step(id, |flow, cx| {
            flow.is_paused = flow.is_live() && taken < len;
            flow.tcb.attach_text(chunk, taken, cx);
        });
    }
}

/// Room to send, and the end of the peer's text.
fn tell_rest<A: App>(app: &mut A, stack: &mut Stack, id: FlowId) {
    if take(stack, id, Due::WRITABLE) {
        app.on_writable(stack, id);
    }
    let has_read_all = |flow: &Flow| flow.tcb.readable() == 0;
    if stack.flows.of(id).is_some_and(has_read_all) && take(stack, id, Due::PEER_CLOSED) {
        app.on_peer_closed(stack, id);
    }
}

/// Whether a callback of a live flow was due; it no longer is.
fn take(stack: &mut Stack, id: FlowId, due: Due) -> bool {
    stack
        .flows
        .of_mut(id)
        .is_some_and(|flow| flow.is_live() && flow.due.take(due))
}

/// Tells the end of a flow whose TCB has come to one.
fn tell_end<A: App>(app: &mut A, stack: &mut Stack, id: FlowId) {
    let has_ended = |flow: &&Flow| flow.tcb.end().is_some();
    if stack.flows.of(id).filter(has_ended).is_some() {
        force_end(app, stack, id);
    }
}

/// Tells the end of a flow, whatever is still to be read, if there is somebody to tell it to.
pub(crate) fn force_end<A: App>(app: &mut A, stack: &mut Stack, id: FlowId) {
    let Some(flow) = stack.flows.of_mut(id) else {
        return;
    };
    let end = flow.tcb.end().unwrap_or(tidegate_tcp::End::Closed);
    match flow.phase {
        Phase::HalfOpen | Phase::Queued => stack.leave_listener(id),
        Phase::Live | Phase::Left => {
            flow.phase = Phase::Ending;
            flow.set_timer(None);
            stack.counters.count_end(end);
            app.on_end(stack, id, end);
            stack.owed_ends -= 1;
        }
        Phase::Ending | Phase::Over => return,
    }
    stack.step(id, |flow, _| flow.phase = Phase::Over);
}

/// Makes the callbacks that are due for any flow. What these cause is left to the next round.
/// Answers whether there was one.
pub(crate) fn tell_all<A: App>(app: &mut A, stack: &mut Stack) -> bool {
    let mut has_told = false;
    while let Some(id) = stack.next_queued(app) {
        stack.hand_over(id);
        tell(app, stack, id.index());
        has_told = true;
    }
    for _ in 0..stack.attention.len() {
        let Some(slot) = stack.attention.pop() else {
            break;
        };
        tell(app, stack, slot);
        has_told = true;
    }
    has_told
}
