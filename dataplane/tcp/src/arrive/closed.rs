//! A segment arrives in CLOSED, RFC 9293 section 3.10.7.1: there is no connection, and no listener.

use tidegate_wire::TcpFlags;

use super::reset::ResetReply;
use crate::Segment;

/// The answer to a segment for which there is neither a connection nor a listener: a RST, or
/// nothing where it is a RST itself.
#[must_use]
pub fn closed(seg: &Segment<'_>) -> Option<ResetReply> {
    (!seg.has(TcpFlags::RST)).then(|| ResetReply::to(seg))
}
