//! `trust_frames`: a tester that makes segments and knows nothing of ARP.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::Echo;
use sim::probe::{Probe, body, segments, tcp};
use tidegate_wire::{Body, Ethernet, MacAddr, TcpFlags};
use tidegate_worker::{Listen, WorkerConfig};

const US: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";

fn probe(trust_frames: bool) -> Probe<Echo> {
    let config = WorkerConfig {
        trust_frames,
        ..WorkerConfig::default()
    };
    let mut probe = Probe::new(Echo::ready(), config);
    probe.worker.stack_mut().listen(Listen::on(9)).unwrap();
    probe
}

/// Whom a frame is for.
fn to(frame: &[u8]) -> MacAddr {
    Ethernet::parse(frame).unwrap().0.dst
}

#[test]
fn a_segment_tells_where_its_sender_lives_only_where_frames_are_trusted() {
    for trusted in [false, true] {
        let mut probe = probe(trusted);
        let syn = probe.segment((PEER, US), &tcp((81, 9), (1, 0), TcpFlags::SYN), b"");
        // A SYN-ACK goes back where the SYN came from; no table is asked and none is filled.
        let frames = probe.ask(&syn);
        assert_eq!((frames.len(), to(&frames[0])), (1, probe.mac));
        let syn_ack = segments(&frames)[0];
        assert_eq!(syn_ack.flags, TcpFlags::SYN | TcpFlags::ACK);
        let text = tcp((81, 9), (2, syn_ack.seq.wrapping_add(1)), TcpFlags::ACK);
        let text = probe.segment((PEER, US), &text, b"text");
        let frames = probe.ask(&text);
        let is_asked_for = matches!(body(&frames[0]), Body::Arp(_));
        assert_eq!(is_asked_for, !trusted);
        if trusted {
            assert_eq!(to(&frames[0]), probe.mac);
        }
    }
}

#[test]
fn who_goes_on_sending_need_never_be_asked_for() {
    let mut probe = probe(true);
    let syn = probe.segment((PEER, US), &tcp((81, 9), (1, 0), TcpFlags::SYN), b"");
    let ack = segments(&probe.ask(&syn))[0].seq.wrapping_add(1);
    // Ten minutes, far longer than an answer to ARP is believed.
    for second in 0..60 {
        probe.now += Duration::from_secs(10);
        let text = tcp((81, 9), (2 + second, ack + second), TcpFlags::ACK);
        let text = probe.segment((PEER, US), &text, b"x");
        let frames = probe.ask(&text);
        assert!(!frames.is_empty());
        for frame in &frames {
            assert!(
                matches!(body(frame), Body::Tcp(..)),
                "{second}: no question"
            );
            assert_eq!(to(frame), probe.mac);
        }
    }
}

#[test]
fn what_is_known_is_not_replaced_and_no_router_is_taken_for_a_station() {
    let mut probe = probe(true);
    let right = probe.mac;
    let syn = probe.segment((PEER, US), &tcp((81, 9), (1, 0), TcpFlags::SYN), b"");
    assert_eq!(to(&probe.ask(&syn)[0]), right);
    probe.mac = MacAddr([2, 0, 0, 0, 0, 9]);
    let syn = probe.segment((PEER, US), &tcp((82, 9), (1, 0), TcpFlags::SYN), b"");
    assert_eq!(to(&probe.ask(&syn)[0]), right);
    // Somebody from elsewhere is answered by way of the router, which is asked for.
    let far = ("198.51.100.7", US);
    let syn = probe.segment(far, &tcp((83, 9), (1, 0), TcpFlags::SYN), b"");
    let syn_ack = segments(&probe.ask(&syn))[0];
    let text = tcp((83, 9), (2, syn_ack.seq.wrapping_add(1)), TcpFlags::ACK);
    let text = probe.segment(far, &text, b"text");
    let frames = probe.ask(&text);
    assert!(matches!(body(&frames[0]), Body::Arp(arp) if arp.target_ip.octets()[3] == 254));
}
