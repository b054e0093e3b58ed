//! A connection that ends while text of it waits for an application that itself waits.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use sim::apps::Echo;
use sim::probe::{Probe, segments, tcp};
use tidegate_tcp::{End, Settings};
use tidegate_wire::{ArpOp, TcpFlags};
use tidegate_worker::{Listen, WorkerConfig};

const US: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";
const FIN_ACK: TcpFlags = TcpFlags::FIN.union(TcpFlags::ACK);
const RST_ACK: TcpFlags = TcpFlags::RST.union(TcpFlags::ACK);

#[test]
fn an_echo_that_waits_for_room_is_not_kept_by_a_peer_that_resets() {
    let config = WorkerConfig {
        settings: vec![Settings::default().with_rmem(4_096).with_wmem(4_096)],
        ..WorkerConfig::default()
    };
    let mut probe = Probe::new(Echo::ready(), config);
    probe.worker.stack_mut().listen(Listen::on(7)).unwrap();
    let frame = probe.arp(ArpOp::Request, PEER, US);
    probe.ask(&frame);
    let ask = |probe: &mut Probe<Echo>, seq, ack, flags, text: &[u8]| {
        let frame = probe.segment((PEER, US), &tcp((81, 7), (seq, ack), flags), text);
        segments(&probe.ask(&frame))
    };
    let ack = ask(&mut probe, 1, 0, TcpFlags::SYN, b"")[0]
        .seq
        .wrapping_add(1);
    ask(&mut probe, 2, ack, TcpFlags::ACK, b"");
    // Nothing of what comes back is acknowledged: the send queue is full, and then text waits.
    let mut seq = 2;
    for _ in 0..6 {
        ask(&mut probe, seq, ack, TcpFlags::ACK, &[7; 1_024]);
        seq += 1_024;
    }
    let flow = probe.worker.app().accepted[0];
    assert!(probe.worker.stack().readable(flow) > 0);
    ask(&mut probe, seq, ack, FIN_ACK, b"");
    ask(&mut probe, seq + 1, ack, RST_ACK, b"");
    assert_eq!(probe.worker.app().ends[&flow], [End::Reset]);
    assert_eq!(probe.worker.stack().flows(), 0);
    let memory = probe.worker.stack().memory();
    assert_eq!(memory.blocks_free, memory.blocks_total);
}
