//! Listeners and opens: queues that are full, listeners that are closed, ports and addresses that
//! cannot be had.

#![allow(
    clippy::unwrap_used,
    reason = "test code stops where something is missing"
)]

#[cfg(test)]
mod sim;

use core::net::SocketAddr;
use core::time::Duration;

use sim::apps::{Client, Echo};
use sim::{A4, B4, Net, Plan, ip};
use tidegate_port::{End as LinkEnd, Impairment};
use tidegate_tcp::{End, SendError, State};
use tidegate_wire::Discard;
use tidegate_worker::{
    Counter, Listen, ListenError, ListenerId, Open, OpenError, SettingsId, SynCookies,
};

const SECOND: Duration = Duration::from_secs(1);

fn server() -> SocketAddr {
    (ip(B4), 7).into()
}

/// A client, and a server that listens as told.
fn net(plan: Plan, is_ready: bool, listen: Listen) -> (Net<Client, Echo>, ListenerId) {
    let echo = Echo {
        is_ready,
        ..Echo::default()
    };
    let mut net = plan.build(Client::default(), echo);
    let listener = net.b.stack_mut().listen(listen).unwrap();
    (net, listener)
}

fn open(net: &mut Net<Client, Echo>, flows: usize, bytes: u64) {
    let (client, stack) = net.a.app_and_stack();
    for _ in 0..flows {
        client.open(stack, server(), bytes);
    }
}

#[test]
fn a_port_without_listener_refuses() {
    let (mut net, _) = net(Plan::new(1), true, Listen::on(8));
    open(&mut net, 1, 10);
    net.run_until_empty(SECOND * 5);
    let trip = net.a.app().trips.values().next().unwrap();
    assert_eq!(trip.ends, [End::Refused]);
    let counters = net.b.counters();
    assert_eq!(counters.discarded(Discard::TcpNoListener), 1);
    assert_eq!(counters.of(Counter::ResetsSent), 1);
    assert_eq!(net.a.counters().of(Counter::EndedRefused), 1);
}

#[test]
fn flows_wait_in_the_accept_queue_until_the_application_is_ready() {
    let (mut net, _) = net(Plan::new(2), false, Listen::on(7));
    open(&mut net, 5, 10_000);
    net.run_for(SECOND);
    assert!(net.b.app().accepted.is_empty());
    assert_eq!(net.b.counters().of(Counter::AcceptQueued), 5);
    assert_eq!(net.b.counters().in_state(State::CloseWait), 5);
    net.b.app_mut().is_ready = true;
    net.run_until_empty(SECOND * 60);
    // The text that came while they waited was not lost.
    net.a.app().assert_complete();
    net.b.app().assert_ends(End::Closed);
}

#[test]
fn a_full_accept_queue_drops_the_last_ack_and_both_can_wait() {
    let listen = Listen {
        backlog: 2,
        ..Listen::on(7)
    };
    let (mut net, _) = net(Plan::new(3), false, listen);
    open(&mut net, 4, 100);
    net.run_for(SECOND / 2);
    let counters = net.b.counters();
    assert_eq!(counters.of(Counter::AcceptQueued), 2);
    assert_eq!(counters.in_state(State::SynReceived), 2);
    assert!(counters.discarded(Discard::AcceptQueueFull) >= 2);
    net.b.app_mut().is_ready = true;
    net.run_until_empty(SECOND * 60);
    net.a.app().assert_complete();
    assert_eq!(net.b.app().accepted.len(), 4);
}

#[test]
fn abort_on_overflow_resets_instead() {
    let listen = Listen {
        backlog: 1,
        abort_on_overflow: true,
        ..Listen::on(7)
    };
    let (mut net, _) = net(Plan::new(4), false, listen);
    open(&mut net, 3, 100);
    net.run_for(SECOND / 2);
    assert_eq!(net.b.counters().of(Counter::AcceptAborted), 2);
    assert_eq!(net.b.counters().of(Counter::HandshakesLost), 2);
    assert_eq!(net.a.counters().of(Counter::EndedReset), 2);
    net.b.app_mut().is_ready = true;
    net.run_until_empty(SECOND * 60);
    assert_eq!(net.b.app().accepted.len(), 1);
}

#[test]
fn the_syn_queue_is_bounded_and_empties_itself() {
    let listen = Listen {
        syn_backlog: 3,
        syn_cookies: SynCookies::Off,
        ..Listen::on(7)
    };
    let (mut net, _) = net(Plan::new(5), true, listen);
    open(&mut net, 1, 0);
    net.run_for(SECOND / 2);
    // From now on nothing comes back, so no handshake is ever finished. The neighbours know each
    // other by now.
    let dead = Impairment {
        loss: 1.0,
        ..Impairment::default()
    };
    net.link.set_impairment(LinkEnd::B, dead);
    open(&mut net, 10, 0);
    net.run_for(SECOND / 2);
    let counters = net.b.counters();
    assert_eq!(counters.in_state(State::SynReceived), 3);
    assert_eq!(counters.discarded(Discard::SynQueueFull), 7);
    // The SYN-ACKs are given up after 63 s, the SYNs after 127 s.
    net.run_until_empty(SECOND * 600);
    assert!(net.a.app().is_done());
    assert!(counters.of(Counter::HandshakesLost) >= 3);
    assert_eq!(counters.of(Counter::Accepted), 1);
}

#[test]
fn a_closed_listener_lets_established_flows_go_on() {
    let (mut net, listener) = net(Plan::new(6), true, Listen::on(7));
    open(&mut net, 2, 0);
    let (client, stack) = net.a.app_and_stack();
    let slow = client.open(stack, server(), 2_000_000);
    net.run_until(SECOND, |net| net.b.app().accepted.len() == 3);
    net.b.stack_mut().unlisten(listener);
    let (client, stack) = net.a.app_and_stack();
    let late = client.open(stack, server(), 10);
    net.run_until_empty(SECOND * 60);
    let trips = &net.a.app().trips;
    assert_eq!(trips[&late].ends, [End::Refused]);
    assert_eq!(trips[&slow].received, 2_000_000);
    net.b.app().assert_ends(End::Closed);
    assert_eq!(net.b.stack().listener_tag(listener), None);
    let again = net.b.stack_mut().listen(Listen::on(7)).unwrap();
    assert_ne!(again, listener);
}

#[test]
fn a_closed_listener_takes_its_queue_along() {
    let (mut net, listener) = net(Plan::new(7), false, Listen::on(7));
    open(&mut net, 3, 100);
    net.run_for(SECOND / 2);
    net.b.stack_mut().unlisten(listener);
    net.run_until_empty(SECOND * 60);
    assert_eq!(net.a.counters().of(Counter::EndedReset), 3);
    assert!(
        net.b.app().ends.is_empty(),
        "nothing is told of flows that were never given"
    );
}

#[test]
fn listening_twice_or_elsewhere_is_refused() {
    let (mut net, _) = net(Plan::new(8), true, Listen::on(7));
    let mut listen = |listen| net.b.stack_mut().listen(listen);
    let elsewhere = Listen {
        address: Some(ip(A4)),
        ..Listen::on(9)
    };
    let unset = Listen {
        settings: SettingsId(9),
        ..Listen::on(9)
    };
    assert_eq!(listen(Listen::on(7)), Err(ListenError::InUse));
    assert_eq!(listen(elsewhere), Err(ListenError::NotOurAddress));
    assert_eq!(listen(unset), Err(ListenError::NoSuchSettings));
}

#[test]
fn opens_that_cannot_be_are_refused_at_once() {
    let mut plan = Plan::new(9);
    plan.config.flows_max = 4;
    plan.config.local_ports = 40_000..=40_001;
    let (mut net, _) = net(plan, true, Listen::on(7));
    let stack = net.a.stack_mut();
    for (to, error) in [
        ("198.51.100.1:80", OpenError::NoRoute),
        ("224.0.0.1:80", OpenError::InvalidRemote),
        ("192.0.2.255:80", OpenError::InvalidRemote),
        ("192.0.2.1:80", OpenError::InvalidRemote),
        ("192.0.2.2:0", OpenError::InvalidRemote),
    ] {
        assert_eq!(
            stack.open(Open::to(to.parse().unwrap())),
            Err(error),
            "{to}"
        );
    }
    let elsewhere = Open {
        local: Some(ip(B4)),
        ..Open::to(server())
    };
    assert_eq!(stack.open(elsewhere), Err(OpenError::InvalidLocal));
    let at_port = Open {
        local_port: Some(5_000),
        ..Open::to(server())
    };
    let first = stack.open(at_port).unwrap();
    assert_eq!(stack.tuple(first).unwrap().local_port, 5_000);
    assert_eq!(stack.open(at_port), Err(OpenError::PortInUse));
    for _ in 0..2 {
        stack.open(Open::to(server())).unwrap();
    }
    assert_eq!(stack.open(Open::to(server())), Err(OpenError::NoPortLeft));
    stack.open(Open::to((ip(B4), 8).into())).unwrap();
    let full = stack.open(Open::to((ip(B4), 9).into()));
    assert_eq!(full, Err(OpenError::TableFull));
    assert_eq!(net.a.counters().of(Counter::OpensRefused), 9);
}

#[test]
fn a_full_table_refuses_syns_and_recycles_time_wait() {
    let mut plan = Plan::new(10);
    plan.settings.time_wait = SECOND * 60;
    let (mut net, _) = net(plan.clone(), true, Listen::on(7));
    // The side that closes first, here the client, has the TIME_WAIT.
    open(&mut net, 100, 10);
    net.run_until(SECOND * 5, |net| net.a.app().is_done());
    assert_eq!(net.a.counters().in_state(State::TimeWait), 100);
    drop(net);

    plan.config.flows_max = 100;
    plan.config.time_wait_max = 40;
    let (mut net, _) = self::net(plan, true, Listen::on(7));
    for _ in 0..3 {
        open(&mut net, 60, 10);
        let is_done = |net: &Net<Client, Echo>| net.a.app().is_done();
        assert!(net.run_until(SECOND * 5, is_done));
        net.a.app().assert_complete();
        assert!(net.a.counters().in_state(State::TimeWait) <= 40);
    }
    assert!(net.a.counters().of(Counter::TimeWaitRecycled) >= 120);
}

#[test]
fn syns_beyond_the_flow_table_are_counted() {
    let mut plan = Plan::new(11);
    plan.config.flows_max = 200;
    let mut net = plan.build(Client::default(), Echo::ready());
    net.b.stack_mut().listen(Listen::on(7)).unwrap();
    // 150 that stay, then 100 more on the same worker do not fit into 200.
    let (client, stack) = net.a.app_and_stack();
    for _ in 0..150 {
        client.open(stack, server(), 10);
    }
    for _ in 0..50 {
        client.open(stack, server(), 10);
    }
    assert_eq!(stack.open(Open::to(server())), Err(OpenError::TableFull));
    net.run_until_empty(SECOND * 60);
    net.a.app().assert_complete();
}

#[test]
fn an_abort_is_told_to_both_sides_once_and_later() {
    let (mut net, _) = net(Plan::new(12), true, Listen::on(7));
    open(&mut net, 1, 1_000_000);
    net.run_until(SECOND, |net| !net.b.app().accepted.is_empty());
    let flow = *net.a.app().trips.keys().next().unwrap();
    let stack = net.a.stack_mut();
    stack.abort(flow);
    assert_eq!(stack.send(flow, b"more"), Err(SendError::NoConnection));
    assert!(
        net.a.app().trips[&flow].ends.is_empty(),
        "not inside the call"
    );
    net.run_until_empty(SECOND * 60);
    assert_eq!(net.a.app().trips[&flow].ends, [End::Aborted]);
    net.b.app().assert_ends(End::Reset);
    assert_eq!(net.a.stack().state(flow), None);
    assert_eq!(net.a.stack().tuple(flow), None);
}

#[test]
fn an_open_that_is_given_up_ends_too() {
    let mut plan = Plan::new(13);
    plan.link.a_to_b.loss = 1.0;
    let (mut net, _) = net(plan, true, Listen::on(7));
    let (client, stack) = net.a.app_and_stack();
    let closed = client.open(stack, server(), 10);
    let aborted = client.open(stack, server(), 10);
    stack.close(closed);
    stack.abort(aborted);
    net.run_until_empty(SECOND * 60);
    for flow in [closed, aborted] {
        assert_eq!(net.a.app().trips[&flow].ends, [End::Aborted]);
    }
}
