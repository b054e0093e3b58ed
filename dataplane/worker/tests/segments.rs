//! Single segments and ICMP errors, hand-made: what belongs to no flow, errors that quote a flow,
//! stations in a VLAN or behind a router.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::{Client, Echo};
use sim::probe::{Probe, body, segments, tcp};
use tidegate_tcp::{End, State};
use tidegate_wire::{
    ArpOp, Body, Discard, ETHER_TYPE_IPV4, Ethernet, Icmpv4, Icmpv6, Tcp, TcpFlags,
};
use tidegate_worker::{App, Counter, Listen, Notice, Open, WorkerConfig};

const US: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";
const FROM_PEER: (&str, &str) = (PEER, US);
const SYN_ACK: TcpFlags = TcpFlags::SYN.union(TcpFlags::ACK);
const RST_ACK: TcpFlags = TcpFlags::RST.union(TcpFlags::ACK);

/// A worker that listens on port 7 and knows where the peer lives.
fn probe() -> Probe<Echo> {
    let mut probe = Probe::new(Echo::ready(), WorkerConfig::default());
    probe.worker.stack_mut().listen(Listen::on(7)).unwrap();
    introduce(&mut probe);
    probe
}

/// The peer asks for us, so we know it.
fn introduce<A: App>(probe: &mut Probe<A>) {
    let frame = probe.arp(ArpOp::Request, PEER, US);
    assert_eq!(probe.ask(&frame).len(), 1);
}

fn ask<A: App>(probe: &mut Probe<A>, tcp: &Tcp, text: &[u8]) -> Vec<Tcp> {
    let frame = probe.segment(FROM_PEER, tcp, text);
    segments(&probe.ask(&frame))
}

/// A handshake from `port`; answers the sequence number of our first byte of text.
fn establish(probe: &mut Probe<Echo>, port: u16, seq: u32) -> u32 {
    let answers = ask(probe, &tcp((port, 7), (seq, 0), TcpFlags::SYN), b"");
    assert_eq!(answers[0].flags, SYN_ACK);
    let snd_nxt = answers[0].seq.wrapping_add(1);
    let ack = tcp((port, 7), (seq.wrapping_add(1), snd_nxt), TcpFlags::ACK);
    assert!(ask(probe, &ack, b"").is_empty());
    snd_nxt
}

#[test]
fn what_belongs_to_nothing_is_answered_as_rfc_9293_3_5_3_has_it() {
    let mut probe = probe();
    let answers = ask(&mut probe, &tcp((5_000, 9), (100, 0), TcpFlags::SYN), b"");
    assert_eq!(answers[0].flags, RST_ACK);
    assert_eq!((answers[0].seq, answers[0].ack), (0, 101));
    let answers = ask(
        &mut probe,
        &tcp((5_000, 9), (100, 555), TcpFlags::ACK),
        b"text",
    );
    assert_eq!((answers[0].flags, answers[0].seq), (TcpFlags::RST, 555));
    assert!(ask(&mut probe, &tcp((5_000, 9), (100, 0), TcpFlags::RST), b"").is_empty());
    // The same to a listener.
    let answers = ask(&mut probe, &tcp((5_000, 7), (100, 555), TcpFlags::ACK), b"");
    assert_eq!((answers[0].flags, answers[0].seq), (TcpFlags::RST, 555));
    assert!(ask(&mut probe, &tcp((5_000, 7), (100, 0), TcpFlags::RST), b"").is_empty());
    assert!(ask(&mut probe, &tcp((5_000, 7), (100, 0), TcpFlags::FIN), b"").is_empty());
    for (discard, count) in [
        (Discard::TcpNoListener, 2),
        (Discard::TcpRstInClosed, 1),
        (Discard::TcpAckInListen, 1),
        (Discard::TcpRstInListen, 1),
        (Discard::TcpListenNotSyn, 1),
    ] {
        assert_eq!(probe.discarded(discard), count, "{discard}");
    }
    assert_eq!(probe.worker.counters().of(Counter::ResetsSent), 3);
}

#[test]
fn a_syn_to_many_or_from_nobody_is_dropped_in_silence() {
    let mut probe = probe();
    let syn = tcp((5_000, 7), (100, 0), TcpFlags::SYN);
    for (src, dst, discard) in [
        (PEER, "192.0.2.255", Discard::TcpToGroup),
        (PEER, "224.0.0.1", Discard::TcpToGroup),
        (PEER, "192.0.2.77", Discard::IpDestinationNotOurs),
        ("192.0.2.255", US, Discard::IpSourceInvalid),
        ("224.0.0.1", US, Discard::IpSourceInvalid),
        (US, US, Discard::IpSourceIsOurs),
    ] {
        let before = probe.discarded(discard);
        let frame = probe.segment((src, dst), &syn, b"");
        assert!(probe.ask(&frame).is_empty());
        assert_eq!(probe.discarded(discard), before + 1, "{src} to {dst}");
    }
    assert_eq!(probe.worker.stack().flows(), 0);
}

#[test]
fn a_syn_that_comes_again_gets_the_same_answer_and_no_second_flow() {
    let mut probe = probe();
    let syn = tcp((5_000, 7), (100, 0), TcpFlags::SYN);
    let frame = probe.segment(FROM_PEER, &syn, b"");
    // Once in the same burst, so that the second look-up finds nothing yet, and once later.
    probe.send(&[&frame, &frame]);
    let first = segments(&probe.receive());
    probe.now += Duration::from_millis(100);
    let again = ask(&mut probe, &syn, b"");
    assert_eq!(first[0].flags, SYN_ACK);
    assert!(
        first
            .iter()
            .chain(&again)
            .all(|answer| answer.seq == first[0].seq)
    );
    assert_eq!(probe.worker.stack().flows(), 1);
    assert_eq!(probe.worker.counters().of(Counter::HalfOpened), 1);
}

#[test]
fn a_burst_of_text_has_one_ack() {
    let mut probe = probe();
    let snd_nxt = establish(&mut probe, 5_000, 100);
    let text = [7; 100];
    let frames: Vec<Vec<u8>> = (0..20)
        .map(|n| {
            let header = tcp((5_000, 7), (101 + n * 100, snd_nxt), TcpFlags::ACK);
            probe.segment(FROM_PEER, &header, &text)
        })
        .collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    probe.send(&frames);
    let answers = segments(&probe.receive());
    // The echo, in segments of 536 bytes, carries the ACK; there is none beside it.
    assert_eq!(answers.len(), 4);
    assert!(answers.iter().all(|answer| answer.ack == 101 + 2_000));
}

fn client() -> Probe<Client> {
    let mut probe = Probe::new(Client::default(), WorkerConfig::default());
    introduce(&mut probe);
    probe
}

/// The datagram that a frame carries, as an ICMP error quotes it.
fn quote(frame: &[u8]) -> Vec<u8> {
    let (_, datagram) = Ethernet::parse(frame).unwrap();
    datagram[..28.min(datagram.len())].to_vec()
}

#[test]
fn icmp_errors_reach_the_flow_that_they_quote() {
    let mut probe = client();
    let (app, stack) = probe.worker.app_and_stack();
    let flow = app.open(stack, "192.0.2.2:80".parse().unwrap(), 10);
    let frames = probe.receive();
    let quoted = quote(&frames[0]);
    // A soft error changes nothing, a hard one ends an open.
    let soft = Icmpv4::Unreachable {
        code: 1,
        next_hop_mtu: 0,
        quoted: &quoted,
    };
    let hard = Icmpv4::Unreachable {
        code: 3,
        next_hop_mtu: 0,
        quoted: &quoted,
    };
    let router = ("192.0.2.254", US);
    let frame = probe.icmpv4(router, &soft);
    assert!(probe.ask(&frame).is_empty());
    assert_eq!(probe.worker.stack().state(flow), Some(State::SynSent));
    assert_eq!(probe.worker.app().trips[&flow].notices, [Notice::SoftError]);
    let frame = probe.icmpv4(router, &hard);
    assert!(probe.ask(&frame).is_empty());
    assert_eq!(probe.worker.app().trips[&flow].ends, [End::Refused]);
    assert_eq!(probe.worker.counters().of(Counter::IcmpErrors), 2);
    // Now there is no such flow.
    assert!(probe.ask(&frame).is_empty());
    assert_eq!(probe.discarded(Discard::IcmpNotForAFlow), 1);
}

#[test]
fn an_open_without_answer_is_trouble_and_then_over() {
    let mut probe = client();
    let (app, stack) = probe.worker.app_and_stack();
    let flow = app.open(stack, "192.0.2.2:80".parse().unwrap(), 10);
    let mut syns = 0;
    while probe.worker.app().trips[&flow].ends.is_empty() {
        let frames = probe.receive();
        // We are there, but nobody listens.
        syns += segments(&frames).len();
        introduce(&mut probe);
        probe.now += Duration::from_millis(500);
    }
    assert_eq!(syns, 7, "once, and six times again");
    let trip = &probe.worker.app().trips[&flow];
    assert_eq!(trip.ends, [End::TimedOut]);
    assert_eq!(trip.notices, [Notice::Trouble]);
}

#[test]
fn urgent_text_is_announced() {
    let mut probe = client();
    let (app, stack) = probe.worker.app_and_stack();
    let flow = app.open(stack, "192.0.2.2:80".parse().unwrap(), 5_000_000);
    let syn = segments(&probe.receive())[0];
    let port = syn.src_port;
    ask(
        &mut probe,
        &tcp((80, port), (100, syn.seq + 1), SYN_ACK),
        b"",
    );
    let mut urgent = tcp(
        (80, port),
        (101, syn.seq + 1),
        TcpFlags::ACK | TcpFlags::URG,
    );
    urgent.urgent = 50;
    ask(&mut probe, &urgent, b"");
    assert_eq!(probe.worker.app().trips[&flow].notices, [Notice::Urgent]);
    assert_eq!(probe.worker.stack().urgent(flow), 50);
}

#[test]
fn an_icmp_error_about_what_was_never_sent_is_not_believed() {
    let mut probe = client();
    let (app, stack) = probe.worker.app_and_stack();
    let flow = app.open(stack, "192.0.2.2:80".parse().unwrap(), 10);
    let mut quoted = quote(&probe.receive()[0]);
    quoted[24] ^= 0x80;
    let forged = Icmpv4::Unreachable {
        code: 3,
        next_hop_mtu: 0,
        quoted: &quoted,
    };
    let frame = probe.icmpv4(("192.0.2.254", US), &forged);
    assert!(probe.ask(&frame).is_empty());
    assert_eq!(probe.discarded(Discard::IcmpNotInFlight), 1);
    assert_eq!(probe.worker.stack().state(flow), Some(State::SynSent));
    let short = Icmpv4::TimeExceeded {
        code: 0,
        quoted: &quoted[..22],
    };
    let frame = probe.icmpv4(("192.0.2.254", US), &short);
    assert!(probe.ask(&frame).is_empty());
    assert_eq!(probe.discarded(Discard::IcmpQuoteTruncated), 1);
}

#[test]
fn icmpv6_errors_reach_their_flow_too() {
    let mut probe = client();
    let (app, stack) = probe.worker.app_and_stack();
    let flow = app.open(stack, "[2001:db8::2]:80".parse().unwrap(), 10);
    // It is asked for by a solicitation, and answers.
    let frames = probe.receive();
    assert!(matches!(
        body(&frames[0]),
        Body::Icmpv6(_, Icmpv6::NeighbourSolicitation { .. })
    ));
    let answer = Icmpv6::NeighbourAdvertisement {
        target: "2001:db8::2".parse().unwrap(),
        target_mac: Some(probe.mac),
        router: false,
        solicited: true,
        override_: true,
    };
    let us = "2001:db8::1".parse().unwrap();
    let frame = probe.icmpv6(probe.worker_mac(), ("2001:db8::2", us), &answer);
    let frames = probe.ask(&frame);
    let (_, datagram) = Ethernet::parse(&frames[0]).unwrap();
    let hard = Icmpv6::Unreachable {
        code: 4,
        quoted: datagram,
    };
    let frame = probe.icmpv6(probe.worker_mac(), ("2001:db8::2", us), &hard);
    assert!(probe.ask(&frame).is_empty());
    assert_eq!(probe.worker.app().trips[&flow].ends, [End::Refused]);
}

#[test]
fn a_packet_too_big_makes_segments_smaller() {
    let mut probe = probe();
    let snd_nxt = establish(&mut probe, 5_000, 100);
    let header = tcp((5_000, 7), (101, snd_nxt), TcpFlags::ACK);
    let frame = probe.segment(FROM_PEER, &header, &[9; 1_400]);
    let frames = probe.ask(&frame);
    // The peer announced nothing, so segments are of 536 bytes already.
    assert!(frames[0].len() > 540);
    let quoted = quote(&frames[0]);
    let too_big = Icmpv4::Unreachable {
        code: 4,
        next_hop_mtu: 300,
        quoted: &quoted,
    };
    let frame = probe.icmpv4(("192.0.2.254", US), &too_big);
    let frames = probe.ask(&frame);
    assert!(!frames.is_empty(), "what is outstanding goes out again");
    assert!(frames.iter().all(|frame| frame.len() <= 14 + 300));
}

#[test]
fn a_peer_in_a_vlan_is_answered_in_it() {
    let mut probe = Probe::new(Echo::ready(), WorkerConfig::default());
    probe.worker.stack_mut().listen(Listen::on(7)).unwrap();
    probe.vlan = Some(7);
    let syn = probe.segment(FROM_PEER, &tcp((5_000, 7), (100, 0), TcpFlags::SYN), b"");
    let frames = probe.ask(&syn);
    let vlan_of = |frame: &Vec<u8>| Ethernet::parse(frame).unwrap().0.vlan;
    let syn_ack = segments(&frames)[0];
    assert_eq!((syn_ack.flags, vlan_of(&frames[0])), (SYN_ACK, Some(7)));
    // When there is something to say, the peer is asked for in the same VLAN.
    let text = tcp(
        (5_000, 7),
        (101, syn_ack.seq.wrapping_add(1)),
        TcpFlags::ACK,
    );
    let text = probe.segment(FROM_PEER, &text, b"text");
    let frames = probe.ask(&text);
    assert!(matches!(body(&frames[0]), Body::Arp(_)));
    assert_eq!(vlan_of(&frames[0]), Some(7));
    let reply = probe.arp(ArpOp::Reply, PEER, US);
    let frames = probe.ask(&reply);
    assert_eq!(segments(&frames)[0].ack, 105);
    assert_eq!(vlan_of(&frames[0]), Some(7));
}

#[test]
fn what_is_far_goes_through_the_router() {
    let mut probe = client();
    let (app, stack) = probe.worker.app_and_stack();
    let flow = app.open(stack, "198.51.100.7:80".parse().unwrap(), 10);
    let frames = probe.receive();
    assert!(matches!(
        body(&frames[0]),
        Body::Arp(arp) if arp.target_ip.to_string() == "192.0.2.254"
    ));
    let frame = probe.arp(ArpOp::Reply, "192.0.2.254", US);
    let frames = probe.ask(&frame);
    assert_eq!(
        Ethernet::parse(&frames[0]).unwrap().0.ether_type,
        ETHER_TYPE_IPV4
    );
    assert!(matches!(
        body(&frames[0]),
        Body::Tcp(ip, _, _) if ip.dst.to_string() == "198.51.100.7" && ip.src.to_string() == US
    ));
    assert_eq!(probe.worker.stack().state(flow), Some(State::SynSent));
}

#[test]
fn every_open_has_a_port_of_its_own_that_nobody_can_guess() {
    let mut probe = client();
    let stack = probe.worker.stack_mut();
    let mut ports: Vec<u16> = (0..200)
        .map(|_| {
            let flow = stack
                .open(Open::to("192.0.2.2:80".parse().unwrap()))
                .unwrap();
            stack.tuple(flow).unwrap().local_port
        })
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 200);
    assert!(ports.iter().all(|port| (32_768..=60_999).contains(port)));
}
