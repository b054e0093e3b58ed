//! CUBIC against the figures of RFC 9438.

use tidegate_wire::Instant;

use super::*;
use crate::SeqNum;

const MSS: u32 = 1_000;

fn segments(cubic: &Cubic) -> f64 {
    f64::from(cubic.window.cwnd) / f64::from(MSS)
}

/// A flow that lost something with `w_max` segments outstanding.
fn after_loss(w_max: u32) -> Cubic {
    let mut cubic = Cubic::new(Window {
        cwnd: w_max * MSS,
        ssthresh: w_max * MSS,
    });
    cubic.on_loss(w_max * MSS, MSS);
    cubic
}

/// One round-trip time, with an acknowledgment for each segment of the window, evenly spread.
fn round(cubic: &mut Cubic, now: &mut Instant, srtt: Duration, is_cwnd_limited: bool) {
    let flight_size = cubic.window.cwnd;
    for _ in 0..flight_size / MSS {
        *now += srtt / (flight_size / MSS);
        let now = *now;
        cubic.on_ack(&Ack {
            acked: MSS,
            una: SeqNum::new(0),
            nxt: SeqNum::new(0),
            rtt: None,
            now,
            srtt,
            flight_size,
            mss: MSS,
            is_cwnd_limited,
        });
    }
}

/// Where RFC 9438's figures 1 and 2 put the window, in segments, `t` seconds after a loss.
fn w_cubic(w_max: f64, cwnd_epoch: f64, t: f64) -> f64 {
    let k = ((w_max - cwnd_epoch) / 0.4).cbrt();
    0.4 * (t - k).powi(3) + w_max
}

#[test]
fn the_window_follows_the_curve_through_its_flat_part() {
    let srtt = Duration::from_millis(100);
    let (mut cubic, mut now) = (after_loss(1_000), Instant::from_secs(7));
    assert_eq!(
        (cubic.window.cwnd, cubic.window.ssthresh),
        (700 * MSS, 700 * MSS)
    );
    let mut flat = 0;
    for round_trips in 1..=200 {
        round(&mut cubic, &mut now, srtt, true);
        let t = f64::from(round_trips) * 0.1;
        let expected = w_cubic(1_000.0, 700.0, t);
        let off = (segments(&cubic) - expected).abs() / expected;
        assert!(
            off < 0.01,
            "{} segments, not {expected}, after {t} s",
            segments(&cubic)
        );
        flat += u32::from((segments(&cubic) - 1_000.0).abs() < 5.0);
    }
    // |0.4 (t - K)^3| < 5 for 2 * cbrt(12.5) = 4.6 s about K = cbrt(300 / 0.4) = 9.1 s.
    assert!(
        (44..=49).contains(&flat),
        "{flat} round trips within 5 segments of W_max"
    );
    let Stage::Avoidance(stage) = cubic.stage else {
        panic!("it is in congestion avoidance");
    };
    assert!((stage.k - 9.085_6).abs() < 0.001);
}

#[test]
fn a_short_round_trip_makes_it_reno() {
    let srtt = Duration::from_millis(1);
    let (mut cubic, mut now) = (after_loss(20), Instant::ZERO);
    // ALPHA = 9/17 of a segment each round trip, from 14 to the 20 before the loss ...
    for round_trips in 1..=11 {
        round(&mut cubic, &mut now, srtt, true);
        let expected = 14.0 + f64::from(round_trips) * 9.0 / 17.0;
        assert!(
            (segments(&cubic) - expected).abs() < 0.3,
            "{round_trips}: {expected}"
        );
    }
    round(&mut cubic, &mut now, srtt, true);
    // ... and one each from then on, as Reno does.
    let before = segments(&cubic);
    for _ in 0..20 {
        round(&mut cubic, &mut now, srtt, true);
    }
    let gained = segments(&cubic) - before;
    assert!(
        (gained - 20.0).abs() < 1.0,
        "{gained} segments in 20 round trips"
    );
}

#[test]
fn a_second_loss_below_w_max_makes_room() {
    let mut cubic = after_loss(1_000);
    assert_eq!(cubic.w_max, 1_000 * MSS);
    cubic.on_loss(cubic.window.cwnd, MSS);
    assert_eq!((cubic.w_max, cubic.window.cwnd), (595 * MSS, 490 * MSS));
    cubic.window.cwnd = 800 * MSS;
    cubic.on_loss(cubic.window.cwnd, MSS);
    assert_eq!((cubic.w_max, cubic.window.cwnd), (800 * MSS, 560 * MSS));
}

#[test]
fn a_time_without_use_neither_grows_the_window_nor_counts() {
    let srtt = Duration::from_millis(100);
    let (mut used, mut used_now) = (after_loss(1_000), Instant::ZERO);
    let (mut idle, mut idle_now) = (after_loss(1_000), Instant::ZERO);
    for _ in 0..30 {
        round(&mut used, &mut used_now, srtt, true);
        round(&mut idle, &mut idle_now, srtt, true);
    }
    let before = idle.window.cwnd;
    for _ in 0..300 {
        round(&mut idle, &mut idle_now, srtt, false);
    }
    assert_eq!(idle.window.cwnd, before);
    // Silence shorter than RTO restarts nothing; it counts as one round trip at most.
    idle_now += Duration::from_secs(60);
    for _ in 0..30 {
        round(&mut used, &mut used_now, srtt, true);
        round(&mut idle, &mut idle_now, srtt, true);
    }
    let ratio = segments(&idle) / segments(&used);
    assert!(
        (ratio - 1.0).abs() < 0.01,
        "{} of {}",
        segments(&idle),
        segments(&used)
    );
}

#[test]
fn after_a_timeout_the_curve_starts_at_its_flat_part() {
    let srtt = Duration::from_millis(100);
    let (mut cubic, mut now) = (after_loss(1_000), Instant::ZERO);
    cubic.on_rto(200 * MSS, MSS);
    cubic.window.cwnd = MSS;
    assert_eq!(cubic.window.ssthresh, 140 * MSS);
    // Slow start doubles the window: 1, 2, 4, .. 128, 140.
    for _ in 0..7 {
        round(&mut cubic, &mut now, srtt, true);
    }
    assert_eq!(cubic.window.cwnd, 128 * MSS);
    while cubic.window.is_in_slow_start() {
        let (now, flight_size) = (now, cubic.window.cwnd);
        let ack = Ack {
            acked: MSS,
            una: SeqNum::new(0),
            nxt: SeqNum::new(0),
            rtt: None,
            now,
            srtt,
            flight_size,
            mss: MSS,
            is_cwnd_limited: true,
        };
        cubic.on_ack(&ack);
    }
    for round_trips in 1..=100 {
        round(&mut cubic, &mut now, srtt, true);
        // W_max is where the stage began, K is zero; Reno is ahead while the curve is flat.
        let t = f64::from(round_trips) * 0.1;
        let expected = w_cubic(140.0, 140.0, t).max(140.0 + f64::from(round_trips) * 9.0 / 17.0);
        let off = (segments(&cubic) - expected).abs() / expected;
        assert!(
            off < 0.02,
            "{} segments, not {expected}, after {t} s",
            segments(&cubic)
        );
    }
}

#[test]
fn the_window_grows_by_half_in_a_round_trip_at_most() {
    let (mut cubic, mut now) = (after_loss(10), Instant::ZERO);
    // A path of 10 s, where the curve rises by thousands of segments in a round trip.
    let srtt = Duration::from_secs(10);
    for _ in 0..12 {
        let before = segments(&cubic);
        round(&mut cubic, &mut now, srtt, true);
        let factor = segments(&cubic) / before;
        assert!(
            factor < 1.66,
            "(1 + 0.5 / n)^n is below e^0.5 = 1.65, not {factor}"
        );
    }
    assert!(segments(&cubic) > 500.0);
}
