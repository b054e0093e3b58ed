//! What comes from people who mean harm, or from cables that do: random bytes, damaged segments,
//! floods of SYNs. A worker survives all of it, bounded, and its flows go on.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use proptest::prelude::*;
use sim::apps::{Client, Echo, Trip};
use sim::probe::{Probe, body, segments, tcp};
use sim::{B4, Net, Plan, ip};
use tidegate_tcp::{End, State};
use tidegate_wire::{ArpOp, Body, Discard, Tcp, TcpFlags};
use tidegate_worker::{Counter, FlowId, Listen, SynCookies, WorkerConfig};

const FROM_PEER: (&str, &str) = ("192.0.2.2", "192.0.2.1");

fn probe() -> Probe<Echo> {
    let config = WorkerConfig {
        flows_max: 64,
        neighbours_max: 8,
        ..WorkerConfig::default()
    };
    let mut probe = Probe::new(Echo::ready(), config);
    let listen = Listen {
        syn_backlog: 16,
        syn_cookies: SynCookies::Off,
        ..Listen::on(7)
    };
    probe.worker.stack_mut().listen(listen).unwrap();
    let frame = probe.arp(ArpOp::Request, "192.0.2.2", "192.0.2.1");
    assert_eq!(probe.ask(&frame).len(), 1);
    probe
}

/// The worker still answers: it opens a flow and echoes. Whatever older flows still have to say
/// comes in between.
fn assert_alive(probe: &mut Probe<Echo>) {
    pass(probe, 200);
    let frame = probe.arp(ArpOp::Request, "192.0.2.2", "192.0.2.1");
    let is_arp = |frame: &Vec<u8>| matches!(body(frame), Body::Arp(_));
    assert!(probe.ask(&frame).iter().any(is_arp));
    let syn = tcp((999, 7), (100, 0), TcpFlags::SYN);
    let answer = ask(probe, &syn, b"").expect("a SYN-ACK");
    let header = tcp((999, 7), (101, answer.seq.wrapping_add(1)), TcpFlags::ACK);
    let answer = ask(probe, &header, b"still there?").expect("an echo");
    assert_eq!(answer.ack, 101 + 12);
    ask(probe, &tcp((999, 7), (113, 0), TcpFlags::RST), b"");
}

/// Lets so many seconds pass.
fn pass(probe: &mut Probe<Echo>, secs: u32) {
    for _ in 0..secs {
        probe.now += Duration::from_secs(1);
        probe.receive();
    }
}

/// Sends a segment and answers the first that comes back to its port.
fn ask(probe: &mut Probe<Echo>, header: &Tcp, text: &[u8]) -> Option<Tcp> {
    let frame = probe.segment(FROM_PEER, header, text);
    let answers = segments(&probe.ask(&frame));
    answers
        .into_iter()
        .find(|answer| answer.dst_port == header.src_port)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_stop_a_worker(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..60),
        is_for_us in any::<bool>(),
    ) {
        let mut probe = probe();
        for mut frame in frames {
            // Half of the runs get past the look at the MAC address and the type.
            if is_for_us && frame.len() > 14 {
                frame[..6].copy_from_slice(&probe.worker_mac().0);
                frame[12] = [0x08, 0x86, 0x81][usize::from(frame[12] % 3)];
                frame[13] = [0x00, 0xdd, 0x06][usize::from(frame[13] % 3)];
            }
            probe.ask(&frame);
        }
        assert_alive(&mut probe);
    }

    #[test]
    fn damaged_and_made_up_segments_never_stop_a_worker(
        pieces in prop::collection::vec(
            (any::<u8>(), any::<u32>(), any::<u32>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)),
            1..80,
        ),
        near in any::<bool>(),
    ) {
        let mut probe = probe();
        let mut last = 0u32;
        for (flags, seq, ack, port, text) in pieces {
            // Few ports and numbers near each other, so that many hit a flow and its window.
            let (seq, ack) = if near { (100 + seq % 50, last.wrapping_add(ack % 3)) } else { (seq, ack) };
            let mut header = tcp((port % 4 + 1, 7), (seq, ack), TcpFlags::from_bits_retain(flags));
            header.urgent = port;
            header.wnd = port;
            if let Some(answer) = ask(&mut probe, &header, &text) {
                last = answer.seq;
            }
            probe.now += Duration::from_millis(u64::from(port % 300));
        }
        probe.now += Duration::from_secs(300);
        probe.receive();
        assert_alive(&mut probe);
    }
}

#[test]
fn a_flood_of_syns_is_bounded_and_leaves_nothing_behind() {
    let mut probe = probe();
    for n in 0..5_000u32 {
        let src = format!("198.51.{}.{}", n / 250 % 250, n % 250 + 1);
        let port = 1_024 + u16::try_from(n % 50_000).unwrap();
        let syn = probe.segment(
            (&src, "192.0.2.1"),
            &tcp((port, 7), (n, 0), TcpFlags::SYN),
            b"",
        );
        probe.ask(&syn);
        assert!(probe.worker.stack().flows() <= 16);
        assert!(probe.worker.counters().in_state(State::SynReceived) <= 16);
    }
    let refused = probe.discarded(Discard::SynQueueFull);
    assert_eq!(
        refused,
        5_000 - probe.worker.counters().of(Counter::HalfOpened)
    );
    // They are given up, and the next client is served.
    pass(&mut probe, 200);
    assert_eq!(probe.worker.stack().flows(), 0);
    sim::check_no_leak(&probe.worker);
    assert_alive(&mut probe);
}

#[test]
fn a_syn_that_finds_the_flow_table_full_is_counted() {
    let config = WorkerConfig {
        flows_max: 4,
        ..WorkerConfig::default()
    };
    let mut probe = Probe::new(Echo::ready(), config);
    probe.worker.stack_mut().listen(Listen::on(7)).unwrap();
    let frame = probe.arp(ArpOp::Request, "192.0.2.2", "192.0.2.1");
    probe.ask(&frame);
    let syn = |port| tcp((port, 7), (1, 0), TcpFlags::SYN);
    let early = ask(&mut probe, &syn(5), b"").unwrap();
    for port in 1..=4 {
        let answer = ask(&mut probe, &syn(port), b"").unwrap();
        let ack = tcp((port, 7), (2, answer.seq.wrapping_add(1)), TcpFlags::ACK);
        ask(&mut probe, &ack, b"");
    }
    assert_eq!(probe.worker.counters().in_state(State::Established), 4);
    assert!(ask(&mut probe, &syn(6), b"").is_none());
    assert_eq!(probe.discarded(Discard::FlowTableFull), 1);
    // Nor is there a place for one whose handshake ends now; its record stays.
    let ack = tcp((5, 7), (2, early.seq.wrapping_add(1)), TcpFlags::ACK);
    assert!(ask(&mut probe, &ack, b"").is_none());
    assert_eq!(probe.discarded(Discard::FlowTableFull), 2);
    assert_eq!(probe.worker.counters().in_state(State::SynReceived), 1);
}

#[test]
fn a_flood_from_the_link_itself_does_not_grow_the_neighbour_table() {
    let mut probe = probe();
    for n in 3..200u32 {
        let src = format!("192.0.2.{n}");
        let header = tcp((80, 7), (n, 0), TcpFlags::SYN);
        let syn = probe.segment((&src, "192.0.2.1"), &header, b"");
        // Nobody is asked for: a SYN-ACK goes back where its SYN came from.
        let frames = probe.ask(&syn);
        assert_eq!(frames.len(), segments(&frames).len());
    }
    probe.worker.publish();
    let snapshot = probe.worker.counters().snapshot();
    assert_eq!(snapshot.of("neighbours"), Some(1));
    // Those who finish their handshakes are asked for, as far as there is room for them.
    pass(&mut probe, 100);
    for n in 201..250u32 {
        let src = format!("192.0.2.{n}");
        let from = (&*src, "192.0.2.1");
        let syn = probe.segment(from, &tcp((80, 7), (n, 0), TcpFlags::SYN), b"");
        let answer = segments(&probe.ask(&syn))[0];
        let header = tcp((80, 7), (n + 1, answer.seq.wrapping_add(1)), TcpFlags::ACK);
        let text = probe.segment(from, &header, b"text");
        probe.ask(&text);
    }
    let counters = probe.worker.counters();
    assert!(counters.lost(Discard::NeighbourTableFull) > 0);
    assert_alive(&mut probe);
}

#[test]
fn established_flows_go_on_through_a_flood() {
    let mut plan = Plan::new(1);
    plan.config.flows_max = 600;
    let mut net = plan.build(Client::default(), Echo::ready());
    let listen = Listen {
        syn_backlog: 8,
        syn_cookies: SynCookies::Off,
        ..Listen::on(7)
    };
    net.b.stack_mut().listen(listen).unwrap();
    let open = |net: &mut Net<Client, Echo>, count, bytes| -> Vec<FlowId> {
        let (client, stack) = net.a.app_and_stack();
        (0..count)
            .map(|_| client.open(stack, (ip(B4), 7).into(), bytes))
            .collect()
    };
    let first = open(&mut net, 8, 300_000);
    net.run_until(Duration::from_secs(1), |net| {
        net.b.app().accepted.len() == 8
    });
    open(&mut net, 500, 100);
    net.run_until_empty(Duration::from_secs(600));
    assert!(net.b.counters().discarded(Discard::SynQueueFull) > 0);
    for flow in first {
        let trip = &net.a.app().trips[&flow];
        assert_eq!((trip.received, &*trip.ends), (300_000, &[End::Closed][..]));
    }
    // Some of the flood are never served, but none is served wrongly.
    let is_whole = |trip: &Trip| trip.ends == [End::TimedOut] || trip.received == trip.to_send;
    assert!(net.a.app().trips.values().all(is_whole));
}
