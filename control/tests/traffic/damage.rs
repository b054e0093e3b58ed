//! A bad path: frames of both directions are lost, doubled, overtaken and damaged on purpose.

use std::net::SocketAddr;
use std::thread;

use tidegate::admin::Flow;
use tidegate::testbed::Bed;
use tidegate::topology::{Service, Side};
use tidegate_port::host::{Offload, set_offload};

use crate::digest::{Text, receive};
use crate::kernel::{connect, exchange, join, listen, send};
use crate::setting::{assert_nothing_remains, back, flows, front, listener, proxies, stats, ways};
use crate::{TIDEGATE, seed, wait_until};

const LENGTH: u64 = 5_000_000;

const FAULT: &str = "[port.fault]\nloss = 0.02\nreorder = 0.02\nduplicate = 0.01\ncorrupt = 0.01\n";

/// Runs Tidegate with the damage on the port towards the client.
///
/// A damaged segment must not pass for a good one, so here checksums are whole: the client's kernel
/// computes them, and Tidegate verifies.
fn run_damaged(bed: &Bed, seed: u64, tables: &str) -> Service {
    bed.client()
        .run(|| set_offload("eth0", Offload::TxChecksum, false))
        .expect("veth computes checksums where it is told to");
    let front = Side::FRONT.port("auto").replace("partial", "verify");
    let text = format!(
        "[admin]\nsocket = \"{}\"\n{front}{FAULT}seed = {seed}\n{}{tables}",
        bed.folder().socket().display(),
        Side::BACK.port("auto"),
    );
    Service::start(TIDEGATE, bed.tidegate(), bed.folder(), &text).expect("it starts")
}

/// Each kind of damage was done, and noticed.
fn assert_damaged(bed: &Bed) {
    let stats = stats(bed);
    let drops = &stats.ports["front"].drops;
    assert!(drops["rx_fault"] > 0 && drops["tx_fault"] > 0, "{stats:#?}");
    assert!(stats.discards["tcp_checksum"].count > 0, "{stats:#?}");
    assert!(stats.counters["retransmits"] > 0, "{stats:#?}");
}

fn assert_echoed(bed: &Bed, to: SocketAddr) {
    let (sent, received) = exchange(&connect(bed, to), Text::new(11, LENGTH));
    assert_eq!(received, sent, "{to}");
}

#[test]
fn every_byte_comes_back_once_and_in_order() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let _tidegate = run_damaged(&bed, seed(3), &listener("echo", 7, "echo"));
    thread::scope(|scope| {
        for to in front(7) {
            let bed = &bed;
            scope.spawn(move || assert_echoed(bed, to));
        }
    });
    assert_damaged(&bed);
    assert_nothing_remains(&bed);
}

#[test]
fn every_byte_goes_through_a_proxy_once_and_in_order() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let servers = back(0, 8000).map(|at| listen(&bed, at));
    let _tidegate = run_damaged(&bed, seed(4), &proxies(back(0, 8000)));
    for (to, number) in &ways()[..2] {
        let (client, server) = join(&bed, *to, &servers[*number]);
        for (from, to) in [(&client, &server), (&server, &client)] {
            thread::scope(|scope| {
                let sending = scope.spawn(|| send(from, Text::new(12, LENGTH)));
                let received = receive(to).expect("the other end sends FIN");
                assert_eq!(received, sending.join().unwrap());
            });
        }
    }
    assert_damaged(&bed);
    assert_nothing_remains(&bed);
}

/// Whether Tidegate has text for somebody who has no room for it.
fn has_closed_window(bed: &Bed) -> bool {
    let probes = |flow: &Flow| {
        flow.timer
            .as_ref()
            .is_some_and(|timer| timer.name == "persist")
    };
    flows(bed).iter().any(probes)
}

#[test]
fn text_goes_on_after_a_closed_window() {
    let Some(bed) = Bed::new(TIDEGATE) else {
        return;
    };
    let servers = back(0, 8000).map(|at| listen(&bed, at));
    let _tidegate = run_damaged(&bed, seed(5), &proxies(back(0, 8000)));
    for (to, number) in &ways()[..2] {
        let (client, server) = join(&bed, *to, &servers[*number]);
        // Each waits for the other to read; the news that it does may be lost like anything else.
        for (from, to) in [
            (client.try_clone(), server.try_clone()),
            (Ok(server), Ok(client)),
        ] {
            let (from, to) = (from.unwrap(), to.unwrap());
            let sending = thread::spawn(move || send(&from, Text::new(13, LENGTH)));
            wait_until("the window is closed", || has_closed_window(&bed));
            let received = receive(&to).expect("the other end sends FIN");
            assert_eq!(received, sending.join().unwrap());
        }
    }
    assert_nothing_remains(&bed);
}
