//! A port that runs out of frames, or whose ring takes nothing for a while: what can wait waits, what
//! cannot is counted, and everything goes on afterwards.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;

use sim::apps::{Client, Echo};
use sim::{A4, B4, ip};
use tidegate_port::{
    Burst, Facts, Frame, Link, LinkConfig, LinkPort, Port, PortCounters, PortFrameCounts, WaitFds,
};
use tidegate_tcp::Settings;
use tidegate_wire::{Discard, ETHER_TYPE_IPV4, Ethernet, Icmpv4, Instant, Ip, PROTOCOL_ICMPV4};
use tidegate_worker::{App, Counter, Interface, Listen, Worker, WorkerConfig};

/// What the port has run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Frames,
    Room,
}

/// A port that lacks something in every second millisecond.
#[derive(Debug)]
struct Scarce {
    port: LinkPort,
    lack: Lack,
    now: Instant,
}

impl Scarce {
    fn lacks(&self, lack: Lack) -> bool {
        self.lack == lack && self.now.as_millis() % 2 == 1
    }
}

impl Port for Scarce {
    fn facts(&self) -> &Facts {
        self.port.facts()
    }

    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        self.now = now;
        self.port.rx_burst(burst, now);
    }

    fn tx_burst(&mut self, burst: &mut Burst, now: Instant) {
        if !self.lacks(Lack::Room) {
            self.port.tx_burst(burst, now);
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        if self.lacks(Lack::Frames) {
            None
        } else {
            self.port.take_frame()
        }
    }

    fn give_frame(&mut self, frame: Frame) {
        self.port.give_frame(frame);
    }

    fn frame_counts(&self) -> PortFrameCounts {
        self.port.frame_counts()
    }

    fn counters(&self) -> PortCounters {
        self.port.counters()
    }

    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>) {
        self.port.wait_fds(fds);
    }

    fn next_event(&self) -> Option<Instant> {
        self.port.next_event()
    }
}

fn worker<P: Port, A: App>(port: P, address: &str, app: A) -> Worker<P, A> {
    let addresses = vec![address.parse().unwrap()];
    let config = WorkerConfig {
        interfaces: vec![Interface::new(port.facts(), addresses, Vec::new())],
        settings: vec![Settings {
            time_wait: Duration::from_secs(2),
            ..Settings::default()
        }],
        echo_replies_per_second: 10_000,
        ..WorkerConfig::default()
    };
    Worker::new(config, vec![port], app).unwrap()
}

/// An exchange of 20 flows with a server whose port lacks something half of the time.
fn exchange(lack: Lack) {
    let (a, b) = Link::pair(LinkConfig::default()).unwrap();
    let scarce = Scarce {
        port: b,
        lack,
        now: Instant::ZERO,
    };
    let mut client = worker(a, A4, Client::default());
    let mut server = worker(scarce, B4, Echo::ready());
    server.stack_mut().listen(Listen::on(7)).unwrap();
    let (app, stack) = client.app_and_stack();
    for _ in 0..20 {
        app.open(stack, (ip(B4), 7).into(), 200_000);
    }
    let mut now = Instant::ZERO;
    while !client.app().is_done() {
        client.turn(now);
        server.turn(now);
        sim::check(&client);
        now += Duration::from_micros(200);
        assert!(now < Instant::from_secs(120), "it takes too long");
    }
    client.app().assert_complete();
    assert!(server.counters().of(Counter::TxWaits) > 0);
    assert_eq!(server.port(0).frame_counts().held, 0);
}

#[test]
fn flows_wait_for_frames() {
    exchange(Lack::Frames);
}

#[test]
fn flows_wait_for_room_in_the_ring() {
    exchange(Lack::Room);
}

/// An echo request for the worker at `A4`.
fn echo_request(port: &LinkPort, worker: &Worker<Scarce, Echo>) -> Vec<u8> {
    let ip = Ip {
        src: ip(B4),
        dst: ip(A4),
        hop_limit: 64,
        traffic_class: 0,
    };
    let ethernet = Ethernet {
        dst: worker.port(0).facts().mac,
        src: port.facts().mac,
        vlan: None,
        ether_type: ETHER_TYPE_IPV4,
    };
    let request = Icmpv4::EchoRequest {
        id: 1,
        seq: 1,
        text: b"",
    };
    let mut frame = vec![0; 14 + 20 + request.len()];
    ethernet.emit(&mut frame);
    ip.emit(PROTOCOL_ICMPV4, request.len(), &mut frame[14..]);
    request.emit(&mut frame[34..]);
    frame
}

/// Sends `count` echo requests, at most a burst, and answers how many came back.
fn ping(
    port: &mut LinkPort,
    worker: &mut Worker<Scarce, Echo>,
    now: Instant,
    count: usize,
) -> usize {
    let bytes = echo_request(port, worker);
    let mut burst = Burst::new();
    for _ in 0..count {
        let mut frame = port.take_frame().unwrap();
        frame.resize(bytes.len());
        frame.bytes_mut().copy_from_slice(&bytes);
        burst.push(frame);
    }
    port.tx_burst(&mut burst, now);
    worker.turn(now);
    port.rx_burst(&mut burst, now);
    let answered = burst.len();
    burst.drain(..).for_each(|frame| port.give_frame(frame));
    answered
}

#[test]
fn answers_that_cannot_be_sent_are_counted_by_reason() {
    let (port, mut other) = Link::pair(LinkConfig::default()).unwrap();
    let scarce = |lack| Scarce {
        port,
        lack,
        now: Instant::ZERO,
    };
    let mut worker = worker(scarce(Lack::Frames), A4, Echo::ready());
    let (good, bad) = (Instant::from_millis(1_000), Instant::from_millis(1_001));
    // The announcement is one more.
    assert_eq!(ping(&mut other, &mut worker, good, 10), 11);
    assert_eq!(ping(&mut other, &mut worker, bad, 10), 0);
    let counters = worker.counters();
    assert_eq!(counters.discarded(Discard::TxFramesExhausted), 10);

    let (port, mut other) = Link::pair(LinkConfig::default()).unwrap();
    let scarce = Scarce {
        port,
        lack: Lack::Room,
        now: Instant::ZERO,
    };
    let mut worker = self::worker(scarce, A4, Echo::ready());
    assert_eq!(ping(&mut other, &mut worker, good, 1), 2);
    // A burst waits, what comes after it is dropped.
    assert_eq!(ping(&mut other, &mut worker, bad, 40), 0);
    assert_eq!(ping(&mut other, &mut worker, bad, 40), 0);
    assert_eq!(worker.counters().discarded(Discard::TxRingFull), 16);
    assert_eq!(
        ping(&mut other, &mut worker, good + Duration::from_millis(2), 0),
        64
    );
}
