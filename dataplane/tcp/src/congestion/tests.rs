//! What every algorithm does alike, and Reno's own numbers.

use proptest::prelude::*;

use super::*;

const MSS: u32 = 1_460;
const KINDS: [CongestionKind; 2] = [CongestionKind::Cubic, CongestionKind::NewReno];

fn ack(acked: u32) -> Ack {
    Ack {
        acked,
        una: SeqNum::new(0),
        nxt: SeqNum::new(0),
        rtt: None,
        now: Instant::from_secs(1),
        srtt: Duration::from_millis(10),
        flight_size: acked,
        mss: MSS,
        is_cwnd_limited: true,
    }
}

/// A connection in congestion avoidance with a window of so many segments.
fn avoiding(kind: CongestionKind, segments: u32) -> Congestion {
    let mut congestion = Congestion::new(kind, MSS, 10);
    congestion.on_loss(2 * segments * MSS, MSS);
    if kind == CongestionKind::Cubic {
        congestion.on_loss((segments * MSS * 10).div_ceil(7), MSS);
    }
    assert_eq!(
        (congestion.cwnd(), congestion.is_in_slow_start()),
        (segments * MSS, false)
    );
    congestion
}

#[test]
fn the_initial_window_is_ten_segments_within_the_bound() {
    for (mss, segments, bytes) in [
        (1_460, 10, 14_600),
        (536, 10, 5_360),
        (1_460, 1, 1_460),
        (1_460, 64, 14_600),
        (4_000, 10, 14_600),
        (8_960, 10, 17_920),
    ] {
        assert_eq!(initial_window(mss, segments), bytes, "{segments} of {mss}");
        for kind in KINDS {
            let congestion = Congestion::new(kind, mss, segments);
            assert_eq!(
                (congestion.cwnd(), congestion.ssthresh()),
                (bytes, u32::MAX)
            );
            assert_eq!(congestion.kind(), kind);
        }
    }
}

#[test]
fn slow_start_adds_what_is_acknowledged_and_one_segment_at_most() {
    for kind in KINDS {
        let mut congestion = Congestion::new(kind, MSS, 10);
        congestion.on_ack(&ack(100));
        assert_eq!(congestion.cwnd(), 14_700);
        congestion.on_ack(&ack(5 * MSS));
        assert_eq!(congestion.cwnd(), 14_700 + MSS);
        congestion.on_ack(&Ack {
            is_cwnd_limited: false,
            ..ack(MSS)
        });
        assert_eq!(congestion.cwnd(), 14_700 + MSS, "the window was not used");
    }
}

#[test]
fn reno_adds_one_segment_a_round_trip() {
    for per_ack in [MSS / 3, MSS, 2 * MSS, 7 * MSS] {
        let mut congestion = avoiding(CongestionKind::NewReno, 20);
        for round_trips in 1..=10 {
            let mut left = congestion.cwnd();
            while left > 0 {
                congestion.on_ack(&ack(per_ack.min(left)));
                left -= per_ack.min(left);
            }
            assert_eq!(
                congestion.cwnd(),
                (20 + round_trips) * MSS,
                "{per_ack} an ACK"
            );
        }
        congestion.on_ack(&Ack {
            is_cwnd_limited: false,
            ..ack(100 * MSS)
        });
        assert_eq!(congestion.cwnd(), 30 * MSS);
        congestion.on_ack(&ack(100 * MSS));
        assert_eq!(
            congestion.cwnd(),
            31 * MSS,
            "one ACK is no more than one round trip"
        );
    }
}

#[test]
fn a_loss_leaves_half_or_seven_tenths_of_what_was_outstanding() {
    for (kind, left) in [(CongestionKind::NewReno, 20), (CongestionKind::Cubic, 28)] {
        let mut congestion = Congestion::new(kind, MSS, 10);
        congestion.on_loss(40 * MSS, MSS);
        assert_eq!(
            (congestion.cwnd(), congestion.ssthresh()),
            (left * MSS, left * MSS)
        );
        congestion.set_cwnd(33 * MSS);
        assert_eq!(congestion.cwnd(), 33 * MSS);
        congestion.on_recovered();
        assert_eq!(congestion.cwnd(), left * MSS);
        congestion.on_loss(MSS, MSS);
        assert_eq!(
            (congestion.cwnd(), congestion.ssthresh()),
            (2 * MSS, 2 * MSS),
            "not less"
        );
    }
}

#[test]
fn a_timeout_leaves_one_segment_and_lowers_the_threshold_once() {
    for (kind, left) in [(CongestionKind::NewReno, 20), (CongestionKind::Cubic, 28)] {
        let mut congestion = avoiding(kind, 60);
        congestion.on_rto(40 * MSS, MSS, false);
        assert_eq!(
            (congestion.cwnd(), congestion.ssthresh()),
            (MSS, left * MSS)
        );
        congestion.on_rto(MSS, MSS, true);
        assert_eq!(
            (congestion.cwnd(), congestion.ssthresh()),
            (MSS, left * MSS)
        );
        congestion.on_ack(&ack(MSS));
        assert_eq!(congestion.cwnd(), 2 * MSS);
        congestion.on_rto(2 * MSS, MSS, false);
        assert_eq!((congestion.cwnd(), congestion.ssthresh()), (MSS, 2 * MSS));
    }
}

#[test]
fn an_undone_loss_leaves_everything_as_it_was() {
    for kind in KINDS {
        for is_timeout in [false, true] {
            let mut congestion = avoiding(kind, 60);
            for _ in 0..50 {
                congestion.on_ack(&ack(MSS));
            }
            let before = congestion.clone();
            if is_timeout {
                congestion.on_rto(60 * MSS, MSS, false);
            } else {
                congestion.on_loss(60 * MSS, MSS);
            }
            congestion.on_ack(&ack(MSS));
            congestion.undo(&before);
            assert_eq!(format!("{congestion:?}"), format!("{before:?}"));
            // What has become larger since stays so.
            congestion.set_cwnd(100 * MSS);
            congestion.undo(&before);
            assert_eq!(congestion.cwnd(), 100 * MSS);
        }
    }
}

#[test]
fn after_an_idle_time_the_window_is_the_initial_one_at_most() {
    for kind in KINDS {
        let mut congestion = avoiding(kind, 60);
        congestion.on_idle_restart(MSS, 10);
        assert_eq!(
            (congestion.cwnd(), congestion.ssthresh()),
            (10 * MSS, 60 * MSS)
        );
        congestion.on_ack(&ack(MSS));
        assert_eq!(congestion.cwnd(), 11 * MSS, "by slow start");
        let mut congestion = avoiding(kind, 5);
        congestion.on_idle_restart(MSS, 10);
        assert_eq!(congestion.cwnd(), 5 * MSS);
    }
}

#[test]
fn a_smaller_segment_makes_the_window_smaller_by_the_same_ratio() {
    for kind in KINDS {
        let mut congestion = avoiding(kind, 60);
        congestion.on_mss_change(MSS, MSS / 2);
        assert_eq!(congestion.cwnd(), 30 * MSS);
        congestion.on_mss_change(MSS / 2, MSS);
        assert_eq!(congestion.cwnd(), 30 * MSS);
        congestion.on_rto(MSS, MSS, false);
        congestion.on_mss_change(MSS, 536);
        assert_eq!(congestion.cwnd(), 536, "one segment of the new size");
    }
}

/// What can happen to a connection, with numbers of any size.
#[derive(Clone, Debug)]
enum Step {
    Ack(u32, u64, bool),
    Loss(u32),
    Rto(u32, bool),
    Recovered,
    Idle,
    Mss(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    let bytes = || prop_oneof![1..100_000_u32, 1..1_u32 << 30];
    prop_oneof![
        8 => (bytes(), 0..20_000_000_000_u64, any::<bool>())
            .prop_map(|(acked, wait_ns, limited)| Step::Ack(acked, wait_ns, limited)),
        1 => bytes().prop_map(Step::Loss),
        1 => (bytes(), any::<bool>()).prop_map(|(flight, repeated)| Step::Rto(flight, repeated)),
        1 => Just(Step::Recovered),
        1 => Just(Step::Idle),
        1 => (48..9_000_u32).prop_map(Step::Mss),
    ]
}

proptest! {
    #[test]
    fn the_window_stays_between_one_segment_and_the_largest(
        kind in prop::sample::select(KINDS.to_vec()),
        srtt_us in 0..10_000_000_u64,
        steps in prop::collection::vec(any_step(), 1..200),
    ) {
        let (mut mss, mut now, mut was_loss) = (MSS, Instant::ZERO, false);
        let mut congestion = Congestion::new(kind, mss, 10);
        for step in steps {
            let before = congestion.cwnd();
            match step {
                Step::Ack(acked, wait_ns, is_cwnd_limited) => {
                    now += Duration::from_nanos(wait_ns);
                    let srtt = Duration::from_micros(srtt_us);
                    let was_slow_start = congestion.is_in_slow_start();
                    let ack = Ack { now, srtt, mss, is_cwnd_limited, ..ack(acked) };
                    congestion.on_ack(&ack);
                    let growth = congestion.cwnd() - before;
                    prop_assert!(is_cwnd_limited || growth == 0);
                    prop_assert!(!was_slow_start || growth <= mss);
                    prop_assert!(growth <= (before / 2).max(acked.min(mss)) + mss);
                }
                Step::Loss(flight) => {
                    congestion.on_loss(flight, mss);
                    was_loss = true;
                }
                Step::Rto(flight, repeated) => {
                    congestion.on_rto(flight, mss, repeated);
                    was_loss |= !repeated;
                }
                // Fast recovery ends only where it began.
                Step::Recovered if was_loss => congestion.on_recovered(),
                Step::Recovered => {}
                Step::Idle => congestion.on_idle_restart(mss, 10),
                Step::Mss(new) => {
                    congestion.on_mss_change(mss, new);
                    mss = new;
                }
            }
            prop_assert!(congestion.cwnd() <= CWND_MAX);
            prop_assert!(congestion.cwnd() >= mss);
        }
    }
}

#[test]
fn a_mark_reduces_as_a_loss_does_and_may_leave_one_segment() {
    for kind in KINDS {
        let (mut marked, mut lost) = (avoiding(kind, 20), avoiding(kind, 20));
        marked.on_congestion_echo(20 * MSS, MSS);
        lost.on_loss(20 * MSS, MSS);
        let seen = |congestion: &Congestion| (congestion.cwnd(), congestion.ssthresh());
        assert_eq!(seen(&marked), seen(&lost), "{kind:?}");
        marked.on_congestion_echo(MSS, MSS);
        assert_eq!(seen(&marked), (MSS, 2 * MSS), "{kind:?}");
    }
}
