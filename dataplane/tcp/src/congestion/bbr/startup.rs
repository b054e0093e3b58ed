//! Startup and Drain, the search for the rate of the path: draft-ietf-ccwg-bbr-06 sections 5.3.1 and
//! 5.3.2.

use super::{Ack, Bbr, BbrPhase, Marks, model};

/// BBRStartupFullLossCnt: so many gaps lost in one round say that Startup was too fast. Fewer may
/// be a single burst.
const STARTUP_FULL_LOSS_COUNT: u8 = 6;

impl Bbr {
    /// 5.3.1.2, ResetFullBW, with the rate from which growth is counted.
    pub(super) fn reset_full_bw(&mut self, baseline: u64) {
        self.full_bw = baseline;
        self.full_bw_count = 0;
        self.marks.remove(Marks::FULL_BW_NOW);
    }

    /// 5.3.1.2, CheckFullBWReached: three rounds in which the rate did not grow by a quarter.
    pub(super) fn check_full_bw_reached(&mut self, ack: &Ack) {
        let Some(sample) = ack.rate else { return };
        if self.has(Marks::FULL_BW_NOW) || !self.has(Marks::ROUND_START) || sample.is_app_limited {
            return;
        }
        if sample.rate >= self.full_bw.saturating_mul(5) / 4 {
            self.reset_full_bw(sample.rate);
            return;
        }
        self.full_bw_count += 1;
        if self.full_bw_count >= 3 {
            self.marks
                .insert(Marks::FULL_BW_NOW | Marks::FULL_BW_REACHED);
        }
    }

    /// 5.3.1.1, CheckStartupDone.
    pub(super) fn check_startup_done(&mut self, ack: &Ack) {
        self.check_startup_high_loss(ack);
        if self.phase == BbrPhase::Startup && self.has(Marks::FULL_BW_REACHED) {
            // EnterDrain.
            self.phase = BbrPhase::Drain;
            self.drain_start_round = self.round_count;
        }
    }

    /// 5.3.1.3, CheckStartupHighLoss.
    fn check_startup_high_loss(&mut self, ack: &Ack) {
        if !self.has(Marks::LOSS_ROUND_START) {
            return;
        }
        let is_lossy = ack.is_recovering
            && self.loss_events >= STARTUP_FULL_LOSS_COUNT
            && ack
                .rate
                .is_some_and(|sample| model::is_too_high(sample.lost, sample.tx_in_flight));
        if is_lossy && !self.has(Marks::FULL_BW_REACHED) {
            self.end_startup_by_congestion();
        }
        self.loss_events = 0;
    }

    /// What was in flight of late is too much; the pipe is full.
    pub(super) fn end_startup_by_congestion(&mut self) {
        self.undo.phase = Some(BbrPhase::Startup);
        self.marks.insert(Marks::FULL_BW_REACHED);
        self.inflight_longterm = self.bdp_multiple(100).max(self.inflight_latest);
    }

    /// 5.3.2, CheckDrainDone.
    pub(super) fn check_drain_done(&mut self, ack: &Ack) {
        let is_drained = ack.inflight <= self.inflight(100, ack.mss)
            || self.round_count.wrapping_sub(self.drain_start_round) > 3;
        if self.phase == BbrPhase::Drain && is_drained {
            self.start_down(ack.now);
        }
    }
}
