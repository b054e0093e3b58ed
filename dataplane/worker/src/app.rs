//! The trait `App`: what runs on a worker.
//!
//! A worker calls an application when something has happened to one of its flows; the application
//! calls the [`Stack`] to send, open and close. Those calls only queue and mark: none of them
//! transmits or runs another callback, so there is no re-entrance.
//!
//! The life of a flow as an application sees it:
//!
//! ```text
//!   on_accept ---+                                          +--> on_end, exactly once,
//!                +--> on_text, on_writable, on_timer .. ----+    and the id is dead
//!   Stack::open -+--> on_connected          on_peer_closed -+
//! ```

use tidegate_tcp::End;

use crate::{FlowId, ListenerId, Stack};

/// What an application may want to know of a flow that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The urgent pointer came or moved on (RFC 9293 3.8.5, MUST-32); [`Stack::urgent`] tells how
    /// far it is.
    Urgent,
    /// A segment went out several times without an answer (RFC 9293 3.8.3, SHLD-9).
    Trouble,
    /// ICMP reported an error that may pass (RFC 9293 3.9.1.8, MUST-47).
    SoftError,
}

/// An application, with all its state on one worker.
///
/// Every callback gets the [`Stack`] to act with. A callback may act on any flow, not only on its
/// own.
pub trait App {
    /// What control can ask of this application; see [`Mailbox`](crate::Mailbox).
    type Command: Send;

    /// Whether a flow that came to `listener` would be taken now. While it says no, flows whose
    /// handshake is done wait in the listener's accept queue.
    fn is_ready(&self, listener: ListenerId) -> bool {
        let _ = listener;
        true
    }

    /// A flow that came to `listener` has finished its handshake.
    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, listener: ListenerId);

    /// A flow that we opened has finished its handshake.
    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        let _ = (stack, flow);
    }

    /// Text has come in order. Answers how many bytes of it were taken. The rest is kept, the
    /// window offered to the peer shrinks, and nothing is offered until
    /// [`Stack::resume`] asks for it.
    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize;

    /// The send queue has room again after a [`Stack::send`] that was short; or it never will have,
    /// because the flow has ended while text that was left waits: then sending fails.
    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        let _ = (stack, flow);
    }

    /// The peer has sent its last byte, and the application has taken it: the end of the stream.
    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId);

    /// The flow is over. It comes exactly once for every flow that was accepted or opened, after
    /// an `abort` of ours too, and never inside another callback. The id is good until it returns.
    fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End);

    /// Something happened to a flow that changes nothing about it. Whoever does not want to know
    /// leaves this out.
    fn on_notice(&mut self, stack: &mut Stack, flow: FlowId, notice: Notice) {
        let _ = (stack, flow, notice);
    }

    /// The time that was set by [`Stack::set_timer`] has come.
    fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        let _ = (stack, flow);
    }

    /// Control asks for something.
    fn on_command(&mut self, stack: &mut Stack, command: Self::Command) {
        let _ = (stack, command);
    }
}
