//! The last stage of a turn: a few commands of control.

use crate::app::App;
use crate::counters::Counter;
use crate::mailbox::{Command, Inbox};
use crate::stack::Stack;

/// Commands in one turn. They may take longer than a segment, and the ports come first.
const OBEY_MAX: usize = 4;

/// Obeys commands that have come; answers how many, and whether the worker shall stop.
pub(crate) fn obey<A: App>(
    stack: &mut Stack,
    app: &mut A,
    inbox: &Inbox<A::Command>,
    publish: impl Fn(&Stack),
) -> (usize, bool) {
    let mut count = 0;
    while count < OBEY_MAX
        && let Some(command) = inbox.take()
    {
        count += 1;
        // An answer that nobody waits for is dropped: control has given up asking.
        match command {
            Command::Listen { listen, reply } => {
                let _ = reply.try_send(stack.listen(listen));
            }
            Command::Unlisten { listener } => stack.unlisten(listener),
            Command::Listeners { reply } => {
                let _ = reply.try_send(stack.listeners.rows());
            }
            Command::Flows {
                from_slot,
                max,
                reply,
            } => {
                let _ = reply.try_send(stack.flow_page(from_slot, max));
            }
            Command::Counts { reply } => {
                publish(stack);
                let _ = reply.try_send(stack.counters.snapshot());
            }
            Command::App(command) => app.on_command(stack, command),
            Command::Drain => stack.drain(),
            Command::Stop => {
                stack.counters.add(Counter::Commands, count as u64);
                return (count, true);
            }
        }
    }
    stack.counters.add(Counter::Commands, count as u64);
    (count, false)
}
