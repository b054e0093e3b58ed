//! CUBIC, RFC 9438: the window follows a cubic function of the time since the last loss.
//!
//! The curve is steep at first, flat around the window at which the loss was, and steep again
//! beyond it. Where Reno would have the larger window (short round-trip times), it is Reno's. The
//! unit of the RFC is the segment, ours the byte; where they meet, SMSS comes in. No HyStart++ (RFC
//! 9406) here: slow start ends with a loss.

use core::time::Duration;

use tidegate_wire::Instant;

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
    /// Whether a stage of congestion avoidance is going on.
    is_in_stage: bool,
}

impl Cubic {
    pub(super) const fn new(window: Window) -> Self {
        Self {
            window,
            w_max: 0,
            cwnd_prior: 0,
            w_est: 0,
            w_est_fraction: 0.0,
            fraction: 0.0,
            k: 0.0,
            elapsed_us: 0,
            last_ack: Stamp::at(Instant::ZERO),
            is_in_stage: false,
        }
    }

    pub(super) fn on_ack(&mut self, ack: &Ack) {
        if self.window.is_in_slow_start() {
            // RFC 9438 4.10 and 5.8: as RFC 5681, and no growth while the window is not used.
            if ack.is_cwnd_limited {
                self.window.slow_start(ack.acked, ack.mss);
            }
            return;
        }
        if !self.is_in_stage {
            self.begin_stage(ack);
        }
        let now = Stamp::at(ack.now);
        let since_last_us = now.micros_since(self.last_ack);
        self.last_ack = now;
        // RFC 9438 5.8: no growth while application-limited, and 4.2: t does not count such times.
        if !ack.is_cwnd_limited {
            return;
        }
        self.elapsed_us = self
            .elapsed_us
            .saturating_add(elapsed_us(since_last_us, ack.srtt));
        self.avoid_congestion(ack);
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
        self.is_in_stage = false;
    }

    /// RFC 9438 4.6: multiplicative decrease, of what was outstanding.
    fn reduce(&mut self, flight_size: u32, mss: u32) {
        self.cwnd_prior = self.window.cwnd;
        self.window.ssthresh = reduced(flight_size).max(ssthresh_min(mss));
        self.end_stage();
    }

    fn begin_stage(&mut self, ack: &Ack) {
        let cwnd = self.window.cwnd;
        // RFC 9438 4.8: with no W_max to come back to, the curve starts at its flat part, K zero.
        self.w_max = self.w_max.max(cwnd);
        // RFC 9438 4.2, figure 2.
        let below = f64::from(self.w_max - cwnd) / f64::from(ack.mss);
        self.k = single((below / C).cbrt());
        // RFC 9438 4.3: Reno's window starts where ours does.
        self.w_est = cwnd;
        self.w_est_fraction = 0.0;
        self.fraction = 0.0;
        self.elapsed_us = 0;
        self.last_ack = Stamp::at(ack.now);
        self.is_in_stage = true;
    }

    fn avoid_congestion(&mut self, ack: &Ack) {
        let (cwnd, mss) = (f64::from(self.window.cwnd), f64::from(ack.mss));
        // Which part of a round-trip time's worth it is; however much it covers, one at most.
        let part = (f64::from(ack.acked) / cwnd).min(1.0);

        // RFC 9438 4.3, figure 4. Beyond cwnd_prior Reno and its friend grow at the same pace.
        let w_est = f64::from(self.w_est) + f64::from(self.w_est_fraction);
        let alpha = if w_est >= f64::from(self.cwnd_prior) {
            1.0
        } else {
            ALPHA
        };
        let w_est = w_est + alpha * mss * part;
        self.w_est = whole(w_est);
        self.w_est_fraction = single(w_est.fract());

        let t = f64::from(self.elapsed_us) / 1e6;
        let grown = if self.w_cubic(t, mss) < w_est {
            // RFC 9438 4.3: the Reno-friendly region.
            w_est.max(cwnd + f64::from(self.fraction))
        } else {
            // RFC 9438 4.2, 4.4 and 4.5: towards where the curve will be a round-trip time from
            // now, and not faster than by half a window.
            let target = self
                .w_cubic(t + ack.srtt.as_secs_f64(), mss)
                .clamp(cwnd, 1.5 * cwnd);
            cwnd + f64::from(self.fraction) + (target - cwnd) * part
        };
        let grown = grown.min(f64::from(CWND_MAX));
        self.window.cwnd = whole(grown);
        self.fraction = single(grown.fract());
    }

    /// RFC 9438 4.2, figure 1: where the curve is at `t` seconds, in bytes.
    fn w_cubic(&self, t: f64, mss: f64) -> f64 {
        let from_flat = t - f64::from(self.k);
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
