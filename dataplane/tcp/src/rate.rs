//! How fast the network delivers: draft-ietf-ccwg-bbr-06 section 4.1, delivery rate samples.
//!
//! When text goes out, it is written down how much had been delivered by then and when; when that
//! text is delivered, the difference is what the network did in the time between. The draft keeps
//! this for each packet. Here it is kept for each moment at which something was sent: what leaves
//! in one turn has the same answers, and the time of sending, which the
//! [`SendLog`](crate::sent::SendLog) knows for every octet, finds them again. So the log of runs
//! stays as it is, and a flow that does not ask for rates pays nothing.
//!
//! Counts of octets are modulo 2^32, as sequence numbers are, and compared like them. Whether a
//! sample is good for anything, and what follows from it, is not decided here.

use arrayvec::ArrayVec;

use crate::SeqNum;
use crate::sent::Stamp;

/// Most moments in a log. A round trip in which text is sent more often has every second one left
/// out, so that a sample begins up to a twentieth of a round trip before the text it is about, and
/// is as true for that longer time; more would make a log larger than a kilobyte.
pub(crate) const DEPARTURES_MAX: usize = 40;

/// What was known when text was sent; P.* of section 4.1.2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    /// P.send_time.
    pub(crate) at: Stamp,
    /// P.delivered.
    delivered: SeqNum,
    /// P.delivered_time.
    delivered_time: Stamp,
    /// P.first_send_time.
    first_send_time: Stamp,
    /// P.lost, as a count modulo 2^32.
    lost: SeqNum,
    /// P.tx_in_flight: octets in the network with the last that was sent then.
    pub(crate) tx_in_flight: u32,
    /// P.is_app_limited.
    pub(crate) is_app_limited: bool,
}

/// When text in flight was sent and what was known then, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct RateLog {
    departures: ArrayVec<Departure, DEPARTURES_MAX>,
}

const _: () = assert!(size_of::<RateLog>() <= 1_152, "see DEPARTURES_MAX");

impl RateLog {
    fn push(&mut self, departure: Departure) {
        if self.departures.is_full() {
            // The first stays: it is what the oldest text is measured by.
            let mut is_kept = false;
            self.departures.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        self.departures.push(departure);
    }

    /// What was known when the text was sent that went out at `at`: at that moment, or at the last
    /// one before it that is written down.
    pub(crate) fn find(&self, at: Stamp) -> Option<&Departure> {
        let after = self
            .departures
            .partition_point(|departure| !departure.at.is_after(at));
        self.departures.get(after.checked_sub(1)?)
    }

    /// Nothing that is in flight was sent before `at`.
    pub(crate) fn forget_before(&mut self, at: Stamp) {
        let after = self
            .departures
            .partition_point(|departure| !departure.at.is_after(at));
        self.departures.drain(..after.saturating_sub(1));
    }
}

/// A sample; RS.* of section 4.1.2.1.3, with the two figures of section 5.5.10 that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateSample {
    /// RS.delivery_rate in bytes a second; zero where it is not reliable.
    pub(crate) rate: u64,
    /// RS.delivered: octets delivered in the interval.
    pub(crate) delivered: u32,
    /// RS.prior_delivered.
    pub(crate) prior_delivered: SeqNum,
    /// RS.is_app_limited.
    pub(crate) is_app_limited: bool,
    /// RS.tx_in_flight.
    pub(crate) tx_in_flight: u32,
    /// RS.lost: octets lost in the interval.
    pub(crate) lost: u32,
}

/// What the sampling knows of a connection; C.* of section 4.1.2.1.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    /// C.delivered: octets delivered so far, acknowledged or SACKed.
    pub(crate) delivered: SeqNum,
    /// C.delivered_time.
    delivered_time: Stamp,
    /// C.first_send_time.
    first_send_time: Stamp,
    /// C.lost: octets that were lost so far.
    lost: SeqNum,
    /// C.app_limited: while C.delivered is not beyond this, samples are application-limited.
    app_limited: Option<SeqNum>,
}

impl Sampler {
    pub(crate) const fn new(now: Stamp) -> Self {
        Self {
            delivered: SeqNum::new(0),
            delivered_time: now,
            first_send_time: now,
            lost: SeqNum::new(0),
            app_limited: None,
        }
    }

    /// Whether samples are application-limited at present.
    pub(crate) const fn is_app_limited(&self) -> bool {
        self.app_limited.is_some()
    }

    /// 4.1.2.2, OnPacketSent: `len` octets go out beside `inflight` in the network.
    pub(crate) fn on_sent(&mut self, log: &mut RateLog, (len, inflight): (u32, u32), now: Stamp) {
        if inflight == 0 {
            self.first_send_time = now;
            self.delivered_time = now;
        }
        if let Some(last) = log.departures.last_mut()
            && last.at == now
        {
            last.tx_in_flight = inflight + len;
            return;
        }
        log.push(Departure {
            at: now,
            delivered: self.delivered,
            delivered_time: self.delivered_time,
            first_send_time: self.first_send_time,
            lost: self.lost,
            tx_in_flight: inflight + len,
            is_app_limited: self.is_app_limited(),
        });
    }

    /// 4.1.2.3: `count` octets were delivered, and the latest of them was sent at `newest`. An
    /// interval shorter than the least round trip is not reliable.
    pub(crate) fn on_delivered(
        &mut self,
        count: u32,
        log: Option<(&RateLog, Stamp)>,
        min_rtt_us: u32,
        now: Stamp,
    ) -> Option<RateSample> {
        self.delivered += count;
        self.delivered_time = now;
        if self
            .app_limited
            .is_some_and(|end| self.delivered.after(end))
        {
            self.app_limited = None;
        }
        let (log, newest) = log?;
        let departure = log.find(newest)?;
        self.first_send_time = departure.at;
        let send_elapsed_us = departure.at.micros_since(departure.first_send_time);
        let ack_elapsed_us = now.micros_since(departure.delivered_time);
        // The slower of the two rates, by the longer of the two times.
        let interval_us = send_elapsed_us.max(ack_elapsed_us);
        let delivered = self.delivered.since(departure.delivered);
        let is_reliable = interval_us > 0 && interval_us >= min_rtt_us;
        let rate = u64::from(delivered) * 1_000_000 / u64::from(interval_us.max(1));
        Some(RateSample {
            rate: if is_reliable { rate } else { 0 },
            delivered,
            prior_delivered: departure.delivered,
            is_app_limited: departure.is_app_limited,
            tx_in_flight: departure.tx_in_flight,
            lost: self.lost.since(departure.lost),
        })
    }

    /// `count` octets are lost.
    pub(crate) fn on_lost(&mut self, count: u32) {
        self.lost += count;
    }

    /// Octets lost since the departure.
    pub(crate) fn lost_since(&self, departure: &Departure) -> u32 {
        self.lost.since(departure.lost)
    }

    /// 4.1.2.4, MarkConnectionAppLimited, with `inflight` octets in the network.
    pub(crate) fn mark_app_limited(&mut self, inflight: u32) {
        self.app_limited = Some(self.delivered + inflight);
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "proptest's macros share strategies by Arc"
)]
mod tests {
    use proptest::prelude::*;
    use tidegate_wire::Instant;

    use super::*;

    fn at(micros: u64) -> Stamp {
        Stamp::at(Instant::from_micros(micros))
    }

    /// A flow on a line of so many bytes a second and so long a round trip, which sends `len` at
    /// a time, `gap_us` apart, and hears of each a round trip after the line has carried it.
    fn rates_of(
        (line, rtt_us): (u64, u64),
        (len, gap_us): (u32, u64),
        count: u64,
    ) -> Vec<RateSample> {
        let mut log = RateLog::default();
        let mut sampler = Sampler::new(at(0));
        let service_us = u64::from(len) * 1_000_000 / line;
        let mut line_free = 0;
        let mut events = Vec::new();
        for number in 0..count {
            let sent = 1_000 + number * gap_us;
            line_free = sent.max(line_free) + service_us;
            events.push((sent, None));
            events.push((line_free + rtt_us, Some(sent)));
        }
        events.sort_by_key(|event| (event.0, event.1.is_none()));
        let (mut inflight, mut samples) = (0, Vec::new());
        for (now, acked) in events {
            if let Some(sent) = acked {
                inflight -= len;
                let log = Some((&log, at(sent)));
                samples.extend(sampler.on_delivered(len, log, 0, at(now)));
            } else {
                sampler.on_sent(&mut log, (len, inflight), at(now));
                inflight += len;
            }
        }
        samples
    }

    #[test]
    fn a_line_that_is_full_is_measured() {
        // 1.25 MB/s, and twice that is offered.
        let samples = rates_of((1_250_000, 20_000), (1_000, 400), 200);
        let last = samples.last().unwrap();
        assert!((1_240_000..=1_260_000).contains(&last.rate), "{last:?}");
        assert!(samples.iter().all(|sample| sample.rate <= 1_260_000));
    }

    #[test]
    fn a_sender_that_is_slower_than_the_line_measures_itself() {
        let samples = rates_of((125_000_000, 20_000), (1_000, 1_000), 200);
        let last = samples.last().unwrap();
        assert!((990_000..=1_010_000).contains(&last.rate), "{last:?}");
    }

    #[test]
    fn acknowledgments_that_come_together_do_not_deceive() {
        let mut log = RateLog::default();
        let mut sampler = Sampler::new(at(0));
        // Ten segments a millisecond apart, and the news of all of them at once.
        for number in 0..10 {
            let inflight = number * 1_000;
            sampler.on_sent(
                &mut log,
                (1_000, inflight),
                at(1_000 * u64::from(number + 1)),
            );
        }
        let sample = sampler.on_delivered(10_000, Some((&log, at(10_000))), 0, at(11_000));
        let sample = sample.unwrap();
        assert_eq!((sample.delivered, sample.rate), (10_000, 1_000_000));
        // An interval below the least round trip says nothing.
        let too_short = sampler.on_delivered(0, Some((&log, at(10_000))), 20_000, at(11_000));
        assert_eq!(too_short.unwrap().rate, 0);
    }

    #[test]
    fn silence_of_the_application_marks_the_samples_of_a_round_trip() {
        let mut log = RateLog::default();
        let mut sampler = Sampler::new(at(0));
        sampler.on_sent(&mut log, (1_000, 0), at(10));
        sampler.mark_app_limited(1_000);
        sampler.on_sent(&mut log, (1_000, 1_000), at(20));
        let sample = |sampler: &mut Sampler, log: &RateLog, sent, now| {
            sampler
                .on_delivered(1_000, Some((log, at(sent))), 0, at(now))
                .unwrap()
        };
        assert!(!sample(&mut sampler, &log, 10, 110).is_app_limited);
        assert!(sampler.is_app_limited(), "the bubble is still in the pipe");
        assert!(sample(&mut sampler, &log, 20, 120).is_app_limited);
        assert!(!sampler.is_app_limited());
    }

    proptest! {
        /// However many departures there were and however few are left: what is found is one that
        /// was, not later than what was asked for, and the oldest text still has one.
        #[test]
        fn what_is_found_was_sent_no_later(
            gaps in prop::collection::vec(1..5_000_u64, 1..300),
            asked in 0..300_usize,
            forgotten in 0..300_usize,
            start in prop_oneof![Just(0_u64), Just(u64::from(u32::MAX) - 20_000)],
        ) {
            let mut log = RateLog::default();
            let mut sampler = Sampler::new(at(start));
            let mut times = Vec::new();
            let mut now = start;
            for gap in gaps {
                now += gap;
                sampler.on_sent(&mut log, (1, 1), at(now));
                times.push(now);
            }
            let first = times[forgotten % times.len()];
            log.forget_before(at(first));
            let asked = times[asked % times.len()];
            let found = log.find(at(asked));
            if asked >= first {
                let found = found.unwrap();
                prop_assert!(!found.at.is_after(at(asked)));
                prop_assert!(times.iter().any(|time| at(*time) == found.at));
            }
            prop_assert!(log.departures.is_sorted_by(|one, two| two.at.is_after(one.at)));
        }

        /// No sample is above what the line carries.
        #[test]
        fn no_sample_is_above_the_line(
            line in 10_000..10_000_000_u64,
            rtt_us in 1_000..200_000_u64,
            len in 100..3_000_u32,
            gap_us in 50..20_000_u64,
        ) {
            let samples = rates_of((line, rtt_us), (len, gap_us), 120);
            // The line's times are whole microseconds.
            let service_us = (u64::from(len) * 1_000_000 / line).max(1);
            let bound = u64::from(len) * 1_000_000 / service_us;
            for sample in samples {
                prop_assert!(sample.rate <= bound + 1, "{sample:?} above {bound}");
            }
        }
    }
}
