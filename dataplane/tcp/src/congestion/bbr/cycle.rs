//! ProbeBW, the cycle in which a long flow spends its life: draft-ietf-ccwg-bbr-06 section 5.3.3.

use core::time::Duration;

use tidegate_wire::Instant;

use super::{Ack, AckPhase, Bbr, BbrPhase, INFINITY, Marks, model};

/// T_bbr of 5.3.3.8.2: the least time between two probes, in milliseconds, and how much of it is
/// left to chance. Two seconds leave a Reno flow of 30 ms time to reach 25 Mbit/s; after three, a
/// user would notice that free bandwidth is not used.
const BW_PROBE_WAIT_MS: u16 = 2_000;
/// See [`BW_PROBE_WAIT_MS`].
const BW_PROBE_WAIT_RANDOM_MS: u16 = 1_000;

/// T_reno_bound of 5.3.3.8.2: the most rounds between two probes. With many more, one per cent of
/// random loss would wear the rate down before it is probed again.
const RENO_ROUNDS_MAX: u32 = 63;

impl Bbr {
    /// UpdateProbeBWCyclePhase.
    pub(super) fn update_probe_bw_cycle_phase(&mut self, ack: &Ack) {
        if !self.has(Marks::FULL_BW_REACHED) || self.adapt_long_term_model(ack) {
            return;
        }
        match self.phase {
            BbrPhase::Down => {
                if !self.check_time_to_probe(ack) && self.is_time_to_cruise(ack) {
                    self.phase = BbrPhase::Cruise;
                }
            }
            BbrPhase::Cruise => {
                self.check_time_to_probe(ack);
            }
            BbrPhase::Refill => {
                if self.has(Marks::ROUND_START) {
                    self.marks.insert(Marks::BW_PROBE_SAMPLE);
                    self.start_up(ack);
                }
            }
            BbrPhase::Up => {
                if self.is_time_to_go_down(ack) {
                    self.marks.remove(Marks::PREV_PROBE_TOO_HIGH);
                    self.start_down(ack.now);
                }
            }
            BbrPhase::Startup | BbrPhase::Drain | BbrPhase::ProbeRtt => {}
        }
    }

    /// StartProbeBW_DOWN.
    pub(super) fn start_down(&mut self, now: Instant) {
        self.reset_congestion_signals();
        self.probe_up_acked_per_inc = INFINITY;
        self.pick_probe_wait();
        self.cycle_stamp = now;
        self.ack_phase = AckPhase::ProbeStopping;
        self.start_round();
        self.phase = BbrPhase::Down;
    }

    /// StartProbeBW_REFILL.
    pub(super) fn start_refill(&mut self) {
        self.reset_short_term_model();
        self.bw_probe_up_rounds = 0;
        self.bw_probe_up_acked = 0;
        self.marks.remove(Marks::PREV_PROBE_PRECAUTIONARY);
        self.ack_phase = AckPhase::Refilling;
        self.start_round();
        self.phase = BbrPhase::Refill;
    }

    /// StartProbeBW_UP.
    fn start_up(&mut self, ack: &Ack) {
        self.ack_phase = AckPhase::ProbeStarting;
        self.start_round();
        self.reset_full_bw(ack.delivery_rate());
        self.phase = BbrPhase::Up;
        self.raise_inflight_longterm_slope(ack);
    }

    /// PickProbeWait: chance keeps flows from probing all at once.
    fn pick_probe_wait(&mut self) {
        self.rounds_since_probe_up = self.random_below(2);
        let random_ms = self.random_below(u32::from(BW_PROBE_WAIT_RANDOM_MS));
        self.bw_probe_wait_ms = BW_PROBE_WAIT_MS + u16::try_from(random_ms).unwrap_or(0);
    }

    /// IsTimeToProbeBW; where it is, REFILL begins.
    fn check_time_to_probe(&mut self, ack: &Ack) -> bool {
        let wait = Duration::from_millis(u64::from(self.bw_probe_wait_ms));
        // IsRenoCoexistenceProbeTime: as often as Reno would have filled the path.
        let reno_rounds = self.target_inflight(ack.cwnd) / ack.mss.max(1);
        let is_time = ack.now > self.cycle_stamp + wait
            || self.rounds_since_probe_up >= reno_rounds.min(RENO_ROUNDS_MAX);
        if is_time {
            self.start_refill();
        }
        is_time
    }

    /// TargetInflight.
    pub(super) fn target_inflight(&self, cwnd: u32) -> u32 {
        self.bdp_multiple(100).min(cwnd)
    }

    /// IsTimeToCruise.
    fn is_time_to_cruise(&self, ack: &Ack) -> bool {
        ack.inflight <= self.inflight_with_headroom(ack.mss)
            && ack.inflight <= self.inflight(100, ack.mss)
    }

    /// IsTimeToGoDown.
    fn is_time_to_go_down(&mut self, ack: &Ack) -> bool {
        // 5.3.3.6: after a probe that lost too much, the next one stops where that was.
        if self.has(Marks::PREV_PROBE_TOO_HIGH) && ack.inflight >= self.inflight_longterm {
            self.marks.insert(Marks::PREV_PROBE_PRECAUTIONARY);
            return true;
        }
        if ack.is_cwnd_limited && ack.cwnd >= self.inflight_longterm {
            self.reset_full_bw(ack.delivery_rate());
            return false;
        }
        self.has(Marks::FULL_BW_NOW)
    }

    /// InflightWithHeadroom: 15 per cent are left to others.
    pub(super) fn inflight_with_headroom(&self, mss: u32) -> u32 {
        if self.inflight_longterm == INFINITY {
            return INFINITY;
        }
        let headroom = (self.inflight_longterm / 20 * 3).max(mss);
        self.inflight_longterm
            .saturating_sub(headroom)
            .max(super::control::min_pipe_cwnd(mss))
    }

    /// RaiseInflightLongtermSlope.
    fn raise_inflight_longterm_slope(&mut self, ack: &Ack) {
        let growth = 1_u32 << self.bw_probe_up_rounds;
        self.bw_probe_up_rounds = (self.bw_probe_up_rounds + 1).min(30);
        self.probe_up_acked_per_inc = (ack.cwnd / growth).max(ack.mss);
    }

    /// ProbeInflightLongtermUpward.
    fn probe_inflight_longterm_upward(&mut self, ack: &Ack) {
        if !ack.is_cwnd_limited || ack.cwnd < self.inflight_longterm {
            return;
        }
        self.bw_probe_up_acked = self.bw_probe_up_acked.saturating_add(ack.newly_acked);
        let steps = self.bw_probe_up_acked / self.probe_up_acked_per_inc;
        self.bw_probe_up_acked -= steps * self.probe_up_acked_per_inc;
        self.inflight_longterm = self
            .inflight_longterm
            .saturating_add(steps.saturating_mul(ack.mss));
        if self.has(Marks::ROUND_START) {
            self.raise_inflight_longterm_slope(ack);
        }
    }

    /// AdaptLongTermModel: whether it has decided on a phase.
    fn adapt_long_term_model(&mut self, ack: &Ack) -> bool {
        let is_round_start = self.has(Marks::ROUND_START);
        if self.ack_phase == AckPhase::ProbeStarting && is_round_start {
            self.ack_phase = AckPhase::ProbeFeedback;
        }
        if self.ack_phase == AckPhase::ProbeStopping && is_round_start {
            self.marks.remove(Marks::BW_PROBE_SAMPLE);
            self.ack_phase = AckPhase::Init;
            let is_app_limited = ack.rate.is_some_and(|sample| sample.is_app_limited);
            if self.phase.is_probe_bw() && !is_app_limited {
                self.max_bw.advance();
            }
            let was_safe =
                self.has(Marks::PREV_PROBE_PRECAUTIONARY) && !self.has(Marks::PREV_PROBE_TOO_HIGH);
            if self.phase.is_probe_bw() && was_safe {
                self.start_refill();
                return true;
            }
        }
        let Some(sample) = ack.rate else { return false };
        let is_bounded = self.inflight_longterm != INFINITY;
        if is_bounded && !model::is_too_high(sample.lost, sample.tx_in_flight) {
            self.inflight_longterm = self.inflight_longterm.max(sample.tx_in_flight);
            if self.phase == BbrPhase::Up {
                self.probe_inflight_longterm_upward(ack);
            }
        }
        false
    }
}
