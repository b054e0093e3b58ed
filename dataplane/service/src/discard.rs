//! The discard service (RFC 863): reads everything and answers nothing.

use tidegate_worker::{FlowId, Stack};

/// Discard keeps no state.
#[derive(Debug, Default)]
pub struct Discard;

impl Discard {
    /// Takes all of `text`.
    pub(crate) const fn on_text(text: &[u8]) -> usize {
        text.len()
    }

    /// The peer has sent its last: we never had anything to say.
    pub(crate) fn on_peer_closed(stack: &mut Stack, flow: FlowId) {
        stack.close(flow);
    }
}
