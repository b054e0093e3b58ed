//! The mailbox, and workers that run on threads of their own.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::time::Duration;
use std::thread;

use crossbeam::channel::{Receiver, bounded};
use sim::apps::{Client, Echo};
use sim::{B4, Net, Plan, ip};
use tidegate_port::{Impairment, Port};
use tidegate_tcp::{End, State};
use tidegate_worker::{
    App, Command, Counter, FlowId, Idle, Interface, Listen, ListenError, ListenerId, PostError,
    SetupError, Stack, Worker, WorkerConfig,
};

const LONG: Duration = Duration::from_secs(60);

/// Posts a command that is answered, lets the worker obey, and takes the answer.
fn ask<T>(
    net: &mut Net<Client, Echo>,
    command: impl FnOnce(crossbeam::channel::Sender<T>) -> Command<()>,
) -> T {
    let (reply, answer) = bounded(1);
    net.b.mailbox().post(command(reply)).unwrap();
    net.run_for(Duration::from_millis(1));
    answer
        .try_recv()
        .expect("a command is obeyed at the end of the turn")
}

fn net() -> Net<Client, Echo> {
    let delay = Impairment {
        delay: Duration::from_millis(1),
        ..Impairment::default()
    };
    let plan = Plan::new(1).impaired(delay);
    plan.build(Client::default(), Echo::ready())
}

#[test]
fn listeners_are_opened_told_of_and_closed_by_command() {
    let mut net = net();
    let listen = |reply| Command::Listen {
        listen: Listen::on(7),
        reply,
    };
    let id = ask(&mut net, listen).unwrap();
    assert_eq!(ask(&mut net, listen), Err(ListenError::InUse));
    let rows = ask(&mut net, |reply| Command::Listeners { reply });
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].id, rows[0].listen), (id, Listen::on(7)));
    net.b
        .mailbox()
        .post(Command::Unlisten { listener: id })
        .unwrap();
    let rows = ask(&mut net, |reply| Command::Listeners { reply });
    assert!(rows.is_empty());
}

#[test]
fn flows_are_told_of_page_by_page() {
    let mut net = net();
    let listener = net.b.stack_mut().listen(Listen::on(7)).unwrap();
    let (client, stack) = net.a.app_and_stack();
    for _ in 0..25 {
        client.open(stack, (ip(B4), 7).into(), 5_000_000);
    }
    net.run_until(LONG, |net| net.b.app().accepted.len() == 25);
    net.run_for(Duration::from_millis(1));
    let (mut from_slot, mut rows) = (0, Vec::new());
    loop {
        let page = ask(&mut net, |reply| Command::Flows {
            from_slot,
            max: 10,
            reply,
        });
        assert!(page.rows.len() <= 10);
        rows.extend(page.rows);
        match page.next_slot {
            Some(next) => from_slot = next,
            None => break,
        }
    }
    assert_eq!(rows.len(), 25);
    for row in &rows {
        assert_eq!(row.listener, Some(listener));
        assert_eq!(row.tcb.state, State::Established);
        assert_eq!(row.tcb.tuple.local_port, 7);
        assert_eq!(net.b.stack().tuple(row.flow.unwrap()), Some(row.tcb.tuple));
        assert!(row.tcb.cwnd > 0 && row.tcb.rto > Duration::ZERO);
    }
}

#[test]
fn counts_are_those_between_two_turns() {
    let mut net = net();
    net.b.stack_mut().listen(Listen::on(7)).unwrap();
    let (client, stack) = net.a.app_and_stack();
    client.open(stack, (ip(B4), 7).into(), 100_000);
    net.run_until_empty(LONG);
    let counts = ask(&mut net, |reply| Command::Counts { reply });
    let of = |name: &str| counts.of(name).unwrap();
    assert_eq!(of("accepted"), 1);
    assert_eq!(of("ended_closed"), 1);
    assert_eq!(of("rx_text_bytes"), 100_000);
    assert_eq!(of("rx_frames"), of("port.link-b.rx_frames"));
    let discarded: u64 = counts
        .iter()
        .filter(|(name, _)| name.starts_with("discard."))
        .map(|(_, n)| n)
        .sum();
    assert_eq!(
        of("rx_frames"),
        of("delivered") + of("answered") + discarded
    );
    let places =
        ["free", "fill", "held", "tx"].map(|place| of(&format!("port.link-b.frames_{place}")));
    assert_eq!(places.iter().sum::<u64>(), of("port.link-b.frames_total"));
}

#[test]
fn an_answer_nobody_waits_for_is_dropped() {
    let mut net = net();
    let (reply, answer) = bounded(1);
    drop(answer);
    net.b.mailbox().post(Command::Counts { reply }).unwrap();
    net.run_for(Duration::from_millis(1));
    assert_eq!(net.b.counters().of(Counter::Commands), 1);
}

#[test]
fn draining_lets_flows_end_and_then_stops() {
    let mut net = net();
    net.b.stack_mut().listen(Listen::on(7)).unwrap();
    let (client, stack) = net.a.app_and_stack();
    let flow = client.open(stack, (ip(B4), 7).into(), 3_000_000);
    net.run_until(LONG, |net| !net.b.app().accepted.is_empty());
    net.b.mailbox().post(Command::Drain).unwrap();
    net.run_for(Duration::from_millis(5));
    assert!(!net.b.has_stopped());
    let (client, stack) = net.a.app_and_stack();
    let late = client.open(stack, (ip(B4), 7).into(), 10);
    assert!(net.run_until(LONG, |net| net.b.has_stopped()));
    assert_eq!(net.a.app().trips[&late].ends, [End::Refused]);
    net.b.app().assert_ends(End::Closed);
    net.run_until(LONG, |net| net.a.app().is_done());
    assert_eq!(net.a.app().trips[&flow].received, 3_000_000);
}

/// Opens flows when it is told to, and says when they have ended.
#[derive(Debug, Default)]
struct Told {
    client: Client,
    done: Option<crossbeam::channel::Sender<usize>>,
}

impl App for Told {
    type Command = (usize, crossbeam::channel::Sender<usize>);

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, listener: ListenerId) {
        self.client.on_accept(stack, flow, listener);
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        self.client.on_connected(stack, flow);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        self.client.on_text(stack, flow, text)
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        self.client.on_writable(stack, flow);
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        self.client.on_peer_closed(stack, flow);
    }

    fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End) {
        self.client.on_end(stack, flow, end);
        if self.client.is_done()
            && let Some(done) = self.done.take()
        {
            self.client.assert_complete();
            done.send(self.client.trips.len()).unwrap();
        }
    }

    fn on_command(&mut self, stack: &mut Stack, (flows, done): Self::Command) {
        self.done = Some(done);
        for _ in 0..flows {
            self.client.open(stack, (ip(B4), 7).into(), 20_000);
        }
    }
}

/// Two workers on two threads, over a link; answers when `flows` exchanges are done.
fn run_on_threads(idle: Idle) {
    let mut plan = Plan::new(3);
    plan.config.idle = idle;
    let net = plan.build(Told::default(), Echo::ready());
    let (a, b) = net.into_workers();
    let mailboxes = (a.mailbox(), b.mailbox());
    let counters = b.counters();
    thread::scope(|scope| {
        let a = scope.spawn(|| run(a));
        let b = scope.spawn(|| run(b));
        let (reply, answer) = bounded(1);
        mailboxes
            .1
            .post(Command::Listen {
                listen: Listen::on(7),
                reply,
            })
            .unwrap();
        answer.recv().unwrap().unwrap();
        let (done, all_done): (_, Receiver<usize>) = bounded(1);
        mailboxes.0.post(Command::App((10, done))).unwrap();
        assert_eq!(all_done.recv().unwrap(), 10);
        mailboxes.0.post(Command::Stop).unwrap();
        mailboxes.1.post(Command::Stop).unwrap();
        a.join().unwrap();
        b.join().unwrap();
    });
    assert_eq!(counters.of(Counter::Accepted), 10);
    assert_eq!(mailboxes.0.post(Command::Stop), Err(PostError::Stopped));
}

fn run<A: App>(mut worker: Worker<tidegate_port::LinkPort, A>) {
    worker.run().unwrap();
}

#[test]
fn workers_run_on_threads_and_sleep_in_between() {
    run_on_threads(Idle::Sleep);
    run_on_threads(Idle::default());
}

#[test]
fn an_mtu_that_no_frame_holds_is_refused() {
    let (port, _other) = tidegate_port::Link::pair(tidegate_port::LinkConfig::default()).unwrap();
    let mut interface = Interface::new(port.facts(), vec![B4.parse().unwrap()], Vec::new());
    interface.mtu = 9_000;
    let config = WorkerConfig {
        interfaces: vec![interface],
        ..WorkerConfig::default()
    };
    let refused = Worker::new(config, vec![port], Echo::ready());
    let error = refused.map(|_| ()).unwrap_err();
    assert!(
        matches!(error, SetupError::Mtu { mtu: 9_000, .. }),
        "{error}"
    );
}

#[test]
fn a_configuration_that_does_not_work_is_refused() {
    let (port, _other) = tidegate_port::Link::pair(tidegate_port::LinkConfig::default()).unwrap();
    let refused = Worker::new(WorkerConfig::default(), vec![port], Echo::ready());
    let error = refused.map(|_| ()).unwrap_err();
    assert!(matches!(
        error,
        SetupError::Interfaces {
            ports: 1,
            interfaces: 0
        }
    ));
    assert!(
        error
            .to_string()
            .contains("0 interfaces are configured for 1 ports")
    );
}
