//! Tests of the fault wrapper, around one end of a perfect link.

use core::time::Duration;

use super::*;
use crate::{Link, LinkConfig, LinkPort, TxChecksum};

fn pair(config: FaultConfig) -> (Fault<LinkPort>, LinkPort) {
    let (a, b) = Link::pair(LinkConfig::default()).expect("memory is mapped");
    (Fault::new(a, config), b)
}

fn send(port: &mut impl Port, bytes: &[u8], now: Instant) {
    let mut frame = port.take_frame().expect("frames are free");
    frame.resize(bytes.len());
    frame.bytes_mut().copy_from_slice(bytes);
    let mut burst = Burst::new();
    burst.push(frame);
    port.tx_burst(&mut burst, now);
    assert!(burst.is_empty(), "there is room");
}

fn receive(port: &mut impl Port, now: Instant) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    loop {
        let mut burst = Burst::new();
        port.rx_burst(&mut burst, now);
        if burst.is_empty() {
            return received;
        }
        for frame in burst {
            received.push(frame.bytes().to_vec());
            port.give_frame(frame);
        }
    }
}

fn assert_adds_up(statistics: LinkStatistics) {
    let out = statistics.delivered + statistics.lost + statistics.queue_dropped;
    let all = out + statistics.no_frame + statistics.in_flight;
    assert_eq!(
        statistics.sent + statistics.duplicated,
        all,
        "{statistics:?}"
    );
}

#[test]
fn without_faults_frames_pass_unchanged_both_ways() {
    let (mut a, mut b) = pair(FaultConfig::default());
    for number in 0..100_u8 {
        send(&mut a, &[number; 60], Instant::ZERO);
        send(&mut b, &[number; 61], Instant::ZERO);
    }
    let at_b = receive(&mut b, Instant::ZERO);
    let at_a = receive(&mut a, Instant::ZERO);
    assert!(at_b.iter().zip(0..).all(|(frame, n)| *frame == [n; 60]) && at_b.len() == 100);
    assert!(at_a.iter().zip(0..).all(|(frame, n)| *frame == [n; 61]) && at_a.len() == 100);
    let counters = a.counters();
    assert_eq!(
        (counters.rx_frames, counters.rx_bytes, counters.tx_frames),
        (100, 6_100, 100)
    );
    assert_eq!((counters.rx_dropped, counters.tx_dropped), (0, 0));
}

#[test]
fn delayed_frames_leave_when_they_are_due_and_are_counted_where_they_wait() {
    let delay = Impairment {
        delay: Duration::from_millis(5),
        ..Impairment::default()
    };
    let config = FaultConfig {
        seed: 0,
        rx: delay,
        tx: delay,
    };
    let (mut a, mut b) = pair(config);
    let at = Instant::from_millis;
    send(&mut a, &[1; 60], at(10));
    send(&mut b, &[2; 60], at(12));
    assert!(receive(&mut a, at(12)).is_empty());
    assert!(receive(&mut b, at(14)).is_empty());
    let counts = a.frame_counts();
    assert!(counts.is_exact(), "{counts:?}");
    assert_eq!((counts.tx, counts.held), (1, 0));
    assert_eq!(a.next_event(), Some(at(15)));
    // The worker has nothing to send; receiving sends what is due.
    assert!(receive(&mut a, at(15)).is_empty());
    assert_eq!(receive(&mut b, at(15)), [[1; 60]]);
    assert_eq!(a.next_event(), Some(at(17)));
    assert_eq!(receive(&mut a, at(17)), [[2; 60]]);
    assert_eq!(a.next_event(), None);
}

#[test]
fn a_full_delay_leaves_frames_with_the_worker_and_with_the_port_inside() {
    let delay = Impairment {
        delay: Duration::from_secs(1),
        ..Impairment::default()
    };
    let config = FaultConfig {
        seed: 0,
        rx: delay,
        tx: delay,
    };
    let (mut a, mut b) = pair(config);
    let mut left = Burst::new();
    for _ in 0..6 {
        while let Some(mut frame) = (!left.is_full()).then(|| a.take_frame()).flatten() {
            frame.resize(60);
            left.push(frame);
        }
        a.tx_burst(&mut left, Instant::ZERO);
        for _ in 0..BURST {
            send(&mut b, &[1; 60], Instant::ZERO);
        }
        assert!(receive(&mut a, Instant::ZERO).is_empty());
        assert!(a.frame_counts().is_exact());
    }
    assert_eq!(
        left.len(),
        BURST,
        "a quarter of 1024 frames waits, the rest stays here"
    );
    assert_eq!(a.tx_statistics().in_flight, 256);
    assert_eq!(a.rx_statistics().in_flight, 256);
    left.drain(..).for_each(|frame| a.give_frame(frame));
    let later = Instant::from_secs(2);
    assert_eq!(
        receive(&mut a, later).len(),
        256,
        "the others are only let in now"
    );
    assert_eq!(receive(&mut a, Instant::from_secs(3)).len(), 128);
    assert_eq!(receive(&mut b, later).len(), 256);
    let counts = a.frame_counts();
    assert!(
        counts.is_exact() && counts.held == 0 && counts.tx == 0,
        "{counts:?}"
    );
}

/// A run with every fault at once: what B and A have received.
fn trace(seed: u64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, [LinkStatistics; 2]) {
    let faults = Impairment {
        loss: 0.05,
        duplication: 0.05,
        corruption: 0.05,
        reordering: 0.05,
        delay: Duration::from_micros(900),
        jitter: Duration::from_micros(200),
        ..Impairment::default()
    };
    let config = FaultConfig {
        seed,
        rx: faults,
        tx: faults,
    };
    let (mut a, mut b) = pair(config);
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    for step in 0..2_100_u64 {
        let now = Instant::from_micros(step * 100);
        if step < 2_000 {
            send(&mut a, &step.to_be_bytes(), now);
            send(&mut b, &step.to_be_bytes(), now);
        }
        at_a.extend(receive(&mut a, now));
        at_b.extend(receive(&mut b, now));
        let counts = a.frame_counts();
        assert!(counts.is_exact() && counts.held == 0, "{counts:?}");
    }
    let statistics = [a.rx_statistics(), a.tx_statistics()];
    statistics.into_iter().for_each(assert_adds_up);
    let counters = a.counters();
    assert_eq!(counters.drops.of(PortDrop::RxFault), statistics[0].lost);
    assert_eq!(counters.drops.of(PortDrop::TxFault), statistics[1].lost);
    assert_eq!(counters.rx_frames, at_a.len() as u64);
    assert_eq!(counters.tx_frames, at_b.len() as u64);
    (at_a, at_b, statistics)
}

#[test]
fn faults_are_given_by_the_seed_and_every_frame_is_accounted_for() {
    let run = trace(3);
    assert_eq!(run, trace(3));
    assert_ne!(run.0, trace(4).0);
    for statistics in run.2 {
        let kinds = [
            statistics.lost,
            statistics.duplicated,
            statistics.corrupted,
            statistics.reordered,
        ];
        assert!(
            kinds.iter().all(|count| (60..150).contains(count)),
            "{statistics:?}"
        );
        assert_eq!((statistics.sent, statistics.in_flight), (2_000, 0));
    }
}

#[test]
fn damage_is_not_covered_by_a_sum_that_is_finished_later() {
    let config = FaultConfig {
        seed: 1,
        tx: Impairment {
            corruption: 1.0,
            duplication: 1.0,
            ..Impairment::default()
        },
        ..FaultConfig::default()
    };
    let (mut a, mut b) = pair(config);
    let mut frame = a.take_frame().expect("frames are free");
    frame.resize(4);
    frame.bytes_mut().copy_from_slice(&[1, 2, 0, 0]);
    frame.set_tx_checksum(Some(TxChecksum {
        start: 0,
        offset: 2,
    }));
    let mut burst = Burst::new();
    burst.push(frame);
    a.tx_burst(&mut burst, Instant::ZERO);
    let whole = [1, 2, 0xfe, 0xfd];
    let received = receive(&mut b, Instant::ZERO);
    assert_eq!(received[0], whole, "the copy");
    let differing = received[1]
        .iter()
        .zip(whole)
        .map(|(a, b)| (a ^ b).count_ones());
    assert_eq!(differing.sum::<u32>(), 1);
}
