//! What BBR sets: pacing rate and congestion window, draft-ietf-ccwg-bbr-06 section 5.6.

use super::{Ack, Bbr, BbrPhase, INFINITY, Marks, Start, volume};
use crate::pacing;

/// BBR.PacingMarginPercent: so much less than the path carries, so that a queue goes away.
const PACING_MARGIN_PERCENT: u64 = 1;

/// Segments to which the window is never smaller; BBR.MinPipeCwnd. With less, a receiver that
/// acknowledges every second segment would leave the path empty between.
const MIN_PIPE_SEGMENTS: u32 = 4;

/// The round trip that counts before there is one, in microseconds.
const RTT_UNKNOWN_US: u64 = 1_000;

/// BBR.MinPipeCwnd in octets.
pub(super) const fn min_pipe_cwnd(mss: u32) -> u32 {
    MIN_PIPE_SEGMENTS * mss
}

impl Bbr {
    /// C.pacing_rate in bytes a second.
    pub(crate) const fn pacing_rate(&self) -> u64 {
        self.pacing_rate
    }

    /// BBR.pacing_gain in per cent; the table of 5.6.1.
    pub(super) const fn pacing_gain(&self) -> u64 {
        match self.phase {
            BbrPhase::Startup => 277,
            BbrPhase::Drain => 50,
            BbrPhase::Down => 90,
            BbrPhase::Cruise | BbrPhase::Refill | BbrPhase::ProbeRtt => 100,
            BbrPhase::Up => 125,
        }
    }

    /// BBR.cwnd_gain in per cent.
    pub(super) const fn cwnd_gain(&self) -> u64 {
        match self.phase {
            BbrPhase::Startup
            | BbrPhase::Drain
            | BbrPhase::Down
            | BbrPhase::Cruise
            | BbrPhase::Refill => 200,
            BbrPhase::Up => 225,
            BbrPhase::ProbeRtt => PROBE_RTT_CWND_GAIN,
        }
    }

    /// 5.6.2, InitPacingRate.
    pub(super) fn init_pacing_rate(&mut self, start: &Start) {
        let rtt_us = start.rtt_us.map_or(RTT_UNKNOWN_US, u64::from).max(1);
        // Gain and microseconds: per cent of a window in a round trip.
        self.pacing_rate = u64::from(start.cwnd) * 10_000 * self.pacing_gain() / rtt_us;
    }

    /// SetPacingRate.
    pub(super) fn set_pacing_rate(&mut self) {
        self.set_pacing_rate_with_gain(self.pacing_gain());
    }

    /// SetPacingRateWithGain: before the pipe was filled once, the rate only rises.
    pub(super) fn set_pacing_rate_with_gain(&mut self, gain: u64) {
        let rate = u128::from(self.bw) * u128::from(gain * (100 - PACING_MARGIN_PERCENT)) / 10_000;
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        if rate > 0 && (self.has(Marks::FULL_BW_REACHED) || rate > self.pacing_rate) {
            self.pacing_rate = rate;
        }
    }

    /// 5.6.4.2, BDPMultiple, with the gain in per cent.
    pub(super) fn bdp_multiple(&self, gain: u64) -> u32 {
        match self.min_rtt.value_us() {
            Some(min_rtt_us) if self.bw > 0 => {
                let bytes = u128::from(self.bw) * u128::from(min_rtt_us) / 1_000_000;
                volume(bytes * u128::from(gain) / 100)
            }
            _ => self.initial_cwnd,
        }
    }

    /// Inflight.
    pub(super) fn inflight(&self, gain: u64, mss: u32) -> u32 {
        self.with_quantization(self.bdp_multiple(gain), mss)
    }

    /// QuantizationBudget: what has to be in flight where bursts leave and arrive.
    fn with_quantization(&self, inflight: u32, mss: u32) -> u32 {
        let offload_budget = 3_u32.saturating_mul(pacing::quantum(self.pacing_rate, mss));
        let budget = inflight.max(offload_budget).max(min_pipe_cwnd(mss));
        if self.phase == BbrPhase::Up {
            budget.saturating_add(2 * mss)
        } else {
            budget
        }
    }

    /// 5.6.4.5, ProbeRTTCwnd.
    pub(super) fn probe_rtt_cwnd(&self, mss: u32) -> u32 {
        self.bdp_multiple(PROBE_RTT_CWND_GAIN)
            .max(min_pipe_cwnd(mss))
    }

    /// 5.6.4.6, SetCwnd: up by what was delivered, down at once.
    pub(super) fn next_cwnd(&mut self, ack: &Ack) -> u32 {
        let max_inflight = self
            .bdp_multiple(self.cwnd_gain())
            .saturating_add(self.extra_acked.value());
        let max_inflight = self.with_quantization(max_inflight, ack.mss);
        if self.sampler.delivered.value() >= self.initial_cwnd {
            self.marks.insert(Marks::WARM);
        }
        let grown = ack.cwnd.saturating_add(ack.newly_acked);
        let cwnd = if self.has(Marks::FULL_BW_REACHED) {
            grown.min(max_inflight)
        } else if ack.cwnd < max_inflight || !self.has(Marks::WARM) {
            grown
        } else {
            ack.cwnd
        };
        let cwnd = cwnd.max(min_pipe_cwnd(ack.mss));
        let is_probing_rtt = self.phase == BbrPhase::ProbeRtt;
        let cap = if is_probing_rtt {
            self.probe_rtt_cwnd(ack.mss)
        } else {
            INFINITY
        };
        cwnd.min(cap).min(self.cwnd_cap(ack.mss))
    }

    /// 5.6.4.7, BoundCwndForModel.
    fn cwnd_cap(&self, mss: u32) -> u32 {
        let cap = match self.phase {
            BbrPhase::Down | BbrPhase::Refill | BbrPhase::Up => self.inflight_longterm,
            BbrPhase::Cruise | BbrPhase::ProbeRtt => self.inflight_with_headroom(mss),
            BbrPhase::Startup | BbrPhase::Drain => INFINITY,
        };
        cap.min(self.inflight_shortterm).max(min_pipe_cwnd(mss))
    }
}

/// BBR.ProbeRTTCwndGain in per cent.
const PROBE_RTT_CWND_GAIN: u64 = 50;
