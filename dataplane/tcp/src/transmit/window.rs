//! The receive window that is offered, RFC 9293 sections 3.8.6 and 3.8.6.2.2; RFC 7323 2.

use crate::Context;
use crate::tcb::{Owes, Tcb};

impl Tcb {
    /// Octets that the receive queue has room for, as far as the window field can say it: more is no
    /// news to the peer.
    fn space(&self, cx: &Context<'_>) -> u32 {
        self.rcv_queue_max(cx)
            .saturating_sub(self.rcv.queue.len())
            .min(u32::from(u16::MAX) << self.rcv.wnd_shift)
    }

    /// How far the right edge has to be able to move before it does (MUST-39, the receiver's
    /// silly-window avoidance): a segment, or half of the memory where that is less.
    fn worthwhile(&self, cx: &Context<'_>) -> u32 {
        (self.rcv_queue_max(cx) / 2).min(u32::from(self.rcv.mss))
    }

    /// The window field of the segment that is going out, and RCV.WND with it. The right edge stays
    /// or moves right (SHLD-14).
    pub(super) fn advertise(&mut self, is_syn: bool, cx: &Context<'_>) -> u16 {
        // RFC 7323 2.2: the window of a SYN is not scaled.
        let shift = if is_syn { 0 } else { self.rcv.wnd_shift };
        let space = self.space(cx);
        let gain = space.saturating_sub(self.rcv.wnd);
        // What is offered already is rounded up, so that rounding takes nothing back; what is new
        // is rounded down. The field carries both, because `wnd` never exceeded what it can say.
        let offered = self.rcv.wnd.div_ceil(1 << shift);
        let wanted = if gain >= self.worthwhile(cx) {
            space >> shift
        } else {
            0
        };
        let field = u16::try_from(offered.max(wanted)).unwrap_or(u16::MAX);
        self.rcv.wnd = self.rcv.wnd.max(u32::from(field) << shift);
        field
    }

    /// Whether reading has opened the window so far that the peer should hear of it now: it is at
    /// least twice what it was told. Otherwise the next ACK tells it.
    pub(crate) fn check_window_update(&mut self, cx: &Context<'_>) {
        let space = self.space(cx);
        let gain = space.saturating_sub(self.rcv.wnd);
        let is_due = gain >= self.worthwhile(cx) && space / 2 >= self.rcv.wnd;
        if is_due && self.state.can_receive_text() {
            self.owes.insert(Owes::ACK);
        }
    }
}
