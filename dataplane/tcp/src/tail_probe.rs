//! The tail loss probe, RFC 8985 section 7: a segment that provokes an ACK where none would come.
//!
//! When the end of a flight is lost nothing is delivered after it, so RACK has nothing to go by and
//! the retransmission timer would have to go off. Two round trips after the last news a probe is
//! sent instead, and what the peer reports then is enough to find the loss.
//!
//! The timer shares its slot with the reordering timer. They never run together: this one is for a
//! flight of which nothing is SACKed, outside of a repair.

use core::time::Duration;

use tidegate_wire::Instant;

use crate::memory::{Memory, NONE};
use crate::rack::duplicate_of;
use crate::ranges::Range;
use crate::sent::TailProbe;
use crate::tcb::{Flags, Owes, Tcb};
use crate::timers::Timer;
use crate::{Context, Segment};

/// TLP.max_ack_delay, RFC 8985 7.2: how long a peer may hold back the ACK of a single segment.
/// Linux delays by 200 ms at most; with less a probe goes out that only a delayed ACK provoked,
/// with more a lost single segment waits for the RTO.
const ACK_DELAY_MAX: Duration = Duration::from_millis(200);

/// The least time before a probe. The round trip in a data centre is shorter than what a busy host
/// needs to answer; a probe each time it does would be waste.
const PTO_MIN: Duration = Duration::from_millis(10);

/// PTO before there is a round-trip time, RFC 8985 7.2.
const PTO_UNKNOWN: Duration = Duration::from_secs(1);

impl Tcb {
    /// Whether the reordering timer's slot is the probe's: there is SACK, nothing is SACKed, nothing
    /// is repaired, and what was sent has a log.
    pub(crate) const fn is_tail_watched(&self) -> bool {
        self.snd.log != NONE
            && self.has(Flags::SACK)
            && self.scoreboard.is_empty()
            && !self.recovery.is_repairing()
    }

    /// RFC 8985 7.2: new text was sent or acknowledged, so the probe's time starts anew.
    pub(crate) fn watch_tail(&mut self, cx: &Context<'_>) {
        let log = self.send_log(cx.memory);
        let is_probed = log.is_none_or(|log| log.tail_probe.is_some());
        // Something may be late without being SACKed: then the timer is that of reordering.
        let is_idle = self.flight_size() == 0 || self.snd.wnd == 0;
        if !self.is_tail_watched() || is_probed || is_idle {
            return;
        }
        let at = cx.now + self.pto();
        // 7.2: not later than the RTO, which is the better for it: the probe costs no window.
        let rto = self.timers.at(Timer::Retransmit);
        self.timers
            .arm(Timer::Reorder, rto.map_or(at, |rto: Instant| rto.min(at)));
    }

    /// TLP_calc_PTO of RFC 8985 7.2.
    fn pto(&self) -> Duration {
        let Some(srtt) = self.rtt.srtt() else {
            return PTO_UNKNOWN;
        };
        let delay = if self.flight_size() <= self.smss() {
            ACK_DELAY_MAX
        } else {
            Duration::ZERO
        };
        (2 * srtt + delay).max(PTO_MIN)
    }

    /// The time is over: that of the probe, or that of a log that was kept for a late D-SACK.
    pub(crate) fn on_probe_timeout(&mut self, cx: &mut Context<'_>) {
        if self.flight_size() == 0 {
            self.end_log(cx.memory);
            return;
        }
        let is_due = self.state.can_transmit_text() && self.snd.wnd > 0;
        if is_due {
            self.owes.insert(Owes::TAIL_PROBE);
            // The probe is sent instead, and RTO runs from it (RFC 8985 7.3).
            self.timers.arm(Timer::Retransmit, cx.now + self.rtt.rto());
        }
    }

    /// RFC 8985 7.3: the probe went out; there is no other until it is answered.
    pub(crate) fn on_tail_probe_sent(&mut self, range: Range, cx: &mut Context<'_>) {
        self.owes.remove(Owes::TAIL_PROBE);
        let is_again = range.left.before(self.snd.nxt);
        if let Some(log) = cx.memory.log_mut(self.snd.log) {
            log.tail_probe = Some(TailProbe {
                end: self.snd.nxt.latest(range.right),
                is_again,
            });
        }
    }

    /// TLP_process_ack of RFC 8985 7.4.2: whether the probe has repaired a loss, which then is
    /// congestion like any other. Asked before SND.UNA moves.
    pub(crate) fn check_tail_probe(&mut self, seg: &Segment<'_>, cx: &mut Context<'_>) {
        let Some(probe) = self.tail_probe(cx.memory) else {
            return;
        };
        if seg.ack.before(probe.end) {
            return;
        }
        // That both came is told by a D-SACK, or by an ACK of nothing.
        let is_duplicate = duplicate_of(seg).is_some_and(|block| block.right == probe.end);
        let has_sack = !seg.options.sack.as_slice().is_empty();
        let is_ack_of_nothing = seg.ack == self.snd.una && seg.is_empty() && !has_sack;
        let is_repaired = probe.is_again && !is_duplicate && seg.ack.after(probe.end);
        let is_over = !probe.is_again || is_duplicate || is_ack_of_nothing || is_repaired;
        // What was sent with the probe's end is acknowledged, and the log goes with it.
        let is_log_over = seg.ack == self.snd.nxt;
        self.flags.set(Flags::TAIL_PROBED, is_log_over && !is_over);
        if is_repaired && !self.recovery.is_repairing() {
            self.congestion.on_loss(self.flight_size(), self.smss());
        }
        if let Some(log) = cx
            .memory
            .log_mut(self.snd.log)
            .filter(|_| is_over || is_log_over)
        {
            log.tail_probe = None;
        }
    }

    /// The probe that is not answered for certain. Of one that was sent before the flow had nothing
    /// in flight for a while only the flag is left, and no more is needed.
    fn tail_probe(&self, memory: &Memory) -> Option<TailProbe> {
        let old = TailProbe {
            end: self.snd.una,
            is_again: true,
        };
        let is_old = self.has(Flags::TAIL_PROBED);
        is_old
            .then_some(old)
            .or_else(|| self.send_log(memory)?.tail_probe)
    }
}
