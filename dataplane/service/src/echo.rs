//! The echo service (RFC 862): what comes in goes out.
//!
//! It holds nothing of its own. Text that the send queue cannot take stays in the receive queue,
//! the window closes, and the peer slows down: a client that never reads stops itself.

use tidegate_worker::{FlowId, Stack};

/// Echo needs no state: both queues belong to the flow.
#[derive(Debug, Default)]
pub struct Echo;

impl Echo {
    /// Sends `text` back; returns how much of it the send queue took.
    pub(crate) fn on_text(stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        // An error means that our side is closed already: the text has nowhere to go.
        stack.send(flow, text).unwrap_or(text.len())
    }

    /// There is room again: the text that was kept is offered again.
    pub(crate) fn on_writable(stack: &mut Stack, flow: FlowId) {
        stack.resume(flow);
    }

    /// The peer has sent its last; so have we, once the queue is out.
    pub(crate) fn on_peer_closed(stack: &mut Stack, flow: FlowId) {
        stack.close(flow);
    }
}
