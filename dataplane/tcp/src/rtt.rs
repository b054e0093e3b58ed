//! Round-trip time and retransmission timeout, RFC 6298.
//!
//! Which measurements may be believed (Karn's rule, RFC 6298 section 3, or timestamps, RFC 7323
//! section 4) is the caller's to decide, and so is the timer itself (section 5); here are the
//! numbers only.

use core::time::Duration;

/// Limits of the retransmission timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttBounds {
    /// The timeout is never below this. RFC 6298 2.4 asks for 1 s; Linux uses 200 ms, on a network
    /// where that is long already.
    pub rto_min: Duration,
    /// The timeout is never above this. RFC 6298 2.5: at least 60 s.
    pub rto_max: Duration,
    /// Clock granularity G of RFC 6298 2.3.
    pub granularity: Duration,
    /// What the variance counts for at least, beside G. Set to the longest delay of a peer's
    /// acknowledgments, it keeps the timeout that far above SRTT, which is how Linux reads its
    /// minimum.
    pub variance_min: Duration,
}

/// Smoothed round-trip time, its variance and the timeout that follows from them.
#[derive(Clone, Copy, Debug)]
pub struct Rtt {
    /// SRTT in eighths of a microsecond, so that the gain of 1/8 loses nothing; zero before the
    /// first measurement. It reaches 536 s.
    srtt_x8: u32,
    /// RTTVAR in quarters of a microsecond.
    rttvar_x4: u32,
    rto_us: u32,
    min_us: u32,
    backoffs: u8,
}

const _: () = assert!(size_of::<Rtt>() <= 24, "it is in every idle flow");

/// Longest time that is measured, in microseconds; a longer one counts as this.
const SAMPLE_US_MAX: u32 = 1 << 28;

impl Rtt {
    /// No measurement yet; the timeout is `initial` (RFC 6298 2.1: 1 s; 3 s after a lost SYN, 5.7).
    #[must_use]
    pub fn new(initial: Duration) -> Self {
        let rto_us = micros(initial);
        Self {
            srtt_x8: 0,
            rttvar_x4: 0,
            rto_us,
            min_us: u32::MAX,
            backoffs: 0,
        }
    }

    /// Takes a measurement: one segment's time there and its acknowledgment's time back. The
    /// timeout follows from it and is backed off no more.
    pub fn on_sample(&mut self, sample: Duration, bounds: &RttBounds) {
        // Zero means that there was none, and a microsecond is what the clock can tell.
        let sample_us = micros(sample).clamp(1, SAMPLE_US_MAX);
        if self.srtt_x8 == 0 {
            // RFC 6298 2.2: SRTT = R, RTTVAR = R/2.
            self.srtt_x8 = sample_us * 8;
            self.rttvar_x4 = sample_us * 2;
        } else {
            // RFC 6298 2.3: RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|, with SRTT as it was;
            let error_us = (self.srtt_x8 / 8).abs_diff(sample_us);
            self.rttvar_x4 = self.rttvar_x4 - self.rttvar_x4 / 4 + error_us;
            // then SRTT = 7/8 SRTT + 1/8 R.
            self.srtt_x8 = self.srtt_x8 - self.srtt_x8 / 8 + sample_us;
        }
        self.min_us = self.min_us.min(sample_us);
        self.backoffs = 0;
        self.compute(bounds);
    }

    /// The timeout, RFC 6298's RTO, backed off where [`back_off`](Self::back_off) did so.
    #[must_use]
    pub const fn rto(&self) -> Duration {
        Duration::from_micros(self.rto_us as u64)
    }

    /// SRTT, nothing before the first measurement.
    #[must_use]
    pub const fn srtt(&self) -> Option<Duration> {
        match self.srtt_x8 {
            0 => None,
            srtt_x8 => Some(Duration::from_micros(srtt_x8 as u64 / 8)),
        }
    }

    /// RTTVAR, zero before the first measurement.
    #[must_use]
    pub const fn rttvar(&self) -> Duration {
        Duration::from_micros(self.rttvar_x4 as u64 / 4)
    }

    /// The least round-trip time measured, nothing before the first measurement.
    #[must_use]
    pub const fn min_rtt(&self) -> Option<Duration> {
        match self.min_us {
            u32::MAX => None,
            min_us => Some(Duration::from_micros(min_us as u64)),
        }
    }

    /// The timer went off: the timeout doubles, up to the maximum (RFC 6298 5.5).
    pub fn back_off(&mut self, bounds: &RttBounds) {
        self.rto_us = self.rto_us.saturating_mul(2).min(micros(bounds.rto_max));
        self.backoffs = self.backoffs.saturating_add(1);
    }

    /// How many times the timeout was doubled since it was last computed.
    #[must_use]
    pub const fn backoffs(&self) -> u8 {
        self.backoffs
    }

    /// New text was acknowledged: the timeout is what the measurements say again. Without any it
    /// stays as it is, since what a lost SYN taught is all that is known (RFC 6298 5.7).
    pub fn reset_backoff(&mut self, bounds: &RttBounds) {
        if self.backoffs > 0 && self.srtt_x8 != 0 {
            self.backoffs = 0;
            self.compute(bounds);
        }
    }

    /// The timer went off although nothing was lost; `sample` is the round trip that it was too
    /// short for, where that is known (RFC 4015 3.4). The timeout is what it was, or longer.
    pub fn on_spurious_timeout(&mut self, sample: Option<Duration>, bounds: &RttBounds) {
        if let (Some(sample), true) = (sample, self.srtt_x8 != 0) {
            let sample_us = micros(sample).clamp(1, SAMPLE_US_MAX);
            let later_x8 = self.srtt_x8.saturating_add(16 * micros(bounds.granularity));
            self.srtt_x8 = later_x8.min(8 * SAMPLE_US_MAX).max(8 * sample_us);
            self.rttvar_x4 = self.rttvar_x4.max(2 * sample_us);
        }
        self.reset_backoff(bounds);
    }

    /// RFC 6298 2.3: RTO = SRTT + max(G, 4 * RTTVAR), within the bounds of 2.4 and 2.5.
    fn compute(&mut self, bounds: &RttBounds) {
        let least = bounds.granularity.max(bounds.variance_min);
        let variance_us = self.rttvar_x4.max(micros(least));
        let rto_us = (self.srtt_x8 / 8).saturating_add(variance_us);
        // The maximum wins where the two bounds contradict each other.
        self.rto_us = rto_us
            .max(micros(bounds.rto_min))
            .min(micros(bounds.rto_max));
    }
}

/// A duration in whole microseconds, at most what 32 bits hold (71 minutes).
fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: RttBounds = RttBounds {
        rto_min: Duration::from_millis(200),
        rto_max: Duration::from_secs(120),
        granularity: Duration::from_millis(1),
        variance_min: Duration::ZERO,
    };

    const NO_BOUNDS: RttBounds = RttBounds {
        rto_min: Duration::ZERO,
        rto_max: Duration::from_secs(4_000),
        granularity: Duration::ZERO,
        variance_min: Duration::ZERO,
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_measurement_sets_srtt_and_half_of_it_as_variance() {
        let mut rtt = Rtt::new(ms(1_000));
        assert_eq!(
            (rtt.srtt(), rtt.min_rtt(), rtt.rto()),
            (None, None, ms(1_000))
        );
        rtt.on_sample(ms(100), &BOUNDS);
        assert_eq!((rtt.srtt(), rtt.rttvar()), (Some(ms(100)), ms(50)));
        assert_eq!((rtt.rto(), rtt.min_rtt()), (ms(300), Some(ms(100))));
    }

    #[test]
    fn the_second_one_moves_them_by_the_gains() {
        let mut rtt = Rtt::new(ms(1_000));
        rtt.on_sample(ms(100), &BOUNDS);
        rtt.on_sample(ms(180), &BOUNDS);
        // RTTVAR = 3/4 * 50 + 1/4 * 80, SRTT = 7/8 * 100 + 1/8 * 180.
        assert_eq!(
            (rtt.srtt(), rtt.rttvar()),
            (Some(ms(110)), Duration::from_micros(57_500))
        );
        assert_eq!((rtt.rto(), rtt.min_rtt()), (ms(340), Some(ms(100))));
    }

    #[test]
    fn a_steady_path_has_the_least_timeout() {
        let mut rtt = Rtt::new(ms(1_000));
        for _ in 0..100 {
            rtt.on_sample(ms(300), &BOUNDS);
        }
        assert_eq!(rtt.rto(), ms(301), "SRTT and the granularity");
        let mut rtt = Rtt::new(ms(1_000));
        for _ in 0..100 {
            rtt.on_sample(Duration::from_micros(20), &BOUNDS);
        }
        assert_eq!(
            (rtt.srtt(), rtt.rto()),
            (Some(Duration::from_micros(20)), ms(200))
        );
        rtt.on_sample(Duration::from_secs(300), &BOUNDS);
        assert_eq!(rtt.rto(), Duration::from_secs(120));
    }

    #[test]
    fn backing_off_doubles_up_to_the_maximum_and_a_measurement_ends_it() {
        let mut rtt = Rtt::new(ms(1_000));
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                rtt.back_off(&BOUNDS);
                rtt.rto().as_secs()
            })
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 120, 120, 120]);
        assert_eq!(rtt.backoffs(), 9);
        rtt.reset_backoff(&BOUNDS);
        assert_eq!(rtt.rto(), Duration::from_secs(120), "nothing is known yet");
        rtt.on_sample(ms(100), &BOUNDS);
        assert_eq!((rtt.rto(), rtt.backoffs()), (ms(300), 0));
        rtt.back_off(&BOUNDS);
        assert_eq!((rtt.rto(), rtt.backoffs()), (ms(600), 1));
        rtt.reset_backoff(&BOUNDS);
        assert_eq!((rtt.rto(), rtt.backoffs()), (ms(300), 0));
    }

    proptest! {
        /// RFC 6298's formulas in real numbers; whole eighths and quarters lose less than 2 us.
        #[test]
        fn the_timeout_follows_the_formulas(samples in prop::collection::vec(1..60_000_000_u32, 1..50)) {
            let mut rtt = Rtt::new(ms(1_000));
            let (mut srtt, mut rttvar) = (0.0_f64, 0.0_f64);
            for (i, &sample) in samples.iter().enumerate() {
                rtt.on_sample(Duration::from_micros(sample.into()), &NO_BOUNDS);
                let sample = f64::from(sample);
                if i == 0 {
                    (srtt, rttvar) = (sample, sample / 2.0);
                } else {
                    rttvar = 0.75 * rttvar + 0.25 * (srtt - sample).abs();
                    srtt = 0.875 * srtt + 0.125 * sample;
                }
                let off = rtt.rto().as_secs_f64() * 1e6 - (srtt + 4.0 * rttvar);
                prop_assert!(off.abs() < 16.0, "off by {off} us after {} measurements", i + 1);
            }
        }

        #[test]
        fn no_measurement_is_too_strange(samples in prop::collection::vec(any::<u64>(), 1..20)) {
            let mut rtt = Rtt::new(Duration::MAX);
            for sample in samples {
                rtt.on_sample(Duration::from_nanos(sample), &BOUNDS);
                prop_assert!(BOUNDS.rto_min <= rtt.rto() && rtt.rto() <= BOUNDS.rto_max);
                prop_assert!(rtt.srtt().is_some() && rtt.min_rtt() <= rtt.srtt().max(rtt.min_rtt()));
            }
        }
    }
}
