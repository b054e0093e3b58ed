//! Who lives where: resolution that is lost, stations that do not answer, addresses that are ours.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use sim::apps::{Client, Echo};
use sim::probe::{Probe, body};
use sim::{A4, A6, B4, B6, Net, Plan, ip};
use tidegate_port::{Burst, End as LinkEnd, Impairment, Link, LinkConfig, Port};
use tidegate_tcp::End;
use tidegate_wire::icmpv6::solicited_node;
use tidegate_wire::{ArpOp, Body, Discard, Icmpv4, Icmpv6, Instant, MacAddr, RxChecksum, parse};
use tidegate_worker::{Counter, Interface, Listen, Worker, WorkerConfig};

const SECOND: Duration = Duration::from_secs(1);

fn opened(plan: Plan, to: &str) -> Net<Client, Echo> {
    let mut net = plan.build(Client::default(), Echo::ready());
    net.b.stack_mut().listen(Listen::on(7)).unwrap();
    // The announcements go first.
    net.run_for(Duration::from_millis(10));
    let (client, stack) = net.a.app_and_stack();
    client.open(stack, (ip(to), 7).into(), 1_000);
    net
}

#[test]
fn lost_requests_and_answers_are_tried_again() {
    for to in [B4, B6] {
        for (from, lost) in [(LinkEnd::A, 1), (LinkEnd::B, 1), (LinkEnd::A, 2)] {
            let mut net = opened(Plan::new(1), to);
            net.link.lose_next(from, lost);
            let is_done = |net: &Net<Client, Echo>| net.a.app().is_done();
            assert!(net.run_until(SECOND * 20, is_done));
            net.a.app().assert_complete();
            net.run_until_empty(SECOND * 60);
        }
    }
}

#[test]
fn a_station_that_does_not_answer_ends_the_open_as_unreachable() {
    for to in ["192.0.2.99/24", "2001:db8::99/64"] {
        let mut net = opened(Plan::new(2), to);
        let (client, stack) = net.a.app_and_stack();
        // More than may wait for one station.
        for _ in 0..9 {
            client.open(stack, (ip(to), 7).into(), 1_000);
        }
        let start = net.now;
        assert!(net.run_until(SECOND * 20, |net| net.a.app().is_done()));
        assert!(net.now.saturating_since(start) < SECOND * 10);
        for trip in net.a.app().trips.values() {
            assert_eq!(trip.ends, [End::Unreachable]);
        }
        let counters = net.a.counters();
        let requests = counters.of(Counter::ArpRequests) + counters.of(Counter::Solicitations);
        assert!(requests <= 8, "{requests} requests");
        assert!(counters.lost(Discard::NeighbourUnresolved) >= 10);
        net.run_until_empty(SECOND * 60);
    }
}

#[test]
fn a_connection_survives_a_neighbour_that_is_silent_for_a_while() {
    let mut net = opened(Plan::new(3), B4);
    let (client, stack) = net.a.app_and_stack();
    let flow = client.open(stack, (ip(B4), 7).into(), 3_000_000);
    net.run_until(SECOND, |net| net.a.app().trips[&flow].received > 100_000);
    let dead = Impairment {
        loss: 1.0,
        ..Impairment::default()
    };
    net.link.set_impairment(LinkEnd::B, dead);
    net.run_for(SECOND * 50);
    net.link.set_impairment(LinkEnd::B, Impairment::default());
    net.run_until_empty(SECOND * 200);
    net.a.app().assert_complete();
}

fn probe() -> Probe<Echo> {
    let config = WorkerConfig {
        echo_replies_per_second: 5,
        ..WorkerConfig::default()
    };
    Probe::new(Echo::ready(), config)
}

#[test]
fn our_addresses_are_announced_once_at_the_start() {
    let (port, other) = Link::pair(LinkConfig::default()).unwrap();
    let addresses = [A4, A6].iter().map(|text| text.parse().unwrap()).collect();
    let config = WorkerConfig {
        interfaces: vec![Interface::new(port.facts(), addresses, Vec::new())],
        ..WorkerConfig::default()
    };
    let mut worker = Worker::new(config, vec![port], Echo::ready()).unwrap();
    let mut other = other;
    let mut frames = Burst::new();
    for ms in 0..3_000 {
        worker.turn(Instant::from_millis(ms));
        other.rx_burst(&mut frames, Instant::from_millis(ms));
    }
    assert_eq!(frames.len(), 2);
    assert!(frames.iter().any(|frame| matches!(
        body(frame.bytes()),
        Body::Arp(arp) if IpAddr::V4(arp.sender_ip) == ip(A4) && arp.sender_ip == arp.target_ip
    )));
    assert!(frames.iter().any(|frame| matches!(
        body(frame.bytes()),
        Body::Icmpv6(_, Icmpv6::NeighbourAdvertisement { target, solicited: false, .. })
            if IpAddr::V6(target) == ip(A6)
    )));
    for frame in frames.drain(..) {
        other.give_frame(frame);
    }
}

#[test]
fn arp_is_answered_for_our_addresses_only_and_in_the_same_vlan() {
    let mut probe = probe();
    for vlan in [Some(7), None] {
        probe.vlan = vlan;
        let answers = probe.ask(&probe.arp(ArpOp::Request, "192.0.2.2", "192.0.2.1"));
        assert_eq!(answers.len(), 1);
        let packet = parse(&answers[0], RxChecksum::Verify).unwrap();
        assert_eq!(packet.ethernet.vlan, vlan);
        assert_eq!(packet.ethernet.dst, probe.mac);
        let Body::Arp(arp) = packet.body else {
            panic!("no ARP: {packet:?}");
        };
        assert_eq!(arp.op, ArpOp::Reply);
        assert_eq!(arp.sender_mac, probe.worker_mac());
    }
    assert!(
        probe
            .ask(&probe.arp(ArpOp::Request, "192.0.2.2", "192.0.2.3"))
            .is_empty()
    );
    assert_eq!(probe.discarded(Discard::ArpNotForUs), 1);
    assert!(
        probe
            .ask(&probe.arp(ArpOp::Request, "192.0.2.1", "192.0.2.1"))
            .is_empty()
    );
    assert_eq!(probe.discarded(Discard::ArpAddressConflict), 1);
    assert!(
        probe
            .ask(&probe.arp(ArpOp::Reply, "192.0.2.9", "192.0.2.1"))
            .is_empty()
    );
    assert_eq!(probe.discarded(Discard::ArpUnsolicited), 1);
    // A probe for a duplicate is answered and not learnt (RFC 5227).
    assert_eq!(
        probe
            .ask(&probe.arp(ArpOp::Request, "0.0.0.0", "192.0.2.1"))
            .len(),
        1
    );
}

#[test]
fn a_solicitation_is_answered_for_our_addresses_only() {
    let mut probe = probe();
    let ask = |probe: &mut Probe<Echo>, src: &str, target: &str| {
        let target: Ipv6Addr = target.parse().unwrap();
        let is_test = src == "::";
        let message = Icmpv6::NeighbourSolicitation {
            target,
            source_mac: (!is_test).then_some(probe.mac),
        };
        let group = solicited_node(target);
        let mac = MacAddr::for_ipv6_multicast(group);
        let frame = probe.icmpv6(mac, (src, group.into()), &message);
        probe.ask(&frame)
    };
    let answers = ask(&mut probe, "2001:db8::2", "2001:db8::1");
    assert!(matches!(
        body(&answers[0]),
        Body::Icmpv6(to, Icmpv6::NeighbourAdvertisement { solicited: true, override_: true, target_mac: Some(_), .. })
            if to.dst == ip(B6) && to.hop_limit == 255
    ));
    // Who tests the address learns that it is taken, with everybody else.
    let answers = ask(&mut probe, "::", "2001:db8::1");
    assert!(matches!(
        body(&answers[0]),
        Body::Icmpv6(to, Icmpv6::NeighbourAdvertisement { solicited: false, .. })
            if to.dst == "ff02::1".parse::<IpAddr>().unwrap()
    ));
    assert!(ask(&mut probe, "2001:db8::2", "2001:db8::3").is_empty());
    assert_eq!(probe.discarded(Discard::NdpNotForUs), 1);
}

fn echo(probe: &Probe<Echo>, text: &[u8], dst: &str) -> Vec<u8> {
    let request = Icmpv4::EchoRequest {
        id: 7,
        seq: 9,
        text,
    };
    probe.icmpv4(("192.0.2.2", dst), &request)
}

fn ask_echo(probe: &mut Probe<Echo>, dst: &str, text: &[u8]) -> Vec<Vec<u8>> {
    let frame = echo(probe, text, dst);
    probe.ask(&frame)
}

#[test]
fn echo_is_answered_for_our_addresses_and_not_too_often() {
    let mut probe = probe();
    let answers = ask_echo(&mut probe, "192.0.2.1", b"are you there?");
    assert!(matches!(
        body(&answers[0]),
        Body::Icmpv4(to, Icmpv4::EchoReply { id: 7, seq: 9, text: b"are you there?" })
            if to.src == ip(A4) && to.dst == ip(B4)
    ));
    assert!(ask_echo(&mut probe, "192.0.2.3", b"").is_empty());
    assert_eq!(probe.discarded(Discard::IpDestinationNotOurs), 1);
    assert!(ask_echo(&mut probe, "192.0.2.255", b"").is_empty());
    assert_eq!(probe.discarded(Discard::IcmpEchoToGroup), 1);
    let answered: usize = (0..10)
        .map(|_| ask_echo(&mut probe, "192.0.2.1", b"").len())
        .sum();
    assert_eq!(answered, 4, "five in a second, one of them before");
    assert_eq!(probe.discarded(Discard::IcmpRateLimited), 6);
    let request = Icmpv6::EchoRequest {
        id: 1,
        seq: 2,
        text: b"six",
    };
    probe.now += SECOND * 2;
    let frame = probe.icmpv6(probe.worker_mac(), ("2001:db8::2", ip(A6)), &request);
    let answers = probe.ask(&frame);
    assert!(matches!(
        body(&answers[0]),
        Body::Icmpv6(
            _,
            Icmpv6::EchoReply {
                id: 1,
                seq: 2,
                text: b"six"
            }
        )
    ));
}

#[test]
fn icmp_that_nobody_asked_for_is_discarded() {
    let mut probe = probe();
    let reply = Icmpv4::EchoReply {
        id: 7,
        seq: 9,
        text: b"",
    };
    // RFC 9293 3.9.2.2, MUST-55: source quench is type 4.
    let quench = Icmpv4::Other {
        kind: 4,
        code: 0,
        body: &[0; 32],
    };
    for message in [reply, quench] {
        let frame = probe.icmpv4(("192.0.2.2", "192.0.2.1"), &message);
        assert!(probe.ask(&frame).is_empty());
    }
    assert_eq!(probe.discarded(Discard::IcmpEchoReplyUnasked), 1);
    assert_eq!(probe.discarded(Discard::IcmpTypeUnknown), 1);
}

#[test]
fn frames_for_other_stations_are_discarded() {
    let mut probe = probe();
    let mut frame = echo(&probe, b"", "192.0.2.1");
    frame[5] ^= 0xff;
    assert!(probe.ask(&frame).is_empty());
    assert_eq!(probe.discarded(Discard::NotForUs), 1);
}

#[test]
fn a_worker_without_flows_waits_for_nothing() {
    assert_eq!(probe().worker.next_deadline(), None);
}
