//! ProbeRTT, nearly nothing in flight now and then, so that the least round trip shows itself:
//! draft-ietf-ccwg-bbr-06 section 5.3.4.

use core::time::Duration;

use tidegate_wire::Instant;

use super::{Ack, AckPhase, Bbr, BbrPhase, Marks};

/// BBR.ProbeRTTDuration in milliseconds: long enough for flows with other round trips to drain the
/// queue at the same time, and two per cent of the time between two.
const PROBE_RTT_DURATION_MS: u64 = 200;

impl Bbr {
    /// 5.3.4.3, CheckProbeRTT; answers C.cwnd.
    pub(super) fn check_probe_rtt(&mut self, ack: &Ack) -> u32 {
        let is_due = self.phase != BbrPhase::ProbeRtt
            && self.has(Marks::PROBE_RTT_EXPIRED)
            && !self.has(Marks::IDLE_RESTART);
        if is_due {
            self.save_cwnd(ack.cwnd, ack.is_recovering);
            self.phase = BbrPhase::ProbeRtt;
            self.probe_rtt_done = None;
            self.ack_phase = AckPhase::ProbeStopping;
            self.start_round();
        }
        let cwnd = if self.phase == BbrPhase::ProbeRtt {
            self.probe_rtt(ack)
        } else {
            ack.cwnd
        };
        if ack.newly_acked > 0 {
            self.marks.remove(Marks::IDLE_RESTART);
        }
        cwnd
    }

    /// HandleProbeRTT; answers C.cwnd.
    fn probe_rtt(&mut self, ack: &Ack) -> u32 {
        // The low rates of this phase say nothing.
        self.sampler.mark_app_limited(ack.inflight);
        if self.probe_rtt_done.is_none() {
            if ack.inflight <= self.probe_rtt_cwnd(ack.mss) {
                let duration = Duration::from_millis(PROBE_RTT_DURATION_MS);
                self.probe_rtt_done = Some(ack.now + duration);
                self.marks.remove(Marks::PROBE_RTT_ROUND_DONE);
                self.start_round();
            }
            return ack.cwnd;
        }
        if self.has(Marks::ROUND_START) {
            self.marks.insert(Marks::PROBE_RTT_ROUND_DONE);
        }
        if self.has(Marks::PROBE_RTT_ROUND_DONE) {
            self.check_probe_rtt_done(ack.cwnd, ack.now)
        } else {
            ack.cwnd
        }
    }

    /// CheckProbeRTTDone and, where it is, 5.3.4.4, ExitProbeRTT. Answers C.cwnd.
    pub(super) fn check_probe_rtt_done(&mut self, cwnd: u32, now: Instant) -> u32 {
        if self.probe_rtt_done.is_none_or(|done| now <= done) {
            return cwnd;
        }
        self.min_rtt.on_probed(now);
        self.reset_short_term_model();
        if self.has(Marks::FULL_BW_REACHED) {
            self.start_down(now);
            self.phase = BbrPhase::Cruise;
        } else {
            self.phase = BbrPhase::Startup;
        }
        // RestoreCwnd.
        cwnd.max(self.prior_cwnd)
    }
}
