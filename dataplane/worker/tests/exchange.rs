//! Text goes there and back over links that lose, repeat, reorder and damage frames.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::{Client, Echo};
use sim::{B4, B6, Net, Plan, ip, seeds};
use tidegate_port::Impairment;
use tidegate_tcp::End;
use tidegate_wire::{Discard, RxChecksum};
use tidegate_worker::{Counter, Counters, Listen};

/// Opens `flows` flows to the echo server at `to` and runs until all is over. Where every request
/// for the other end's hardware address is lost, an open may fail, and only then.
fn exchange(mut plan: Plan, to: &str, flows: u32, bytes: u64, bite: usize) -> Net<Client, Echo> {
    // Long enough for the last FIN to come again, however often it is lost.
    plan.settings.time_wait = Duration::from_secs(60);
    let client = Client {
        bite,
        ..Client::default()
    };
    let mut net = plan.build(client, Echo::ready());
    let listen = Listen {
        tag: 7,
        ..Listen::on(7)
    };
    net.b.stack_mut().listen(listen).unwrap();
    let (client, stack) = net.a.app_and_stack();
    for _ in 0..flows {
        client.open(stack, (ip(to), 7).into(), bytes);
    }
    let is_done = |net: &Net<Client, Echo>| net.a.app().is_done();
    assert!(
        net.run_until(Duration::from_secs(900), is_done),
        "it takes too long"
    );
    net.a.app_mut().assert_complete_or_unreachable();
    net.run_until_empty(Duration::from_secs(300));
    net.b.app().assert_ends(End::Closed);
    net
}

fn rough(loss: f64) -> Impairment {
    Impairment {
        loss,
        duplication: 0.02,
        corruption: 0.02,
        reordering: 0.05,
        reorder_delay: Duration::from_millis(3),
        delay: Duration::from_millis(2),
        jitter: Duration::from_millis(1),
        ..Impairment::default()
    }
}

/// What was discarded, without the other end's announcement of addresses that we do not use yet.
fn discarded_but_announcements(counters: &Counters) -> u64 {
    counters.discarded_total()
        - counters.discarded(Discard::ArpUnsolicited)
        - counters.discarded(Discard::NdpUnsolicited)
}

#[test]
fn a_clean_link_carries_everything_without_sending_anything_again() {
    for to in [B4, B6] {
        let plan = Plan::new(1).impaired(Impairment {
            delay: Duration::from_micros(100),
            ..Impairment::default()
        });
        let net = exchange(plan, to, 3, 200_000, 0);
        for counters in [net.a.counters(), net.b.counters()] {
            assert_eq!(counters.of(Counter::Retransmits), 0);
            assert_eq!(discarded_but_announcements(&counters), 0);
            assert_eq!(counters.of(Counter::EndedClosed), 3);
        }
    }
}

#[test]
fn a_link_without_any_delay_works_too() {
    exchange(Plan::new(2), B4, 2, 100_000, 0);
}

#[test]
fn a_rough_link_delivers_every_byte_once_and_in_order() {
    for seed in seeds(0, 40) {
        let to = if seed % 2 == 0 { B4 } else { B6 };
        exchange(Plan::new(seed).impaired(rough(0.05)), to, 3, 60_000, 0);
    }
}

#[test]
fn a_very_rough_link_does_so_as_well() {
    for seed in seeds(100, 8) {
        exchange(Plan::new(seed).impaired(rough(0.2)), B4, 2, 8_000, 0);
    }
}

#[test]
fn a_reader_that_takes_little_at_a_time_gets_everything() {
    for seed in seeds(200, 8) {
        exchange(Plan::new(seed).impaired(rough(0.03)), B6, 2, 20_000, 700);
    }
}

#[test]
fn partial_checksums_are_finished_by_the_port_or_trusted() {
    for rx_checksum in [RxChecksum::Verify, RxChecksum::TrustPartial] {
        let mut plan = Plan::new(3);
        plan.link.tx_checksum = true;
        plan.link.rx_checksum = rx_checksum;
        let net = exchange(plan, B4, 2, 50_000, 0);
        assert_eq!(discarded_but_announcements(&net.b.counters()), 0);
    }
}

#[test]
fn little_memory_slows_down_and_loses_nothing() {
    let mut plan = Plan::new(4).impaired(rough(0.02));
    plan.config.text_blocks = 24;
    plan.config.range_sets = 2;
    exchange(plan, B4, 6, 40_000, 0);
}

#[test]
fn few_frames_slow_down_and_lose_nothing() {
    let mut plan = Plan::new(5);
    plan.link.frames = 128;
    plan.link.a_to_b.delay = Duration::from_millis(1);
    exchange(plan, B4, 20, 30_000, 0);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let net = exchange(Plan::new(42).impaired(rough(0.05)), B4, 3, 30_000, 0);
        (
            net.now,
            net.a.counters().snapshot(),
            net.b.counters().snapshot(),
        )
    };
    assert_eq!(run(), run());
}

#[test]
fn a_thousand_flows_at_once() {
    let mut plan = Plan::new(6).impaired(Impairment {
        delay: Duration::from_micros(200),
        loss: 0.005,
        ..Impairment::default()
    });
    plan.config.flows_max = 1_000;
    plan.config.time_wait_max = 1_000;
    let net = exchange(plan, B4, 1_000, 1_000, 0);
    assert_eq!(net.b.counters().of(Counter::Accepted), 1_000);
    assert_eq!(net.a.counters().of(Counter::Connected), 1_000);
}
