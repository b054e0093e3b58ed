//! A segment arrives in LISTEN, RFC 9293 section 3.10.7.2.
//!
//! A SYN makes a TCB, by [`Tcb::accept`](crate::Tcb::accept); the listener itself never changes
//! (MUST-41). Text that comes with a SYN is left unacknowledged, so the peer sends it again.

use tidegate_wire::{Discard, TcpFlags};

use super::reset::ResetReply;
use crate::Segment;

/// The answer to a segment that came to a listener and opens nothing: a RST for an ACK, which
/// belongs to no handshake of ours, and nothing for anything else.
#[must_use]
pub fn listen(seg: &Segment<'_>) -> Option<ResetReply> {
    // First, a RST is ignored; second, an ACK is answered by a RST at SEG.ACK.
    let answered = seg.has(TcpFlags::ACK) && !seg.has(TcpFlags::RST);
    answered.then(|| ResetReply::to(seg))
}

/// Whether the segment opens a connection: a SYN and neither RST nor ACK.
///
/// # Errors
///
/// It does not, and this is what it is instead.
pub fn check_opening(seg: &Segment<'_>) -> Result<(), Discard> {
    if seg.has(TcpFlags::RST) {
        return Err(Discard::TcpRstInListen);
    }
    if seg.has(TcpFlags::ACK) {
        return Err(Discard::TcpAckInListen);
    }
    // Fourth: whatever else it is cannot be for a listener. A FIN beside the SYN is not processed;
    // the peer sends it again once its SYN is acknowledged.
    if seg.has(TcpFlags::SYN) {
        Ok(())
    } else {
        Err(Discard::TcpListenNotSyn)
    }
}
