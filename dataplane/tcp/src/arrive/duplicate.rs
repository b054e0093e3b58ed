//! Text that comes a second time, RFC 2883: it is noted, and the next ACK reports it in its first
//! SACK block, from which a peer learns that it sent something again for nothing.
//!
//! The first and the seventh step of RFC 9293 3.10.7.4 find such text. What a peer's report means
//! for us stands in `undo` and `rack`.

use crate::ranges::Range;
use crate::tcb::{Flags, Tcb};
use crate::{Segment, SeqNum};

impl Tcb {
    /// What of the segment's text lies before RCV.NXT came already (RFC 2883 4.1).
    pub(super) fn note_known_text(&mut self, seg: &Segment<'_>) {
        let right = (seg.seq + seg.text_len()).earliest(self.rcv.nxt);
        self.note_duplicate_text(seg.seq, right);
    }

    /// The numbers from `left` to `right` came twice. Of several in one turn, which one ACK
    /// answers, the last is reported, joined with those that it touches: RFC 2883 4 has room for
    /// one block.
    pub(super) fn note_duplicate_text(&mut self, left: SeqNum, right: SeqNum) {
        if !self.has(Flags::SACK) || !left.before(right) {
            return;
        }
        let new = Range { left, right };
        let old = self.rcv.duplicate;
        self.rcv.duplicate = if !old.is_empty() && old.touches(new) {
            Range {
                left: old.left.earliest(left),
                right: old.right.latest(right),
            }
        } else {
            new
        };
    }
}
