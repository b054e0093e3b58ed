//! What must hold of a TCB after every step, whatever came (RFC 9293 section 3.3.1 and figure 3).
//!
//! Tests and simulations ask after each step; the data path does not.

use crate::memory::Memory;
use crate::ranges::Range;
use crate::state::State;
use crate::tcb::{Flags, Owes, Tcb};
use crate::timers::{Timer, Timers};

impl Tcb {
    /// Panics where the TCB contradicts itself.
    ///
    /// # Panics
    ///
    /// See above; the message says what does not hold.
    pub fn assert_invariants(&self, memory: &Memory) {
        if self.state == State::Closed {
            assert_eq!(self.timers, Timers::new(), "a timer runs in CLOSED");
            assert!(self.snd.queue.is_empty(), "text to send in CLOSED");
            assert!(self.end.is_some(), "CLOSED and the user does not know how");
            return;
        }
        self.assert_send_invariants(memory);
        self.assert_receive_invariants(memory);
        self.assert_timer_invariants();
    }

    fn assert_send_invariants(&self, memory: &Memory) {
        let snd = &self.snd;
        assert!(
            snd.una.before_or_eq(snd.nxt),
            "SND.UNA {} > SND.NXT {}",
            snd.una,
            snd.nxt
        );
        let sendable = self.text_end() + u32::from(self.is_fin_queued());
        if self.state.can_transmit_text() {
            assert!(snd.nxt.before_or_eq(sendable), "sent more than was queued");
        } else if self.state.is_synchronized() {
            assert!(
                snd.queue.is_empty() && snd.una == snd.nxt,
                "text after our FIN was acked"
            );
        }
        assert!(snd.wnd <= snd.wnd_max, "SND.WND above its maximum");
        assert!(
            self.congestion.cwnd() >= self.smss(),
            "cwnd below a segment"
        );
        assert!(
            snd.mss <= snd.mss_high && snd.mss_high <= snd.mss_cap,
            "segments larger than what passes"
        );
        self.recovery.assert_invariants(snd.una, snd.nxt);
        if let Some(log) = self.send_log(memory) {
            assert_eq!(
                (log.left(), log.right()),
                (snd.una, snd.nxt),
                "the log has gaps"
            );
        }
        if let Some(highest) = self.scoreboard.highest_sacked(memory) {
            assert!(
                highest.after(snd.una) && highest.before_or_eq(snd.nxt),
                "SACK out of flight"
            );
        }
    }

    fn assert_receive_invariants(&self, memory: &Memory) {
        let rcv = &self.rcv;
        if self.state == State::SynSent {
            return;
        }
        assert!(
            rcv.ack_sent.before_or_eq(rcv.nxt),
            "acknowledged what has not come"
        );
        for &(left, right) in rcv
            .reassembly
            .sack_blocks(memory, Range::EMPTY, 4)
            .as_slice()
        {
            let (left, right) = (crate::SeqNum::new(left), crate::SeqNum::new(right));
            assert!(left.after(rcv.nxt), "a range at RCV.NXT was not taken");
            assert!(left.before(right), "an empty range");
            assert!(
                right.before_or_eq(rcv.nxt + rcv.wnd),
                "text beyond the window was kept"
            );
        }
        if self.has(Flags::FIN_AHEAD) {
            assert!(rcv.fin.after(rcv.nxt), "a FIN at RCV.NXT was not taken");
        }
        if self.state.is_receive_closed() {
            assert!(rcv.reassembly.is_empty(), "text is expected after the FIN");
        }
    }

    fn assert_timer_invariants(&self) {
        let is_armed = |timer| self.timers.is_armed(timer);
        assert!(
            !(is_armed(Timer::Retransmit) && is_armed(Timer::Persist)),
            "RTO and persist"
        );
        if self.flight_size() > 0 && self.state != State::SynSent {
            let is_watched = is_armed(Timer::Retransmit)
                || is_armed(Timer::Persist)
                || self.owes.intersects(Owes::PROBE | Owes::SYN)
                || self.recovery.is_first_owed();
            assert!(is_watched, "text in flight and no timer runs");
        }
        if self.state == State::TimeWait {
            assert!(is_armed(Timer::Closing), "TIME_WAIT without end");
            assert!(self.end.is_some(), "TIME_WAIT and the user does not know");
        }
        if self.rcv.nxt != self.rcv.ack_sent && self.state.is_synchronized() {
            let is_due = is_armed(Timer::DelayedAck) || self.owes.contains(Owes::ACK);
            assert!(is_due, "text taken and no ACK is due");
        }
    }
}
