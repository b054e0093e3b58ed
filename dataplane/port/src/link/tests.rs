//! Tests of the simulated link.

use core::time::Duration;
use std::thread;

use super::*;
use crate::{BURST, TxChecksum};

fn pair(config: LinkConfig) -> (LinkPort, LinkPort) {
    Link::pair(config).expect("memory is mapped")
}

fn impaired(a_to_b: Impairment) -> (LinkPort, LinkPort) {
    pair(LinkConfig {
        a_to_b,
        ..LinkConfig::default()
    })
}

fn send(port: &mut LinkPort, bytes: &[u8], now: Instant) {
    let mut frame = port.take_frame().expect("frames are free");
    frame.resize(bytes.len());
    frame.bytes_mut().copy_from_slice(bytes);
    let mut burst = Burst::new();
    burst.push(frame);
    port.tx_burst(&mut burst, now);
    assert!(burst.is_empty(), "a link takes every frame");
}

fn receive(port: &mut LinkPort, now: Instant) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    loop {
        let mut burst = Burst::new();
        port.rx_burst(&mut burst, now);
        if burst.is_empty() {
            return received;
        }
        for frame in burst.drain(..) {
            received.push(frame.bytes().to_vec());
            port.give_frame(frame);
        }
    }
}

fn assert_adds_up(statistics: LinkStatistics) {
    assert_eq!(
        statistics.sent + statistics.duplicated,
        statistics.delivered
            + statistics.lost
            + statistics.queue_dropped
            + statistics.no_frame
            + statistics.in_flight,
        "{statistics:?}"
    );
}

fn assert_at_rest(port: &LinkPort) {
    let counts = port.frame_counts();
    assert!(counts.is_exact(), "{counts:?}");
    assert_eq!((counts.held, counts.tx), (0, 0), "{counts:?}");
}

/// The number in the first four bytes of a frame.
fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[..4].try_into().expect("four bytes"))
}

#[test]
fn a_perfect_link_delivers_everything_at_once_in_order_both_ways() {
    let (mut a, mut b) = pair(LinkConfig::default());
    let now = Instant::from_secs(5);
    assert_eq!(b.next_event(), None);
    for number in 0..200_u32 {
        send(&mut a, &number.to_be_bytes(), now);
        send(&mut b, &(number + 1_000).to_be_bytes(), now);
    }
    assert_eq!(b.next_event(), Some(now));
    assert!(receive(&mut b, Instant::from_millis(4_999)).is_empty());
    let at_b: Vec<u32> = receive(&mut b, now).iter().map(|f| number(f)).collect();
    let at_a: Vec<u32> = receive(&mut a, now).iter().map(|f| number(f)).collect();
    assert_eq!(at_b, (0..200).collect::<Vec<_>>());
    assert_eq!(at_a, (1_000..1_200).collect::<Vec<_>>());
    assert_eq!(b.next_event(), None);
    assert_eq!(b.counters().rx_bytes, 800);
    assert_eq!(a.counters().tx_frames, 200);
    for (port, end) in [(&a, End::A), (&b, End::B)] {
        assert_at_rest(port);
        assert_adds_up(port.link().statistics(end));
    }
}

#[test]
fn delay_and_bandwidth_say_when_a_frame_arrives() {
    // 1000 bytes at 8 Mbit/s take a millisecond.
    let (mut a, mut b) = impaired(Impairment {
        delay: Duration::from_millis(10),
        bandwidth: Some(8_000_000),
        queue_bytes: 3_000,
        ..Impairment::default()
    });
    for number in 0..5_u8 {
        send(&mut a, &[number; 1_000], Instant::ZERO);
    }
    for number in 0..3_u8 {
        let due = Instant::from_millis(11 + u64::from(number));
        assert_eq!(b.next_event(), Some(due));
        assert_eq!(receive(&mut b, due), [vec![number; 1_000]]);
    }
    let statistics = a.link().statistics(End::A);
    assert_eq!(statistics.queue_dropped, 2, "the queue holds three");
    assert_adds_up(statistics);
    // The line has been idle since: the next frame does not wait.
    send(&mut a, &[9; 1_000], Instant::from_millis(100));
    assert_eq!(b.next_event(), Some(Instant::from_millis(111)));
}

#[test]
fn a_held_back_frame_is_overtaken_and_jitter_overtakes_nobody() {
    let reordering = Impairment {
        reordering: 0.2,
        reorder_delay: Duration::from_millis(3),
        ..Impairment::default()
    };
    let jitter = Impairment {
        jitter: Duration::from_millis(3),
        ..Impairment::default()
    };
    for (impairment, overtakes) in [(reordering, true), (jitter, false)] {
        let (mut a, mut b) = impaired(impairment);
        let mut numbers = Vec::new();
        for millis in 0..200_u32 {
            let now = Instant::from_millis(u64::from(millis));
            send(&mut a, &millis.to_be_bytes(), now);
            numbers.extend(receive(&mut b, now).iter().map(|frame| number(frame)));
        }
        numbers.extend(
            receive(&mut b, Instant::from_secs(1))
                .iter()
                .map(|frame| number(frame)),
        );
        assert_eq!(numbers.is_sorted(), !overtakes);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..200).collect::<Vec<_>>(), "none is lost");
        assert_eq!(a.link().statistics(End::A).reordered > 20, overtakes);
    }
}

#[test]
fn a_duplicate_is_whole_and_a_corrupted_frame_differs_in_one_bit() {
    let (mut a, mut b) = impaired(Impairment {
        duplication: 1.0,
        corruption: 1.0,
        ..Impairment::default()
    });
    send(&mut a, &[0; 60], Instant::ZERO);
    let received = receive(&mut b, Instant::ZERO);
    let ones: Vec<u32> = received
        .iter()
        .map(|frame| frame.iter().map(|byte| byte.count_ones()).sum())
        .collect();
    assert_eq!(ones, [0, 1]);
}

/// What a run with every fault at once shows at B: arrival times and bytes.
fn trace(seed: u64) -> (Vec<(Instant, Vec<u8>)>, LinkStatistics) {
    let faults = Impairment {
        loss: 0.05,
        duplication: 0.05,
        corruption: 0.05,
        reordering: 0.05,
        delay: Duration::from_micros(700),
        jitter: Duration::from_micros(300),
        bandwidth: Some(20_000_000),
        queue_bytes: 20_000,
        ..Impairment::default()
    };
    let (mut a, mut b) = pair(LinkConfig {
        seed,
        a_to_b: faults,
        b_to_a: faults,
        ..LinkConfig::default()
    });
    let mut seen = Vec::new();
    for step in 0..3_000_u64 {
        let now = Instant::from_micros(step * 100);
        let len = 60 + usize::try_from(step % 400).expect("small");
        send(&mut a, &vec![step.to_be_bytes()[7]; len], now);
        send(&mut b, &[1; 64], now);
        seen.extend(receive(&mut b, now).into_iter().map(|frame| (now, frame)));
        receive(&mut a, now);
    }
    for (port, end) in [(&a, End::A), (&b, End::B)] {
        assert_at_rest(port);
        assert_adds_up(port.link().statistics(end));
    }
    (seen, a.link().statistics(End::A))
}

#[test]
fn a_run_is_given_by_its_seed() {
    let (trace_1, statistics) = trace(1);
    assert_eq!((&trace_1, statistics), (&trace(1).0, statistics));
    assert_ne!(trace_1, trace(2).0);
    let kinds = [
        statistics.lost,
        statistics.duplicated,
        statistics.corrupted,
        statistics.reordered,
    ];
    assert!(
        kinds.iter().all(|count| (90..220).contains(count)),
        "{statistics:?}"
    );
}

#[test]
fn a_change_and_a_loss_by_order_hold_from_the_next_frame_on() {
    let (mut a, mut b) = pair(LinkConfig::default());
    let link = a.link();
    link.lose_next(End::A, 2);
    for number in 0..3_u8 {
        send(&mut a, &[number; 60], Instant::ZERO);
    }
    assert_eq!(receive(&mut b, Instant::ZERO), [[2; 60]]);
    let broken = Impairment {
        loss: 1.0,
        ..Impairment::default()
    };
    link.set_impairment(End::A, broken);
    send(&mut a, &[3; 60], Instant::ZERO);
    send(&mut b, &[4; 60], Instant::ZERO);
    assert!(receive(&mut b, Instant::ZERO).is_empty());
    assert_eq!(
        receive(&mut a, Instant::ZERO),
        [[4; 60]],
        "the other direction still works"
    );
    assert_eq!(link.statistics(End::A).lost, 3);
}

#[test]
fn without_a_frame_to_receive_into_a_frame_is_dropped_and_counted() {
    let (mut a, mut b) = pair(LinkConfig {
        frames: 128,
        ..LinkConfig::default()
    });
    let mut held = Vec::new();
    for expected in [BURST, BURST, 0] {
        for _ in 0..BURST {
            send(&mut a, &[7; 60], Instant::ZERO);
        }
        let mut burst = Burst::new();
        b.rx_burst(&mut burst, Instant::ZERO);
        assert_eq!(burst.len(), expected);
        held.extend(burst);
        assert!(b.frame_counts().is_exact());
    }
    assert_eq!(b.frame_counts().held, 128, "the worker has every frame");
    assert_eq!(b.counters().drops.of(PortDrop::RxNoFrame), BURST as u64);
    assert_eq!(a.link().statistics(End::A).no_frame, BURST as u64);
    assert!(b.take_frame().is_none());

    held.drain(..).for_each(|frame| b.give_frame(frame));
    send(&mut a, &[8; 60], Instant::ZERO);
    assert_eq!(receive(&mut b, Instant::ZERO), [[8; 60]]);
    assert_at_rest(&b);
    assert_adds_up(a.link().statistics(End::A));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (mut a, mut b) = pair(LinkConfig {
        mtu: 576,
        ..LinkConfig::default()
    });
    send(&mut a, &[1; 594], Instant::ZERO);
    send(&mut a, &[2; 595], Instant::ZERO);
    assert_eq!(receive(&mut b, Instant::ZERO).len(), 1);
    assert_eq!(a.counters().drops.of(PortDrop::TxTooLong), 1);
    assert_at_rest(&a);
    for config in [
        LinkConfig {
            mtu: 3_823,
            ..LinkConfig::default()
        },
        LinkConfig {
            frames: 127,
            ..LinkConfig::default()
        },
    ] {
        assert!(Link::pair(config).is_err());
    }
    pair(LinkConfig {
        mtu: 3_822,
        ..LinkConfig::default()
    });
}

#[test]
fn a_checksum_left_to_the_link_is_finished_only_where_it_will_be_verified() {
    for (rx_checksum, expected) in [
        (RxChecksum::Verify, [0x01, 0x02, 0xfe, 0xfd]),
        (RxChecksum::TrustPartial, [0x01, 0x02, 0x00, 0x00]),
    ] {
        let (mut a, mut b) = pair(LinkConfig {
            rx_checksum,
            tx_checksum: true,
            ..LinkConfig::default()
        });
        assert!(a.facts().offloads.tx_checksum);
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
        assert_eq!(receive(&mut b, Instant::ZERO), [expected]);
    }
}

#[test]
fn the_ends_work_in_two_threads() {
    const FRAMES: u32 = 20_000;
    let (mut a, mut b) = pair(LinkConfig::default());
    let sender = thread::spawn(move || {
        for number in 0..FRAMES {
            send(&mut a, &number.to_be_bytes(), Instant::ZERO);
        }
        a
    });
    let mut next = 0;
    while next < FRAMES {
        for frame in receive(&mut b, Instant::ZERO) {
            assert_eq!(number(&frame), next);
            next += 1;
        }
        thread::yield_now();
    }
    let a = sender.join().expect("the sender ends");
    assert_at_rest(&a);
    assert_at_rest(&b);
}
