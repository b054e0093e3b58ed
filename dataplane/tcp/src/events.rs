//! What a TCB tells its user: events, and how the connection came to its end.
//!
//! RFC 9293 section 3.9.1 leaves the form of these notices open. Here they are returned by the
//! call that caused them; nothing is queued inside the TCB.

use bitflags::bitflags;
use tidegate_wire::Discard;

bitflags! {
    /// Something the user of a TCB may want to know, as a set.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Events: u16 {
        /// The handshake is complete; text may flow both ways.
        const ESTABLISHED = 1;
        /// There is text in the receive queue that was not there before.
        const READABLE = 1 << 1;
        /// There is space in the send queue again after a send that was short.
        const WRITABLE = 1 << 2;
        /// The peer's FIN has come, after all of its text. Text that is still in the receive
        /// queue, or in [`Arrival::text`], goes to the user first.
        const PEER_CLOSED = 1 << 3;
        /// The connection is over; [`Tcb::end`](crate::Tcb::end) says how.
        const ENDED = 1 << 4;
        /// The urgent pointer came or advanced (RFC 9293 3.8.5, MUST-32).
        const URGENT = 1 << 5;
        /// The same segment went out R1 times without an answer (RFC 9293 3.8.3, SHLD-9): the
        /// route may be dead, so the network layer should look for another neighbour.
        const TROUBLE = 1 << 6;
        /// A soft error was reported by ICMP (RFC 9293 3.9.1.8, MUST-47).
        const SOFT_ERROR = 1 << 7;
        /// TIME_WAIT was left for a SYN that may open a new incarnation (RFC 9293 3.6.1, MAY-2 and
        /// SHLD-4): remove this TCB and give the same segment to the listener, with the initial
        /// sequence number that [`Tcb::iss_after`](crate::Tcb::iss_after) allows.
        const SUPERSEDED = 1 << 8;
    }
}

/// How a connection came to its end (RFC 9293 3.9.1, MUST-12: the user learns which it was).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Both directions were closed in order.
    Closed,
    /// The peer sent a RST.
    Reset,
    /// The peer answered our SYN with a RST, or its host by ICMP that nobody listens.
    Refused,
    /// No answer for too long: R2, the user timeout, or the keep-alive probes ran out.
    TimedOut,
    /// We gave it up: ABORT, or text came after CLOSE.
    Aborted,
    /// The peer's host cannot be reached, as ICMP or the link said while the handshake was under way.
    Unreachable,
}

/// What a segment brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival<'t> {
    /// In-order text, still in the frame, offered while the receive queue is empty. RCV.NXT counts
    /// it already, so what the user does not take must be handed to
    /// [`Tcb::keep_text`](crate::Tcb::keep_text) before any other call of this TCB.
    pub text: &'t [u8],
    /// What happened.
    pub events: Events,
    /// Why the text of the segment was dropped although the rest of it counted: memory was full, and
    /// the peer sends it again; or the user has closed.
    pub discard: Option<Discard>,
}
