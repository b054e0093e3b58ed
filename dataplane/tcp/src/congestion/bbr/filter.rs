//! The filters of BBR's model: draft-ietf-ccwg-bbr-06 sections 5.5.3, 5.5.7.2, 5.3.4.3 and 5.5.9.
//!
//! Each remembers the best of a window of its own kind of time: cycles, seconds, rounds.

use core::time::Duration;

use tidegate_wire::Instant;

use crate::sent::Stamp;

/// BBR.MinRTTFilterLen: for so long a least round trip is believed without being seen again. Long
/// enough for one ProbeRTT to lie in it, short enough to follow a path that became longer.
const MIN_RTT_FILTER_LEN: Duration = Duration::from_secs(10);

/// BBR.ProbeRTTInterval: after so long without a round trip as short, one is looked for. The draft
/// wants this very value of everybody, so that flows drain a common queue together.
const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);

/// BBR.ExtraAckedFilterLen: rounds for which the largest aggregate is remembered; half of them at
/// least, all of them at most.
const EXTRA_ACKED_FILTER_LEN: u32 = 10;

/// BBR.max_bw: the largest rate of this cycle and the one before, in bytes a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaxBw([u64; 2]);

impl MaxBw {
    pub(super) fn update(&mut self, rate: u64) {
        self.0[1] = self.0[1].max(rate);
    }

    pub(super) fn value(&self) -> u64 {
        self.0[0].max(self.0[1])
    }

    /// AdvanceMaxBwFilter. A cycle in which nothing was measured does not count.
    pub(super) const fn advance(&mut self) {
        if self.0[1] > 0 {
            self.0 = [self.0[1], 0];
        }
    }
}

/// BBR.min_rtt, and beside it the shorter memory that decides about ProbeRTT.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinRtt {
    /// BBR.min_rtt in microseconds; `u32::MAX` before the first sample.
    min_us: u32,
    /// BBR.min_rtt_stamp.
    min_at: Instant,
    /// BBR.probe_rtt_min_delay.
    probe_us: u32,
    /// BBR.probe_rtt_min_stamp.
    probe_at: Instant,
}

impl MinRtt {
    /// `first` is what the handshake measured, if it did.
    pub(super) fn new(first_us: Option<u32>, now: Instant) -> Self {
        let first_us = first_us.unwrap_or(u32::MAX);
        Self {
            min_us: first_us,
            min_at: now,
            probe_us: first_us,
            probe_at: now,
        }
    }

    /// BBR.min_rtt in microseconds.
    pub(super) fn value_us(&self) -> Option<u32> {
        Some(self.min_us).filter(|min_us| *min_us != u32::MAX)
    }

    /// UpdateMinRTT: takes a round trip, where there is one, and answers BBR.probe_rtt_expired.
    pub(super) fn update(&mut self, rtt_us: Option<u32>, now: Instant) -> bool {
        let is_expired = now > self.probe_at + PROBE_RTT_INTERVAL;
        if let Some(rtt_us) = rtt_us
            && (rtt_us < self.probe_us || is_expired)
        {
            self.probe_us = rtt_us;
            self.probe_at = now;
        }
        if self.probe_us < self.min_us || now > self.min_at + MIN_RTT_FILTER_LEN {
            self.min_us = self.probe_us;
            self.min_at = self.probe_at;
        }
        is_expired
    }

    /// A ProbeRTT is over; the next one comes an interval from now.
    pub(super) const fn on_probed(&mut self, now: Instant) {
        self.probe_at = now;
    }
}

/// BBR.extra_acked: what is acknowledged at once beyond what the rate explains.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExtraAcked {
    /// The largest of this half of the window and of the one before, in bytes.
    max: [u32; 2],
    /// The round in which this half began.
    half_began: u32,
    /// BBR.extra_acked_interval_start.
    start: Stamp,
    /// BBR.extra_acked_delivered.
    delivered: u32,
}

impl ExtraAcked {
    pub(super) const fn new(now: Stamp) -> Self {
        Self {
            max: [0; 2],
            half_began: 0,
            start: now,
            delivered: 0,
        }
    }

    pub(super) fn value(&self) -> u32 {
        self.max[0].max(self.max[1])
    }

    /// Restart from idle: what comes now was not waiting to be acknowledged.
    pub(super) const fn restart(&mut self, now: Stamp) {
        self.start = now;
    }

    /// UpdateACKAggregation: `acked` bytes in round `round`, at `bw`, not above `cwnd`. Before the
    /// pipe was filled only the present round is remembered.
    pub(super) fn update(
        &mut self,
        (acked, bw): (u32, u64),
        (round, is_filled): (u32, bool),
        cwnd: u32,
        now: Stamp,
    ) {
        let half = if is_filled {
            EXTRA_ACKED_FILTER_LEN / 2
        } else {
            1
        };
        if round.wrapping_sub(self.half_began) >= half {
            self.half_began = round;
            self.max = [if is_filled { self.max[1] } else { 0 }, 0];
        }
        let mut expected = expected(bw, now.micros_since(self.start));
        if self.delivered <= expected {
            self.delivered = 0;
            self.start = now;
            expected = 0;
        }
        self.delivered = self.delivered.saturating_add(acked);
        let extra = (self.delivered - expected).min(cwnd);
        self.max[1] = self.max[1].max(extra);
    }
}

/// Bytes that a rate brings in so many microseconds.
fn expected(bw: u64, micros: u32) -> u32 {
    let bytes = u128::from(bw) * u128::from(micros) / 1_000_000;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list of all samples with the number of their cycle.
        #[test]
        fn max_bw_is_the_largest_of_two_cycles(
            steps in prop::collection::vec((any::<bool>(), 1..1_000_u64), 1..200),
        ) {
            let mut filter = MaxBw::default();
            let (mut samples, mut cycle) = (vec![], 0_u32);
            for (is_advance, rate) in steps {
                if is_advance {
                    let has_samples = samples.iter().any(|(at, _)| *at == cycle);
                    filter.advance();
                    cycle += u32::from(has_samples);
                } else {
                    filter.update(rate);
                    samples.push((cycle, rate));
                }
                let recent = samples.iter().filter(|(at, _)| at + 1 >= cycle);
                let largest = recent.map(|(_, rate)| *rate).max().unwrap_or(0);
                prop_assert_eq!(filter.value(), largest);
            }
        }

        /// The least round trip is one that was seen of late, and never above the newest: a shorter
        /// one counts at once, a longer one when the filter has forgotten.
        #[test]
        fn min_rtt_follows_the_path_down_at_once_and_up_in_time(
            first in prop::option::of(1..100_000_u32),
            steps in prop::collection::vec((1..3_000_u64, 1..100_000_u32), 1..200),
        ) {
            let mut now = Instant::from_secs(1);
            let mut filter = MinRtt::new(first, now);
            let mut samples: Vec<(Instant, u32)> = first.map(|rtt| (now, rtt)).into_iter().collect();
            for (later_ms, rtt_us) in steps {
                now += Duration::from_millis(later_ms);
                filter.update(Some(rtt_us), now);
                samples.push((now, rtt_us));
                let value = filter.value_us().unwrap();
                prop_assert!(value <= rtt_us, "never above the newest");
                let oldest = now - (MIN_RTT_FILTER_LEN + Duration::from_secs(3));
                let is_recent = |(at, rtt): &(Instant, u32)| *at >= oldest && *rtt == value;
                prop_assert!(samples.iter().any(is_recent), "{value} was not seen of late");
            }
        }
    }

    #[test]
    fn a_round_trip_is_looked_for_after_five_seconds_without_one_as_short() {
        let at = Instant::from_millis;
        let mut filter = MinRtt::new(Some(20_000), at(0));
        assert!(!filter.update(Some(30_000), at(5_000)));
        assert!(filter.update(Some(30_000), at(5_001)));
        assert_eq!(
            filter.value_us(),
            Some(20_000),
            "it is believed for ten seconds"
        );
        filter.on_probed(at(5_200));
        assert!(!filter.update(Some(31_000), at(10_000)));
        filter.update(Some(31_000), at(10_001));
        assert_eq!(filter.value_us(), Some(30_000));
    }

    #[test]
    fn aggregates_are_remembered_for_ten_rounds() {
        let at = |millis| Stamp::at(Instant::from_millis(millis));
        let mut filter = ExtraAcked::new(at(0));
        // 1 MB/s: 1000 bytes a millisecond are expected, and 10000 come in one.
        filter.update((10_000, 1_000_000), (1, true), 50_000, at(1));
        assert_eq!(filter.value(), 10_000);
        for round in 2..=9 {
            filter.update(
                (1_000, 1_000_000),
                (round, true),
                50_000,
                at(u64::from(round) * 20),
            );
            assert_eq!(filter.value(), 10_000, "round {round}");
        }
        for round in 10..=16 {
            filter.update(
                (1_000, 1_000_000),
                (round, true),
                50_000,
                at(u64::from(round) * 20),
            );
        }
        assert_eq!(filter.value(), 1_000);
        filter.update((90_000, 1_000_000), (17, true), 50_000, at(500));
        assert_eq!(filter.value(), 50_000, "the window bounds it");
    }
}
