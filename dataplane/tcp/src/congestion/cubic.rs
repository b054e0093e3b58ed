//! CUBIC, RFC 9438: the window follows a cubic function of the time since the last loss.
//!
//! The curve is steep at first, flat around the window at which the loss was, and steep again
//! beyond it. Where Reno would have the larger window (short round-trip times), it is Reno's. The
//! unit of the RFC is the segment, ours the byte; where they meet, SMSS comes in. The first slow
//! start is that of `hystart`, unless the user does not want it.

use core::time::Duration;

use super::hystart::HyStart;
use super::{Ack, CWND_MAX, Window, scaled, ssthresh_min};
use crate::sent::Stamp;

#[cfg(test)]
mod tests;

/// RFC 9438 section 4.6: what is left of the window after a loss.
const BETA: f64 = 0.7;

/// RFC 9438 section 5.1: how steep the curve is, in segments per cubed second.
const C: f64 = 0.4;

/// RFC 9438 section 4.3: the increase that makes an AIMD with [`BETA`] as fast as Reno on average.
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// The state of CUBIC for one connection.
#[derive(Clone, Debug)]
pub struct Cubic {
    pub(super) window: Window,
    /// W_max, in bytes: where the curve is flat; zero where no loss has said where that is.
    w_max: u32,
    /// cwnd_prior, in bytes: the window at the last reduction.
    cwnd_prior: u32,
    stage: Stage,
}

/// What the window grows by.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The first slow start, of which nobody knows where it leads.
    First(HyStart),
    /// A later slow start, or congestion avoidance that begins with the next acknowledgment.
    Next,
    /// Congestion avoidance.
    Avoidance(Avoidance),
}

/// A stage of congestion avoidance.
#[derive(Clone, Copy, Debug)]
struct Avoidance {
    /// W_est, in bytes: the window that Reno would have now.
    w_est: u32,
    /// The part of a byte that W_est has beside.
    w_est_fraction: f32,
    /// The part of a byte that the window has grown by and cannot show.
    fraction: f32,
    /// K, in seconds: when in this stage the curve reaches W_max.
    k: f32,
    /// t, in microseconds: how long this stage of congestion avoidance lasts, idle times apart.
    /// After 71 minutes it stands still; the curve has left every window behind long before.
    elapsed_us: u32,
    /// When the last acknowledgment of this stage came.
    last_ack: Stamp,
}

impl Cubic {
    pub(super) const fn new(window: Window) -> Self {
        Self {
            window,
            w_max: 0,
            cwnd_prior: 0,
            stage: Stage::Next,
        }
    }

    /// The first slow start is that of RFC 9406.
    pub(super) const fn begin_hystart(&mut self) {
        self.stage = Stage::First(HyStart::new());
    }

    /// Whether slow start counts bytes itself.
    pub(super) const fn has_hystart(&self) -> bool {
        matches!(self.stage, Stage::First(_))
    }

    pub(super) fn on_ack(&mut self, ack: &Ack) {
        if self.window.is_in_slow_start() {
            self.slow_start(ack);
            return;
        }
        let mut stage = match self.stage {
            Stage::Avoidance(stage) => stage,
            Stage::First(_) | Stage::Next => self.begin_stage(ack),
        };
        let now = Stamp::at(ack.now);
        let since_last_us = now.micros_since(stage.last_ack);
        stage.last_ack = now;
        // RFC 9438 5.8: no growth while application-limited, and 4.2: t does not count such times.
        if ack.is_cwnd_limited {
            stage.elapsed_us = stage
                .elapsed_us
                .saturating_add(elapsed_us(since_last_us, ack.srtt));
            self.avoid_congestion(&mut stage, ack);
        }
        self.stage = Stage::Avoidance(stage);
    }

    fn slow_start(&mut self, ack: &Ack) {
        match &mut self.stage {
            Stage::First(hystart) => {
                if hystart.on_ack(&mut self.window, ack) {
                    // RFC 9406 4.2: congestion avoidance begins with the window that is reached.
                    self.window.ssthresh = self.window.cwnd;
                    self.stage = Stage::Next;
                }
            }
            // RFC 9438 4.10 and 5.8: as RFC 5681, and no growth while the window is not used.
            Stage::Next | Stage::Avoidance(_) if ack.is_cwnd_limited => {
                self.window.slow_start(ack.acked, ack.mss);
            }
            Stage::Next | Stage::Avoidance(_) => {}
        }
    }

    pub(super) fn on_loss(&mut self, flight_size: u32, mss: u32) {
        let cwnd = self.window.cwnd;
        // RFC 9438 4.7, fast convergence: a flow that loses below the last W_max makes room.
        self.w_max = if cwnd < self.w_max {
            scaled(cwnd, 17, 20)
        } else {
            cwnd
        };
        self.reduce(flight_size, mss);
        self.window.cwnd = self.window.ssthresh;
    }

    pub(super) fn on_rto(&mut self, flight_size: u32, mss: u32) {
        // RFC 9438 4.8: the next stage has its flat part where it begins.
        self.w_max = 0;
        self.reduce(flight_size, mss);
    }

    /// The segments are smaller: so is every window that counts them.
    pub(super) fn on_smaller_mss(&mut self, old: u32, new: u32) {
        self.w_max = scaled(self.w_max, new, old);
        self.cwnd_prior = scaled(self.cwnd_prior, new, old);
    }

    /// Congestion avoidance begins anew with the next acknowledgment outside slow start.
    pub(super) const fn end_stage(&mut self) {
        if let Stage::Avoidance(_) = self.stage {
            self.stage = Stage::Next;
        }
    }

    /// RFC 9438 4.6: multiplicative decrease, of what was outstanding.
    fn reduce(&mut self, flight_size: u32, mss: u32) {
        self.cwnd_prior = self.window.cwnd;
        self.window.ssthresh = reduced(flight_size).max(ssthresh_min(mss));
        self.stage = Stage::Next;
    }

    fn begin_stage(&mut self, ack: &Ack) -> Avoidance {
        let cwnd = self.window.cwnd;
        // RFC 9438 4.8: with no W_max to come back to, the curve starts at its flat part, K zero.
        self.w_max = self.w_max.max(cwnd);
        // RFC 9438 4.2, figure 2.
        let below = f64::from(self.w_max - cwnd) / f64::from(ack.mss);
        Avoidance {
            // RFC 9438 4.3: Reno's window starts where ours does.
            w_est: cwnd,
            w_est_fraction: 0.0,
            fraction: 0.0,
            k: single((below / C).cbrt()),
            elapsed_us: 0,
            last_ack: Stamp::at(ack.now),
        }
    }

    fn avoid_congestion(&mut self, stage: &mut Avoidance, ack: &Ack) {
        let (cwnd, mss) = (f64::from(self.window.cwnd), f64::from(ack.mss));
        // Which part of a round-trip time's worth it is; however much it covers, one at most.
        let part = (f64::from(ack.acked) / cwnd).min(1.0);

        // RFC 9438 4.3, figure 4. Beyond cwnd_prior Reno and its friend grow at the same pace.
        let w_est = f64::from(stage.w_est) + f64::from(stage.w_est_fraction);
        let alpha = if w_est >= f64::from(self.cwnd_prior) {
            1.0
        } else {
            ALPHA
        };
        let w_est = w_est + alpha * mss * part;
        stage.w_est = whole(w_est);
        stage.w_est_fraction = single(w_est.fract());

        let t = f64::from(stage.elapsed_us) / 1e6;
        let grown = if self.w_cubic(stage.k, t, mss) < w_est {
            // RFC 9438 4.3: the Reno-friendly region.
            w_est.max(cwnd + f64::from(stage.fraction))
        } else {
            // RFC 9438 4.2, 4.4 and 4.5: towards where the curve will be a round-trip time from
            // now, and not faster than by half a window.
            let target = self
                .w_cubic(stage.k, t + ack.srtt.as_secs_f64(), mss)
                .clamp(cwnd, 1.5 * cwnd);
            cwnd + f64::from(stage.fraction) + (target - cwnd) * part
        };
        let grown = grown.min(f64::from(CWND_MAX));
        self.window.cwnd = whole(grown);
        stage.fraction = single(grown.fract());
    }

    /// RFC 9438 4.2, figure 1: where the curve is at `t` seconds, in bytes.
    fn w_cubic(&self, k: f32, t: f64, mss: f64) -> f64 {
        let from_flat = t - f64::from(k);
        C * from_flat * from_flat * from_flat * mss + f64::from(self.w_max)
    }
}

/// [`BETA`] of what was outstanding, in bytes.
pub(super) fn reduced(flight_size: u32) -> u32 {
    scaled(flight_size, 7, 10)
}

/// What the time between two acknowledgments adds to t, both in microseconds.
///
/// RFC 9438 4.2, 5.8: an idle time shorter than RTO restarts nothing, but must not count either. A
/// flow that fills its window hears of it at least once in a round-trip time, so no more counts.
fn elapsed_us(since_last_us: u32, srtt: Duration) -> u32 {
    if srtt.is_zero() {
        since_last_us
    } else {
        since_last_us.min(u32::try_from(srtt.as_micros()).unwrap_or(u32::MAX))
    }
}

/// The whole bytes of a window.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to CWND_MAX"
)]
const fn whole(window: f64) -> u32 {
    window as u32
}

/// Seven digits of it, to save room.
#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn single(value: f64) -> f32 {
    value as f32
}
