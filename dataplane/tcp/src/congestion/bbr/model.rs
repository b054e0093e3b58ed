//! What BBR learns from an acknowledgment or a loss: draft-ietf-ccwg-bbr-06 section 5.5.

use tidegate_wire::Instant;

use super::{Ack, Bbr, BbrPhase, INFINITY, Marks};
use crate::rate::Departure;

/// BBR.LossThresh, as one part in so many: two per cent of a round may be lost before the volume in
/// flight counts as too high.
const LOSS_THRESH_PART: u32 = 50;

/// A loss.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss<'a> {
    pub(crate) now: Instant,
    /// Octets.
    pub(crate) len: u32,
    /// What was known when they were sent, where that is written down.
    pub(crate) departure: Option<&'a Departure>,
    /// C.cwnd.
    pub(crate) cwnd: u32,
    /// InLossRecovery(), before this loss.
    pub(crate) is_recovering: bool,
}

impl Bbr {
    /// 5.5.10.3, UpdateLatestDeliverySignals.
    pub(super) fn update_latest_delivery_signals(&mut self, ack: &Ack) {
        self.marks.remove(Marks::LOSS_ROUND_START);
        let Some(sample) = ack.rate else { return };
        self.bw_latest = self.bw_latest.max(sample.rate);
        self.inflight_latest = self.inflight_latest.max(sample.delivered);
        if sample
            .prior_delivered
            .after_or_eq(self.loss_round_delivered)
        {
            self.loss_round_delivered = self.sampler.delivered;
            self.marks.insert(Marks::LOSS_ROUND_START);
        }
    }

    /// AdvanceLatestDeliverySignals.
    pub(super) fn advance_latest_delivery_signals(&mut self, ack: &Ack) {
        if let (true, Some(sample)) = (self.has(Marks::LOSS_ROUND_START), ack.rate) {
            self.bw_latest = sample.rate;
            self.inflight_latest = sample.delivered;
        }
    }

    /// UpdateCongestionSignals.
    pub(super) fn update_congestion_signals(&mut self, ack: &Ack) {
        self.update_max_bw(ack);
        if self.has(Marks::LOSS_ROUND_START) {
            self.adapt_lower_bounds(ack);
            self.marks.remove(Marks::LOSS_IN_ROUND);
        }
    }

    /// 5.5.5, UpdateMaxBw, and 5.5.1, UpdateRound.
    fn update_max_bw(&mut self, ack: &Ack) {
        self.marks.remove(Marks::ROUND_START);
        let Some(sample) = ack.rate else { return };
        if sample
            .prior_delivered
            .after_or_eq(self.next_round_delivered)
        {
            self.start_round();
            self.round_count = self.round_count.wrapping_add(1);
            self.rounds_since_probe_up = self.rounds_since_probe_up.saturating_add(1);
            self.marks.insert(Marks::ROUND_START);
        }
        // 5.5.4: what the application limited says something only where it is more than was known.
        if sample.rate > 0 && (sample.rate >= self.max_bw() || !sample.is_app_limited) {
            self.max_bw.update(sample.rate);
        }
    }

    /// StartRound.
    pub(super) const fn start_round(&mut self) {
        self.next_round_delivered = self.sampler.delivered;
    }

    /// AdaptLowerBoundsFromCongestion, once a round.
    fn adapt_lower_bounds(&mut self, ack: &Ack) {
        if self.phase.is_probing() || !self.has(Marks::LOSS_IN_ROUND) {
            return;
        }
        // InitLowerBounds.
        if self.bw_shortterm == u64::MAX {
            self.bw_shortterm = self.max_bw();
        }
        if self.inflight_shortterm == INFINITY {
            self.inflight_shortterm = ack.cwnd;
        }
        // LossLowerBounds.
        self.bw_shortterm = self.bw_latest.max(beta_u64(self.bw_shortterm));
        self.inflight_shortterm = self.inflight_latest.max(beta(self.inflight_shortterm));
    }

    /// ResetCongestionSignals.
    pub(super) fn reset_congestion_signals(&mut self) {
        self.marks.remove(Marks::LOSS_IN_ROUND);
        self.bw_latest = 0;
        self.inflight_latest = 0;
    }

    /// ResetShortTermModel.
    pub(super) const fn reset_short_term_model(&mut self) {
        self.bw_shortterm = u64::MAX;
        self.inflight_shortterm = INFINITY;
    }

    /// BoundBWForModel.
    pub(super) fn bound_bw_for_model(&mut self) {
        self.bw = self.max_bw().min(self.bw_shortterm);
    }

    /// 5.5.10.2, HandleLostPacket.
    pub(crate) fn on_lost(&mut self, loss: &Loss<'_>) {
        self.sampler.on_lost(loss.len);
        self.loss_events = self.loss_events.saturating_add(1);
        self.note_loss(loss.cwnd, loss.is_recovering);
        let Some(departure) = loss.departure.filter(|_| self.has(Marks::BW_PROBE_SAMPLE)) else {
            return;
        };
        let (lost, tx_in_flight) = (self.sampler.lost_since(departure), departure.tx_in_flight);
        if is_too_high(lost, tx_in_flight) {
            let at_loss = inflight_at_loss(loss.len, lost, tx_in_flight);
            self.on_inflight_too_high(loss, at_loss);
        }
    }

    /// NoteLoss.
    fn note_loss(&mut self, cwnd: u32, is_recovering: bool) {
        if !self.has(Marks::LOSS_IN_ROUND) {
            self.loss_round_delivered = self.sampler.delivered;
            self.save_state_upon_loss(cwnd, is_recovering);
        }
        self.marks.insert(Marks::LOSS_IN_ROUND);
    }

    /// HandleInflightTooHigh, once a probe.
    fn on_inflight_too_high(&mut self, loss: &Loss<'_>, at_loss: u32) {
        self.marks.insert(Marks::PREV_PROBE_TOO_HIGH);
        self.marks.remove(Marks::BW_PROBE_SAMPLE);
        if !loss
            .departure
            .is_some_and(|departure| departure.is_app_limited)
        {
            self.inflight_longterm = at_loss.max(beta(self.target_inflight(loss.cwnd)));
        }
        if self.phase == BbrPhase::Up {
            self.undo.phase = Some(BbrPhase::Up);
            self.start_down(loss.now);
        }
    }

    /// 3.7: a mark counts as congestion, wherever in the cycle it comes, with `inflight` octets in
    /// the network. Its `departure` is not known.
    pub(crate) fn on_mark(&mut self, mark: &Loss<'_>, inflight: u32) {
        self.note_loss(mark.cwnd, mark.is_recovering);
        if self.has(Marks::BW_PROBE_SAMPLE) {
            self.on_inflight_too_high(mark, inflight);
        } else if self.phase == BbrPhase::Startup && self.bw > 0 {
            self.end_startup_by_congestion();
        }
    }
}

/// IsInflightTooHigh: more than the threshold was lost.
pub(super) const fn is_too_high(lost: u32, tx_in_flight: u32) -> bool {
    lost > tx_in_flight / LOSS_THRESH_PART
}

/// InflightAtLoss: how much was in flight when the losses crossed the threshold, which may have
/// been in the middle of the `len` octets of the last one.
fn inflight_at_loss(len: u32, lost: u32, tx_in_flight: u32) -> u32 {
    let inflight_prev = tx_in_flight.saturating_sub(len);
    let lost_prev = lost.saturating_sub(len);
    let allowed = (inflight_prev / LOSS_THRESH_PART).saturating_sub(lost_prev);
    // Divided by one less the threshold.
    inflight_prev + allowed + allowed / (LOSS_THRESH_PART - 1)
}

/// BBR.Beta, 0.7: what is left after a loss, as with CUBIC.
const fn beta(bytes: u32) -> u32 {
    bytes / 10 * 7 + bytes % 10 * 7 / 10
}

const fn beta_u64(rate: u64) -> u64 {
    rate / 10 * 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_crossed_in_the_middle_of_a_burst() {
        // 2 % of 100 segments are two: the third is too many.
        assert!(!is_too_high(2_000, 100_000));
        assert!(is_too_high(2_001, 100_000));
        // A burst of 10 behind 90: 1.8 of the 90 may be lost, and a little of the ten.
        let at_loss = inflight_at_loss(10_000, 10_000, 100_000);
        assert!((91_800..=91_900).contains(&at_loss), "{at_loss}");
        // What was lost before leaves no room.
        assert_eq!(inflight_at_loss(10_000, 15_000, 100_000), 90_000);
    }
}
