//! What a TCB wants to transmit, one segment at a time: the second half of RFC 9293 3.8.
//!
//! The steps of RFC 9293 3.10 leave a TCB with debts and with text; [`Tcb::poll_transmit`] turns
//! them into segments after the whole burst was processed (MUST-58, MUST-59). `plan` decides what
//! comes next without changing anything, `emit` writes it, and here is noted what then has been
//! sent. Headers of IP and below are the caller's.

use tidegate_wire::{FastOpen, Instant, Moment};

use crate::Context;
use crate::ranges::Range;
use crate::recovery::Phase;
use crate::sent::Stamp;
use crate::state::State;
use crate::tcb::{Flags, Owes, Tcb};
use crate::timers::Timer;

mod emit;
mod plan;
mod window;

pub use emit::TxChecksumMode;
pub(crate) use emit::finish_checksum;
use plan::{Extra, Piece, Plan, Why};

impl Tcb {
    /// Whether [`poll_transmit`](Self::poll_transmit) would write a segment.
    #[must_use]
    pub fn wants_transmit(&self, cx: &Context<'_>) -> bool {
        self.plan(cx).is_some()
    }

    /// Writes the next segment (header, options, text, checksum) to the start of `out` and says how
    /// long it is. To be called until it answers `None`: nothing more to send for now, or `out` is
    /// too short for a segment of the path's size; then nothing has changed.
    ///
    /// All that is sent carries the newest ACK and window.
    pub fn poll_transmit(
        &mut self,
        out: &mut [u8],
        checksum: TxChecksumMode,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        self.check_idle_restart(cx);
        self.check_mss_is_aged(cx.now);
        let Some(plan) = self.plan(cx) else {
            let is_limited = self.is_held_by_cwnd(cx);
            self.flags.set(Flags::CWND_LIMITED, is_limited);
            self.flags.remove(Flags::PACED);
            self.settle_timers(cx);
            return None;
        };
        let len = self.emit(&plan, out, checksum, cx)?;
        self.note_ecn_sent(plan.is_new_text(self.snd.nxt));
        self.on_sent(&plan, cx);
        self.settle_timers(cx);
        Some(len)
    }

    /// Writes the SYN or SYN-ACK that is owed, with what Fast Open adds to it.
    pub(crate) fn transmit_syn(
        &mut self,
        (fast_open, text_len): (Option<FastOpen>, u32),
        out: &mut [u8],
        checksum: TxChecksumMode,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        let extra = Extra {
            fast_open,
            text_len,
        };
        let plan = Plan::Syn(extra);
        let len = self.emit(&plan, out, checksum, cx)?;
        self.on_sent(&plan, cx);
        self.settle_timers(cx);
        Some(len)
    }

    /// RFC 5681 4.1: after silence longer than the RTO the window is the initial one at most.
    fn check_idle_restart(&mut self, cx: &Context<'_>) {
        let is_starting =
            self.state.can_transmit_text() && self.flight_size() == 0 && self.unsent() > 0;
        if is_starting && cx.now.saturating_since(self.snd.sent_at.instant()) > self.rtt.rto() {
            let segments = u32::from(cx.settings.initial_window);
            self.congestion.on_idle_restart(self.smss(), segments);
        }
    }

    /// Notes what has just been sent.
    fn on_sent(&mut self, plan: &Plan, cx: &mut Context<'_>) {
        match plan {
            Plan::Reset => {
                self.owes.remove(Owes::RESET);
                return;
            }
            Plan::Refusal => {
                self.owes.remove(Owes::REFUSAL);
                return;
            }
            Plan::Syn(extra) => {
                self.on_syn_sent(cx.now);
                self.snd.nxt += extra.text_len;
            }
            Plan::Text(piece) => self.on_piece_sent(piece, cx),
            Plan::Keepalive => self.owes.remove(Owes::KEEPALIVE),
            Plan::Ack => self.rcv.dup_acks_owed = self.rcv.dup_acks_owed.saturating_sub(1),
        }
        if self.state != State::SynSent {
            // RFC 2883 4: a duplicate is reported once.
            self.rcv.duplicate = Range::EMPTY;
            self.owes.remove(Owes::ACK);
            self.timers.disarm(Timer::DelayedAck);
            if self.rcv.ack_sent != self.rcv.nxt {
                self.quick_acks = self.quick_acks.saturating_sub(1);
            }
            self.rcv.ack_sent = self.rcv.nxt;
        }
    }

    pub(crate) fn on_syn_sent(&mut self, now: Instant) {
        self.owes.remove(Owes::SYN);
        if self.snd.nxt == self.snd.iss {
            self.snd.nxt = self.snd.iss + 1;
            self.snd.timed = self.snd.nxt;
            self.snd.timed_at = Stamp::at(now);
            self.flags.insert(Flags::TIMED);
        } else {
            // RFC 6298 3, Karn's rule. The SYN-ACK of a simultaneous open was not lost before.
            self.flags.remove(Flags::TIMED);
            let is_simultaneous = self.state == State::SynReceived && !self.has(Flags::PASSIVE);
            if self.retries > 0 || !is_simultaneous {
                self.flags.insert(Flags::SYN_RETRIED);
                self.retransmits = self.retransmits.saturating_add(1);
                self.totals.again_syn = self.totals.again_syn.saturating_add(1);
            }
        }
        self.snd.sent_at = Moment::at(now);
        // RFC 6298 5.1: a running timer runs on, or who repeats its SYN could prolong SYN-RECEIVED.
        if !self.timers.is_armed(Timer::Retransmit) {
            self.timers.arm(Timer::Retransmit, now + self.rtt.rto());
        }
    }

    /// The user has answered text before a delayed ACK would have gone out: it is a conversation, and
    /// from now on ACKs wait for the answer (SHLD-18).
    fn check_conversation(&mut self, cx: &Context<'_>) {
        let is_answer = self.has(Flags::HEARD_TEXT)
            && cx.now.saturating_since(self.heard_at.instant()) < cx.settings.delayed_ack;
        if is_answer {
            self.quick_acks = 0;
        }
    }

    fn on_piece_sent(&mut self, piece: &Piece, cx: &mut Context<'_>) {
        let now = cx.now;
        let range = Range {
            left: piece.seq,
            right: piece.end(),
        };
        let is_new = matches!(piece.why, Why::New | Why::MtuProbe);
        self.pace(range.len(), cx);
        self.note_departure(range.len(), cx);
        self.snd.sent_at = Moment::at(now);
        self.note_sent(range, cx);
        match piece.why {
            Why::New => self.check_conversation(cx),
            Why::TailProbe => self.on_tail_probe_sent(range, cx),
            Why::MtuProbe => self.on_mtu_probe_sent(range, cx.memory),
            Why::Probe => self.on_probe_sent(),
            Why::Again { is_rescue } => {
                self.recovery.on_sent_again(range, is_rescue);
                self.note_sent_again(range, cx);
            }
        }
        self.totals.segments_sent = self.totals.segments_sent.saturating_add(1);
        if range.left.before(self.snd.nxt) {
            self.count_again(piece.why);
            // RFC 6298 3, Karn's rule.
            if self.snd.timed.after(range.left) {
                self.flags.remove(Flags::TIMED);
            }
        } else if !self.has(Flags::TIMED) && is_new {
            self.snd.timed = range.right;
            self.snd.timed_at = Stamp::at(now);
            self.flags.insert(Flags::TIMED);
        }
        if range.right.after(self.snd.nxt) {
            self.snd.nxt = range.right;
            if piece.is_small {
                self.snd.small = range.right;
            }
        }
        // RFC 6298 5.1, and never earlier than RTO after the oldest segment went out last.
        let is_tail_probe = piece.why == Why::TailProbe;
        if piece.seq == self.snd.una || is_tail_probe || !self.timers.is_armed(Timer::Retransmit) {
            self.restart_retransmit_timer(now);
        }
        self.start_user_timer(now);
        if is_new {
            self.watch_tail(cx);
        }
    }

    /// A segment was sent again: how often, and because of what.
    fn count_again(&mut self, why: Why) {
        self.retransmits = self.retransmits.saturating_add(1);
        let totals = &mut self.totals;
        match why {
            Why::TailProbe => totals.again_as_probe = totals.again_as_probe.saturating_add(1),
            // What is left of the total is the rest: RACK, SACK or duplicates told of a loss.
            Why::New | Why::MtuProbe | Why::Again { .. } if self.recovery.phase == Phase::Fast => {}
            Why::New | Why::MtuProbe | Why::Again { .. } | Why::Probe => {
                totals.again_by_timer = totals.again_by_timer.saturating_add(1);
            }
        }
    }
}
