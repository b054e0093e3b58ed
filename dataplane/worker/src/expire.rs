//! The second stage of a turn: timers of flows and of neighbours, and the ends of TIME_WAIT.

use tidegate_tcp::{Events, State};

use crate::app::App;
use crate::counters::Counter;
use crate::flow::FlowId;
use crate::stack::Stack;
use crate::tell;

/// The most timers of each kind in one turn. When many thousands are due at once, as after a pause
/// of the whole machine, the ports still get their turn in between.
const EXPIRE_MAX: usize = 256;

/// Carries out timers that are due; answers how many.
pub(crate) fn expire<A: App>(stack: &mut Stack, app: &mut A) -> usize {
    let mut count = 0;
    while count < EXPIRE_MAX
        && let Some(slot) = stack.wheel.poll_expired(stack.now)
    {
        count += 1;
        expire_flow(stack, app, slot);
    }
    stack.counters.add(Counter::TimersFired, count as u64);
    let mut ended = 0;
    while ended < EXPIRE_MAX && stack.time_waits.expire(stack.now) {
        ended += 1;
        stack.counters.leave_state(State::TimeWait);
    }
    let mut neighbours = 0;
    while neighbours < EXPIRE_MAX && stack.neighbours.expire(stack.now) {
        neighbours += 1;
    }
    count + ended + neighbours
}

/// Carries out what is due of the flow in `slot`: the TCB's timers, the application's, or both.
fn expire_flow<A: App>(stack: &mut Stack, app: &mut A, slot: u32) {
    let id = stack.flows.id(slot);
    let now = stack.now;
    let outcome = stack.step(id, |flow, cx| {
        let is_tcb_due = flow.tcb.next_timeout().is_some_and(|at| at <= now);
        let events = if is_tcb_due {
            flow.tcb.on_timeout(cx)
        } else {
            Events::empty()
        };
        let is_app_due = flow.is_live() && flow.timer().is_some_and(|at| at <= now);
        if is_app_due {
            flow.set_timer(None);
        }
        (events, is_app_due, flow.hop)
    });
    let Some((events, is_app_due, hop)) = outcome else {
        return;
    };
    if events.contains(Events::TROUBLE) {
        // RFC 9293 3.8.3, MUST-20: at R1 the network layer is told to look at the way.
        stack.neighbours.doubt(hop, now);
    }
    tell::on_events(app, stack, id, events);
    if is_app_due && is_live(stack, id) {
        app.on_timer(stack, id);
    }
}

fn is_live(stack: &Stack, id: FlowId) -> bool {
    stack.flows.of(id).is_some_and(crate::flow::Flow::is_live)
}
