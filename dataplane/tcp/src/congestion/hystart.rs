//! HyStart++, RFC 9406: slow start ends before it loses something.
//!
//! Where a queue builds up the round trip becomes longer. When that is seen, slow start goes on at
//! a quarter of its pace for five rounds (CSS), and if the round trip was longer for another
//! reason, at its full pace again. It is for the first slow start alone: later ones have a
//! threshold to go by.

use super::{Ack, Window};
use crate::SeqNum;

/// MIN_RTT_THRESH, in microseconds: a round trip that is less than this longer is no sign of a
/// queue. RFC 9406 4.3; with less the jitter of a busy host would end slow start, with more a
/// short queue is full before it is seen.
const RTT_THRESH_US_MIN: u32 = 4_000;

/// MAX_RTT_THRESH, in microseconds: one that is so much longer always is. RFC 9406 4.3.
const RTT_THRESH_US_MAX: u32 = 16_000;

/// MIN_RTT_DIVISOR: between the two it is this part of the round trip. RFC 9406 4.3.
const RTT_DIVISOR: u32 = 8;

/// N_RTT_SAMPLE: round trips of a round that are looked at before it is judged. RFC 9406 4.3.
const SAMPLES_MIN: u8 = 8;

/// CSS_GROWTH_DIVISOR: how much slower the window grows in CSS. RFC 9406 4.3.
const CSS_DIVISOR: u32 = 4;

/// CSS_ROUNDS: rounds of CSS, a partial one at its beginning included. RFC 9406 4.3.
const CSS_ROUNDS: u8 = 5;

/// L: segments that the window grows by for one ACK at most, which bounds the burst that follows
/// from it. RFC 9406 4.3, for a sender that does not pace. Where one ACK answers a whole burst
/// (RFC 9293 MUST-58) half of what it acknowledges is more, and is what the ACKs that it stands for
/// would have been worth without HyStart++; with 8 alone a path with such a peer takes half as
/// long again to fill.
const SEGMENTS_PER_ACK: u32 = 8;

/// No round trip was measured.
const NONE_US: u32 = u32::MAX;

/// What HyStart++ knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// windowEnd: SND.NXT when the round began; none before the first.
    window_end: Option<SeqNum>,
    /// lastRoundMinRTT, in microseconds.
    last_round_us: u32,
    /// currentRoundMinRTT, in microseconds.
    current_round_us: u32,
    /// cssBaselineMinRtt, in microseconds.
    css_baseline_us: u32,
    /// rttSampleCount.
    samples: u8,
    /// Rounds of CSS that have begun; none in slow start.
    css_rounds: u8,
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self {
            window_end: None,
            last_round_us: NONE_US,
            current_round_us: NONE_US,
            css_baseline_us: NONE_US,
            samples: 0,
            css_rounds: 0,
        }
    }

    /// An ACK in slow start. Says whether slow start is over.
    pub(super) fn on_ack(&mut self, window: &mut Window, ack: &Ack) -> bool {
        let window_end = *self.window_end.get_or_insert(ack.nxt);
        if let Some(rtt) = ack.rtt {
            let rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(NONE_US - 1);
            self.current_round_us = self.current_round_us.min(rtt_us);
            self.samples = self.samples.saturating_add(1);
        }
        // RFC 9438 5.8: no growth while the window is not used.
        if ack.is_cwnd_limited {
            let bound = (SEGMENTS_PER_ACK * ack.mss).max(ack.acked / 2);
            let full = ack.acked.min(bound);
            window.grow(if self.is_in_css() {
                full / CSS_DIVISOR
            } else {
                full
            });
        }
        self.judge();
        // RFC 9406 4.2: a round is as long as what was outstanding at its beginning.
        ack.una.after_or_eq(window_end) && self.begin_round(ack)
    }

    const fn is_in_css(&self) -> bool {
        self.css_rounds > 0
    }

    /// The next round begins. Says whether CSS has had all of its rounds.
    fn begin_round(&mut self, ack: &Ack) -> bool {
        self.window_end = Some(ack.nxt);
        self.last_round_us = self.current_round_us;
        self.current_round_us = NONE_US;
        self.samples = 0;
        if self.is_in_css() {
            self.css_rounds += 1;
        }
        self.css_rounds > CSS_ROUNDS
    }

    /// RFC 9406 4.2: whether the round trip has become longer, or in CSS shorter again.
    fn judge(&mut self) {
        if self.samples < SAMPLES_MIN {
            return;
        }
        if self.is_in_css() {
            if self.current_round_us < self.css_baseline_us {
                // It was for another reason.
                self.css_baseline_us = NONE_US;
                self.css_rounds = 0;
            }
            return;
        }
        if self.current_round_us == NONE_US || self.last_round_us == NONE_US {
            return;
        }
        let thresh_us =
            (self.last_round_us / RTT_DIVISOR).clamp(RTT_THRESH_US_MIN, RTT_THRESH_US_MAX);
        if self.current_round_us >= self.last_round_us.saturating_add(thresh_us) {
            self.css_baseline_us = self.current_round_us;
            self.css_rounds = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use tidegate_wire::Instant;

    use super::*;

    const MSS: u32 = 1_000;

    /// A flow in its first slow start, with ten segments.
    struct Flow {
        hystart: HyStart,
        window: Window,
        una: SeqNum,
    }

    impl Flow {
        fn new() -> Self {
            Self {
                hystart: HyStart::new(),
                window: Window {
                    cwnd: 10 * MSS,
                    ssthresh: u32::MAX,
                },
                una: SeqNum::new(u32::MAX - 30_000),
            }
        }

        /// A round with an ACK for every second segment. Says whether slow start is over.
        fn round(&mut self, rtt_us: u64) -> bool {
            let outstanding = self.window.cwnd / MSS * MSS;
            let acks = outstanding.div_ceil(2 * MSS);
            (0..acks).any(|_| self.ack(2 * MSS, Some(Duration::from_micros(rtt_us))))
        }

        fn ack(&mut self, acked: u32, rtt: Option<Duration>) -> bool {
            self.una += acked;
            let ack = Ack {
                acked,
                una: self.una,
                nxt: self.una + self.window.cwnd,
                rtt,
                now: Instant::ZERO,
                srtt: Duration::ZERO,
                flight_size: self.window.cwnd,
                mss: MSS,
                is_cwnd_limited: true,
            };
            self.hystart.on_ack(&mut self.window, &ack)
        }
    }

    #[test]
    fn the_window_doubles_each_round_while_the_round_trip_is_the_same() {
        let mut flow = Flow::new();
        for _ in 0..4 {
            let before = flow.window.cwnd;
            assert!(!flow.round(50_000));
            assert_eq!(flow.window.cwnd, 2 * before);
        }
    }

    #[test]
    fn a_longer_round_trip_slows_it_down_for_five_rounds_and_then_it_is_over() {
        for (before_us, longer_us) in [(10_000, 14_000), (80_000, 90_000), (400_000, 416_000)] {
            let mut flow = Flow::new();
            for _ in 0..3 {
                assert!(!flow.round(before_us));
            }
            assert!(!flow.round(longer_us - 1), "not long enough");
            assert!(!flow.hystart.is_in_css());
            let mut flow = Flow::new();
            for _ in 0..3 {
                assert!(!flow.round(before_us));
            }
            assert!(!flow.round(longer_us));
            assert!(flow.hystart.is_in_css(), "{before_us} us");
            for _ in 1..CSS_ROUNDS {
                let before = flow.window.cwnd;
                assert!(!flow.round(longer_us));
                let grown = flow.window.cwnd - before;
                assert!(grown.abs_diff(before / 4) <= MSS, "{grown} of {before}");
            }
            assert!(flow.round(longer_us), "the sixth round is not slow start");
        }
    }

    #[test]
    fn a_round_trip_that_is_shorter_again_takes_it_back() {
        let mut flow = Flow::new();
        for _ in 0..3 {
            assert!(!flow.round(50_000));
        }
        assert!(!flow.round(60_000));
        assert!(flow.hystart.is_in_css());
        assert!(!flow.round(50_000));
        assert!(!flow.hystart.is_in_css());
        let before = flow.window.cwnd;
        assert!(!flow.round(50_000));
        assert_eq!(flow.window.cwnd, 2 * before);
    }

    #[test]
    fn seven_round_trips_say_nothing() {
        let mut flow = Flow::new();
        flow.window.cwnd = 7 * MSS;
        assert!(!flow.round(50_000));
        flow.window.cwnd = 14 * MSS;
        assert!(!flow.round(100_000));
        assert!(!flow.hystart.is_in_css());
    }

    #[test]
    fn one_ack_is_worth_eight_segments_or_half_of_a_long_burst() {
        for (acked, worth) in [(1, 1), (8, 8), (10, 8), (16, 8), (40, 20)] {
            let mut flow = Flow::new();
            assert!(!flow.ack(acked * MSS, None));
            assert_eq!(flow.window.cwnd, (10 + worth) * MSS);
        }
    }
}
