//! A flood of SYNs from everywhere while a real client is served (RFC 4987): the records are bounded,
//! the oldest makes room, cookies do the rest, and few SYN-ACKs are provoked by a SYN.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::Echo;
use sim::probe::{Probe, segments, tcp};
use tidegate_tcp::State;
use tidegate_wire::{ArpOp, Discard, Icmpv4, Tcp, TcpFlags};
use tidegate_worker::{Counter, Listen, SynCookies, WorkerConfig};

const US: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";

fn probe(is_ready: bool, listen: Listen) -> Probe<Echo> {
    let echo = Echo {
        is_ready,
        ..Echo::default()
    };
    let mut probe = Probe::new(echo, WorkerConfig::default());
    probe.worker.stack_mut().listen(listen).unwrap();
    let frame = probe.arp(ArpOp::Request, PEER, US);
    assert_eq!(probe.ask(&frame).len(), 1);
    probe
}

fn ask(probe: &mut Probe<Echo>, header: &Tcp, text: &[u8]) -> Vec<Tcp> {
    let frame = probe.segment((PEER, US), header, text);
    segments(&probe.ask(&frame))
}

fn of(probe: &Probe<Echo>, counter: Counter) -> u64 {
    probe.worker.counters().of(counter)
}

fn half_open(probe: &Probe<Echo>) -> u64 {
    probe.worker.counters().in_state(State::SynReceived)
}

fn syn(port: u16) -> Tcp {
    tcp((port, 7), (100, 0), TcpFlags::SYN)
}

fn pass(probe: &mut Probe<Echo>, time: Duration) -> Vec<Tcp> {
    probe.now += time;
    segments(&probe.receive())
}

/// 100 000 SYNs from random sources, 20 000 a second, and a client every 1000 SYNs.
#[test]
fn a_hundred_thousand_syns_keep_no_client_out() {
    let listen = Listen {
        syn_backlog: 256,
        ..Listen::on(7)
    };
    let mut probe = probe(true, listen);
    let (mut answers, mut clients) = (0, 0u16);
    for n in 0..100_000u32 {
        let mixed = n.wrapping_mul(0x9e37_79b1);
        let [a, b, c, d] = mixed.to_be_bytes();
        let src = format!("{}.{a}.{b}.{c}", 11 + d % 100);
        let port = u16::try_from(mixed >> 16).unwrap().max(1);
        let header = tcp((port, 7), (mixed, 0), TcpFlags::SYN);
        let frame = probe.segment((&src, US), &header, b"");
        answers += segments(&probe.ask(&frame)).len();
        assert!(half_open(&probe) <= 256);
        probe.now += Duration::from_micros(50);
        if n % 1_000 != 999 {
            continue;
        }
        clients += 1;
        let answer = *ask(&mut probe, &syn(clients), b"").last().unwrap();
        let ack = tcp(
            (clients, 7),
            (101, answer.seq.wrapping_add(1)),
            TcpFlags::ACK,
        );
        let is_echo = |tcp: &Tcp| tcp.dst_port == clients && tcp.ack == 105;
        assert!(ask(&mut probe, &ack, b"real").iter().any(is_echo));
    }
    assert_eq!(probe.worker.app().accepted.len(), usize::from(clients));
    assert_eq!(probe.worker.stack().flows(), u32::from(clients) + 256);
    // A SYN that is kept goes again a few times at most before it makes room; a cookie never.
    assert!(answers < 102_000, "{answers} SYN-ACKs");
    assert!(of(&probe, Counter::SyncookiesSent) > 90_000);
    assert!(of(&probe, Counter::HalfOpenRecycled) > 500);
    assert_eq!(probe.discarded(Discard::SynQueueFull), 0);
    probe.worker.publish();
    let neighbours = probe.worker.counters().snapshot().of("neighbours");
    assert!(neighbours <= Some(2), "the flood fills no other table");
}

#[test]
fn only_one_that_nobody_answered_makes_room() {
    let listen = Listen {
        syn_backlog: 2,
        syn_cookies: SynCookies::Off,
        ..Listen::on(7)
    };
    let mut probe = probe(true, listen);
    let first = ask(&mut probe, &syn(1), b"")[0];
    pass(&mut probe, Duration::from_millis(500));
    ask(&mut probe, &syn(2), b"");
    assert!(ask(&mut probe, &syn(3), b"").is_empty(), "both are fresh");
    assert_eq!(probe.discarded(Discard::SynQueueFull), 1);
    // At 1 s the first SYN-ACK goes again, the second one half a second later.
    let again = pass(&mut probe, Duration::from_millis(510));
    assert_eq!((again.len(), again[0].dst_port), (1, 1));
    assert_eq!(ask(&mut probe, &syn(3), b"").len(), 1);
    assert_eq!(of(&probe, Counter::HalfOpenRecycled), 1);
    assert_eq!(half_open(&probe), 2);
    // The first is gone; the second is still there.
    let ack = tcp((1, 7), (101, first.seq.wrapping_add(1)), TcpFlags::ACK);
    assert_eq!(ask(&mut probe, &ack, b"")[0].flags, TcpFlags::RST);
    assert_eq!(ask(&mut probe, &syn(2), b"").len(), 1, "answered again");
}

#[test]
fn a_syn_ack_goes_again_five_times_and_then_the_record_goes() {
    let mut probe = probe(true, Listen::on(7));
    ask(&mut probe, &syn(1), b"");
    for wait in [1, 2, 4, 8, 16] {
        assert!(pass(&mut probe, Duration::from_millis(wait * 1_000 - 5)).is_empty());
        assert_eq!(
            pass(&mut probe, Duration::from_millis(10)).len(),
            1,
            "{wait}"
        );
    }
    assert_eq!(half_open(&probe), 1);
    assert!(pass(&mut probe, Duration::from_secs(33)).is_empty());
    assert_eq!(half_open(&probe), 0);
    assert_eq!(of(&probe, Counter::HandshakesLost), 1);
    assert_eq!(of(&probe, Counter::Retransmits), 5);
}

#[test]
fn a_full_accept_queue_leaves_the_record_as_it_is() {
    let listen = Listen {
        backlog: 1,
        ..Listen::on(7)
    };
    let mut probe = probe(false, listen);
    let acks = [1, 2].map(|port| {
        let answer = ask(&mut probe, &syn(port), b"")[0];
        tcp((port, 7), (101, answer.seq.wrapping_add(1)), TcpFlags::ACK)
    });
    for ack in &acks {
        assert!(ask(&mut probe, ack, b"").is_empty());
    }
    assert_eq!(probe.discarded(Discard::AcceptQueueFull), 1);
    assert_eq!(half_open(&probe), 1);
    // The SYN-ACK goes again, and when there is room its answer is taken.
    let again = pass(&mut probe, Duration::from_millis(1_010));
    assert_eq!((again.len(), again[0].dst_port), (1, 2));
    probe.worker.app_mut().is_ready = true;
    probe.receive();
    ask(&mut probe, &acks[1], b"");
    assert_eq!(probe.worker.app().accepted.len(), 2);
    assert_eq!(half_open(&probe), 0);
}

#[test]
fn a_listener_that_is_closed_takes_its_half_open_connections_along() {
    let mut probe = probe(true, Listen::on(7));
    let other = probe.worker.stack_mut().listen(Listen::on(8)).unwrap();
    for port in 1..=5 {
        ask(&mut probe, &syn(port), b"");
        ask(&mut probe, &tcp((port, 8), (100, 0), TcpFlags::SYN), b"");
    }
    assert_eq!(half_open(&probe), 10);
    probe.worker.stack_mut().unlisten(other);
    assert_eq!(half_open(&probe), 5);
    assert_eq!(probe.worker.stack().flows(), 5);
    let again = pass(&mut probe, Duration::from_millis(1_010));
    assert!(again.iter().all(|tcp| tcp.src_port == 7));
    assert_eq!(again.len(), 5);
}

#[test]
fn icmp_that_says_unreachable_ends_a_half_open_connection() {
    let mut probe = probe(true, Listen::on(7));
    let frame = probe.segment((PEER, US), &syn(1), b"");
    let answers = probe.ask(&frame);
    let seq = segments(&answers)[0].seq;
    let error = |probe: &Probe<Echo>, seq: u32| {
        // The datagram of the SYN-ACK, as a router quotes it.
        let mut quoted = answers[0][14..14 + 28].to_vec();
        quoted[24..28].copy_from_slice(&seq.to_be_bytes());
        let message = Icmpv4::Unreachable {
            code: 2,
            next_hop_mtu: 0,
            quoted: &quoted,
        };
        probe.icmpv4((PEER, US), &message)
    };
    let forged = error(&probe, seq.wrapping_add(5));
    probe.ask(&forged);
    assert_eq!(probe.discarded(Discard::IcmpNotInFlight), 1);
    assert_eq!(half_open(&probe), 1);
    let real = error(&probe, seq);
    probe.ask(&real);
    assert_eq!(half_open(&probe), 0);
    assert_eq!(of(&probe, Counter::IcmpErrors), 1);
}
