//! What stands in the IP header of segments, and which of our addresses: RFC 9293 3.9.1 and 3.9.2.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::Echo;
use sim::probe::{Probe, body, segments, tcp};
use sim::{A4, A6, ip};
use tidegate_tcp::{End, Settings, State};
use tidegate_wire::{ArpOp, Body, Discard, Ethernet, Icmpv4, Ip, Sum, Tcp, TcpFlags};
use tidegate_worker::{Counter, FlowId, Listen, Open, SettingsId, WorkerConfig};

const US: &str = "192.0.2.1";
const US_TOO: &str = "192.0.2.9";
const PEER: &str = "192.0.2.2";

/// A worker with two addresses of IPv4 that knows where the peer lives.
fn probe(settings: Settings) -> Probe<Echo> {
    let config = WorkerConfig {
        settings: vec![settings],
        ..WorkerConfig::default()
    };
    let addresses = [A4, "192.0.2.9/24", A6];
    let mut probe = Probe::with_addresses(Echo::ready(), config, &addresses);
    let frame = probe.arp(ArpOp::Request, PEER, US);
    assert_eq!(probe.ask(&frame).len(), 1);
    probe
}

/// The headers of the segments among `frames`.
fn headers(frames: &[Vec<u8>]) -> Vec<(Ip, Tcp)> {
    let header = |frame: &Vec<u8>| match body(frame) {
        Body::Tcp(ip, tcp, _) => Some((ip, tcp)),
        Body::Arp(_) | Body::Icmpv4(..) | Body::Icmpv6(..) => None,
    };
    frames.iter().filter_map(header).collect()
}

#[test]
fn hop_limit_and_diffserv_are_as_set_on_every_segment() {
    let mut probe = probe(Settings {
        hop_limit: 7,
        traffic_class: 0xb8,
        ..Settings::default()
    });
    let stack = probe.worker.stack_mut();
    stack.listen(Listen::on(9)).unwrap();
    stack
        .open(Open::to("192.0.2.2:80".parse().unwrap()))
        .unwrap();
    let mut frames = probe.receive();
    let syn = headers(&frames)[0].1;
    let answer = tcp(
        (80, syn.src_port),
        (500, syn.seq.wrapping_add(1)),
        TcpFlags::SYN | TcpFlags::ACK,
    );
    let frame = probe.segment((PEER, US), &answer, b"");
    frames.extend(probe.ask(&frame));
    let frame = probe.segment((PEER, US), &tcp((81, 9), (1, 0), TcpFlags::SYN), b"");
    frames.extend(probe.ask(&frame));
    let headers = headers(&frames);
    assert!(headers.len() >= 3, "SYN, ACK, SYN-ACK");
    for (ip, tcp) in headers {
        assert_eq!((ip.hop_limit, ip.traffic_class), (7, 0xb8), "{tcp:?}");
    }
}

#[test]
fn diffserv_and_hop_limit_can_be_changed_while_a_flow_lasts() {
    let mut probe = probe(Settings::default());
    let stack = probe.worker.stack_mut();
    stack.listen(Listen::on(9)).unwrap();
    let frame = probe.segment((PEER, US), &tcp((81, 9), (1, 0), TcpFlags::SYN), b"");
    let syn_ack = headers(&probe.ask(&frame))[0];
    assert_eq!((syn_ack.0.hop_limit, syn_ack.0.traffic_class), (64, 0));
    let next = (2, syn_ack.1.seq.wrapping_add(1));
    let frame = probe.segment((PEER, US), &tcp((81, 9), next, TcpFlags::ACK), b"");
    assert!(probe.ask(&frame).is_empty());
    let flow = probe.worker.app().accepted[0];

    let stack = probe.worker.stack_mut();
    let others = Settings {
        hop_limit: 7,
        traffic_class: 0xb8,
        ..Settings::default()
    };
    let number = stack.add_settings(others).unwrap();
    assert_eq!(stack.add_settings(others), Some(number), "entered once");
    assert_eq!(stack.add_settings(Settings::default()), Some(SettingsId(0)));
    stack.set_settings(flow, number);
    stack.set_settings(flow, SettingsId(99));
    let frame = probe.segment((PEER, US), &tcp((81, 9), next, TcpFlags::ACK), b"text");
    let echoed = headers(&probe.ask(&frame));
    assert_eq!(
        (echoed[0].0.hop_limit, echoed[0].0.traffic_class),
        (7, 0xb8)
    );
    // Another flow of the same listener is not concerned.
    let frame = probe.segment((PEER, US), &tcp((82, 9), (1, 0), TcpFlags::SYN), b"");
    assert_eq!(headers(&probe.ask(&frame))[0].0.hop_limit, 64);
}

#[test]
fn a_larger_receive_queue_opens_a_closed_window_at_once() {
    let settings = Settings::default().with_rmem(4_096).with_wmem(4_096);
    let mut probe = probe(settings);
    let stack = probe.worker.stack_mut();
    stack.listen(Listen::on(9)).unwrap();
    let frame = probe.segment((PEER, US), &tcp((81, 9), (1, 0), TcpFlags::SYN), b"");
    let syn_ack = headers(&probe.ask(&frame))[0].1;
    let ack = syn_ack.seq.wrapping_add(1);
    // The echo cannot send: the peer's window is closed. What it sends itself fills our queue.
    let mut seq = 2;
    let mut window = u16::MAX;
    for _ in 0..16 {
        let mut segment = tcp((81, 9), (seq, ack), TcpFlags::ACK);
        segment.wnd = 0;
        let frame = probe.segment((PEER, US), &segment, &[7; 1_024]);
        seq += 1_024;
        let Some((_, answer)) = headers(&probe.ask(&frame)).last().copied() else {
            continue;
        };
        window = answer.wnd;
    }
    assert_eq!(window, 0);
    let flow = probe.worker.app().accepted[0];
    let stack = probe.worker.stack_mut();
    assert_eq!(stack.readable(flow), 4_096);
    let number = stack.add_settings(settings.with_rmem(65_535));
    stack.set_settings(flow, number.unwrap());
    let told = headers(&probe.receive());
    assert!(told.last().unwrap().1.wnd > 50_000, "{told:?}");
}

#[test]
fn the_ecn_field_says_ect_on_new_text_alone_and_marks_are_counted() {
    // The two bits are not the user's (RFC 3168 5).
    let mut probe = probe(Settings {
        traffic_class: 0xbb,
        ..Settings::default()
    });
    let stack = probe.worker.stack_mut();
    stack.listen(Listen::on(9)).unwrap();
    let asking = TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR;
    let frame = probe.segment((PEER, US), &tcp((81, 9), (1, 0), asking), b"");
    let (ip, syn_ack) = headers(&probe.ask(&frame))[0];
    assert!(syn_ack.flags.contains(TcpFlags::ECE));
    assert_eq!(ip.traffic_class, 0xb8);
    let text = tcp((81, 9), (2, syn_ack.seq.wrapping_add(1)), TcpFlags::ACK);
    let frame = with_ce(probe.segment((PEER, US), &text, b"echo"));
    let answers = headers(&probe.ask(&frame));
    let (ip, answer) = answers[0];
    assert_eq!((answers.len(), ip.traffic_class), (1, 0xba));
    assert!(answer.flags.contains(TcpFlags::ECE), "{answer:?}");
    assert_eq!(probe.worker.counters().of(Counter::RxMarks), 1);
}

/// The frame of an IPv4 datagram, marked by a router (RFC 3168 5).
fn with_ce(mut frame: Vec<u8>) -> Vec<u8> {
    let header = &mut frame[Ethernet::LEN..][..20];
    header[1] |= 0b11;
    header[10..12].fill(0);
    let sum = Sum::new().add(header).finish();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    frame
}

#[test]
fn an_open_may_choose_the_address_and_every_segment_keeps_it() {
    let mut probe = probe(Settings::default());
    for (local, used) in [(None, US), (Some(US), US), (Some(US_TOO), US_TOO)] {
        let stack = probe.worker.stack_mut();
        let open = Open {
            local: local.map(|text| text.parse().unwrap()),
            ..Open::to("192.0.2.2:80".parse().unwrap())
        };
        let flow = stack.open(open).unwrap();
        let mut frames = probe.receive();
        let syn = headers(&frames)[0].1;
        let answer = tcp(
            (80, syn.src_port),
            (500, syn.seq.wrapping_add(1)),
            TcpFlags::SYN | TcpFlags::ACK,
        );
        let frame = probe.segment((PEER, used), &answer, b"");
        frames.extend(probe.ask(&frame));
        probe.worker.stack_mut().abort(flow);
        frames.extend(probe.receive());
        let headers = headers(&frames);
        assert!(headers.len() >= 3, "SYN, ACK, RST");
        for (header, tcp) in headers {
            assert_eq!(header.src, ip(&format!("{used}/24")), "{tcp:?}");
        }
    }
}

#[test]
fn a_port_can_be_listened_on_while_an_open_from_it_is_pending() {
    let mut probe = probe(Settings::default());
    let stack = probe.worker.stack_mut();
    let open = Open {
        local_port: Some(9),
        ..Open::to("192.0.2.2:80".parse().unwrap())
    };
    let flow = stack.open(open).unwrap();
    stack.listen(Listen::on(9)).unwrap();
    assert_eq!(segments(&probe.receive()).len(), 1);
    let other = probe.segment((PEER, US), &tcp((81, 9), (1, 0), TcpFlags::SYN), b"");
    let answers = segments(&probe.ask(&other));
    assert_eq!(answers[0].flags, TcpFlags::SYN | TcpFlags::ACK);
    // The one that is pending is not disturbed; a SYN from its peer is a simultaneous open.
    assert_eq!(probe.worker.stack().state(flow), Some(State::SynSent));
    let same = probe.segment((PEER, US), &tcp((80, 9), (1, 0), TcpFlags::SYN), b"");
    assert_eq!(segments(&probe.ask(&same)).len(), 1);
    assert_eq!(probe.worker.stack().state(flow), Some(State::SynReceived));
}

#[test]
fn source_quench_is_discarded_in_silence() {
    let mut probe = probe(Settings::default());
    let (flow, quoted) = open(&mut probe);
    let body = [&[0; 4], quoted.as_slice()].concat();
    let quench = Icmpv4::Other {
        kind: 4,
        code: 0,
        body: &body,
    };
    let frame = probe.icmpv4(("192.0.2.254", US), &quench);
    assert!(probe.ask(&frame).is_empty());
    assert_eq!(probe.discarded(Discard::IcmpTypeUnknown), 1);
    assert_eq!(probe.worker.stack().state(flow), Some(State::SynSent));
}

/// Opens a flow and answers the datagram that an ICMP error about it quotes.
fn open(probe: &mut Probe<Echo>) -> (FlowId, Vec<u8>) {
    let stack = probe.worker.stack_mut();
    let flow = stack
        .open(Open::to("192.0.2.2:80".parse().unwrap()))
        .unwrap();
    let syn = probe.receive();
    (flow, syn[0][14..42].to_vec())
}

#[test]
fn soft_errors_end_nothing_and_hard_ones_end_an_open() {
    let mut probe = probe(Settings::default());
    let router = ("192.0.2.254", US);
    let (flow, quoted) = open(&mut probe);
    let quoted = quoted.as_slice();
    let unreachable = |code| Icmpv4::Unreachable {
        code,
        next_hop_mtu: 0,
        quoted,
    };
    let pointer = 0;
    let soft = [
        unreachable(0),
        unreachable(1),
        unreachable(5),
        Icmpv4::TimeExceeded { code: 0, quoted },
        Icmpv4::TimeExceeded { code: 1, quoted },
        Icmpv4::ParameterProblem {
            code: 0,
            pointer,
            quoted,
        },
    ];
    for message in soft {
        let frame = probe.icmpv4(router, &message);
        assert!(probe.ask(&frame).is_empty());
        assert_eq!(
            probe.worker.stack().state(flow),
            Some(State::SynSent),
            "{message:?}"
        );
    }
    for (code, end) in [(2, End::Unreachable), (3, End::Refused)] {
        let (flow, quoted) = open(&mut probe);
        let message = Icmpv4::Unreachable {
            code,
            next_hop_mtu: 0,
            quoted: &quoted,
        };
        let frame = probe.icmpv4(router, &message);
        assert!(probe.ask(&frame).is_empty());
        assert_eq!(probe.worker.app().ends[&flow], [end], "{code}");
    }
}

#[test]
fn at_r1_the_way_is_looked_at_again() {
    // RFC 9293 3.8.3, MUST-20: the SYN goes again after 1, 3 and 7 s, and the third time is R1.
    let mut probe = probe(Settings::default());
    open(&mut probe);
    // A frame of a turn that did nothing else is seen with the next SYN, at 15 s.
    let mut asked_at = None;
    for step in 1..=170_u64 {
        probe.now += Duration::from_millis(100);
        let is_asked = |frame: &Vec<u8>| matches!(body(frame), Body::Arp(_));
        if probe.receive().iter().any(is_asked) {
            asked_at = asked_at.or(Some(step));
        }
    }
    assert!(
        asked_at.is_some_and(|step| step >= 70),
        "asked for the peer at {asked_at:?} tenths of a second"
    );
}
