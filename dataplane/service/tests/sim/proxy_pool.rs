//! The proxy and its pool: whose turn it is, and what happens when a backend does not take a client.

use core::net::SocketAddr;
use core::time::Duration;

use tidegate_service::BackendCounts;
use tidegate_tcp::End;
use tidegate_worker::{Listen, SynCookies};

use crate::net::{Net, Plan, VERSIONS, Version, backend_at, clean, pool, proxy, rough, service_at};
use crate::peers::{Closes, Script};

const PORT: u16 = 80;
const ANSWER: u64 = 100;
/// Where nobody listens: the connection is refused.
const REFUSES: u16 = 9_000;
/// Where a listener drops every SYN.
const SILENT: u16 = 9_001;

/// A plan with backends on ports 8000 to 8002, of which each answers, and with a silent one.
fn plan(seed: u64) -> Plan {
    let silent = Listen {
        syn_backlog: 0,
        syn_cookies: SynCookies::Off,
        ..Listen::on(SILENT)
    };
    Plan::new(seed)
        .backend(8_000, Script::answer(ANSWER))
        .backend(8_001, Script::answer(ANSWER))
        .backend(8_002, Script::answer(ANSWER))
        .backend_listening(silent, Script::silent())
}

/// A proxy in front of backends on these ports, each of which is tried once.
fn net(seed: u64, version: Version, ports: &[u16]) -> Net {
    let backends: Vec<SocketAddr> = ports
        .iter()
        .map(|&port| backend_at(version, port))
        .collect();
    plan(seed).service(PORT, proxy(pool(&backends))).build()
}

fn open(net: &mut Net) -> usize {
    net.open(service_at(Version::V4, PORT), Script::pattern(1_000))
}

/// A client that is served.
fn ask(net: &mut Net) {
    let client = open(net);
    net.run_to("it is over", |net| net.client(client).end.is_some());
    assert!(
        net.client(client).is_complete(),
        "{:?}",
        net.client(client).end
    );
    assert!(net.client(client).has_heard_answer(client, ANSWER));
}

/// A client that is turned away; answers how long that took.
fn ask_in_vain(net: &mut Net) -> Duration {
    let before = net.now;
    let client = open(net);
    net.run_to("it is over", |net| net.client(client).end.is_some());
    assert_eq!(net.client(client).end, Some(End::Reset));
    net.now.saturating_since(before)
}

fn counts(net: &Net, backend: usize) -> BackendCounts {
    net.report().backends[backend].1
}

#[test]
fn shares_are_exactly_even() {
    let mut net = net(1, Version::V4, &[8_000, 8_001, 8_002]);
    for _ in 0..30 {
        ask(&mut net);
    }
    let clients: Vec<usize> = (0..60).map(|_| open(&mut net)).collect();
    net.run_to("all are over", |net| {
        clients
            .iter()
            .all(|&client| net.client(client).is_complete())
    });
    for backend in 0..3 {
        assert_eq!(net.backends.app().of_role(backend).count(), 30);
        let counts = counts(&net, backend as usize);
        assert_eq!((counts.opened, counts.failed), (30, 0));
        assert_eq!((counts.text_to, counts.text_from), (30_000, 30 * ANSWER));
    }
    net.finish();
}

#[test]
fn active_connections_are_counted_while_they_last() {
    let backends = [8_100, 8_101].map(|port| backend_at(Version::V6, port));
    let quiet = || Script::silent().closes(Closes::AfterPeer);
    let mut net = Plan::new(2)
        .service(PORT, proxy(pool(&backends)))
        .backend(8_100, quiet())
        .backend(8_101, quiet())
        .build();
    let script = || Script::silent().closes(Closes::Never);
    let clients: Vec<usize> = (0..7)
        .map(|_| net.open(service_at(Version::V6, PORT), script()))
        .collect();
    net.run_for(Duration::from_secs(1));
    assert_eq!((counts(&net, 0).active, counts(&net, 1).active), (4, 3));
    assert_eq!(net.proxy_counts().pairs, 7);
    for &client in &clients[..4] {
        net.as_client(|clients, stack| clients.set_closes(stack, client, Closes::AfterSaying));
    }
    net.run_for(Duration::from_secs(1));
    assert_eq!((counts(&net, 0).active, counts(&net, 1).active), (2, 1));
    assert_eq!(net.proxy_counts().pairs, 3);
    for &client in &clients[4..] {
        net.as_client(|clients, stack| clients.reset(stack, client));
    }
    net.run_for(Duration::from_secs(1));
    assert_eq!((counts(&net, 0).active, counts(&net, 1).active), (0, 0));
    net.finish();
}

#[test]
fn one_that_refuses_is_passed_over() {
    for version in VERSIONS {
        let mut net = net(3, version, &[8_000, REFUSES, 8_002]);
        let before = net.now;
        for _ in 0..20 {
            ask(&mut net);
        }
        assert!(net.now.saturating_since(before) < Duration::from_secs(5));
        // Its turns go to those that live, evenly.
        assert_eq!((counts(&net, 0).opened, counts(&net, 2).opened), (10, 10));
        let refuses = counts(&net, 1);
        assert_eq!((refuses.opened, refuses.failed), (10, 10));
        assert_eq!(net.proxy_counts().unserved, 0);
        net.finish();
    }
}

#[test]
fn one_that_is_silent_is_passed_over_when_its_time_is_up() {
    for version in VERSIONS {
        let mut net = net(4, version, &[SILENT, 8_000]);
        let before = net.now;
        ask(&mut net);
        let taken = net.now.saturating_since(before);
        let expected = Duration::from_secs(5)..Duration::from_secs(6);
        assert!(expected.contains(&taken), "{taken:?}");
        assert_eq!((counts(&net, 0).failed, counts(&net, 1).opened), (1, 1));
        net.finish();
    }
}

#[test]
fn one_that_is_not_even_there_is_passed_over() {
    // An address of the backends' network that no machine has, and one that no route leads to.
    for address in ["198.51.100.77:80", "[2001:db8:2::77]:80", "203.0.113.1:80"] {
        let backends = [address.parse().unwrap(), backend_at(Version::V4, 8_000)];
        let mut net = plan(5).service(PORT, proxy(pool(&backends))).build();
        let before = net.now;
        ask(&mut net);
        let taken = net.now.saturating_since(before);
        assert!(taken < Duration::from_secs(6), "{address}: {taken:?}");
        assert_eq!((counts(&net, 0).failed, counts(&net, 0).active), (1, 0));
        assert_eq!(counts(&net, 1).opened, 1);
        net.finish();
    }
}

#[test]
fn when_all_refuse_the_client_is_reset_at_once() {
    let mut net = net(6, Version::V4, &[REFUSES, REFUSES + 10, REFUSES + 20]);
    let taken = ask_in_vain(&mut net);
    assert!(taken < Duration::from_secs(1), "{taken:?}");
    for backend in 0..3 {
        assert_eq!(counts(&net, backend).failed, 1);
    }
    assert_eq!(net.proxy_counts().unserved, 1);
    net.finish();
}

#[test]
fn when_all_are_silent_the_client_is_reset_in_the_end() {
    let mut net = net(7, Version::V6, &[SILENT, SILENT, SILENT]);
    let taken = ask_in_vain(&mut net);
    let expected = Duration::from_secs(15)..Duration::from_secs(16);
    assert!(expected.contains(&taken), "{taken:?}");
    assert_eq!(net.proxy_counts().unserved, 1);
    net.finish();
}

#[test]
fn no_more_backends_are_tried_than_the_pool_allows() {
    let backends = [REFUSES, 8_000].map(|port| backend_at(Version::V4, port));
    let mut spec = pool(&backends);
    spec.retries = 0;
    let mut net = plan(8).service(PORT, proxy(spec)).build();
    ask_in_vain(&mut net);
    ask(&mut net);
    ask_in_vain(&mut net);
    assert_eq!((counts(&net, 0).failed, counts(&net, 1).opened), (2, 1));
    net.finish();
}

#[test]
fn more_tries_than_backends_go_round_again() {
    let mut spec = pool(&[backend_at(Version::V4, REFUSES)]);
    spec.retries = 4;
    let mut net = plan(9).service(PORT, proxy(spec)).build();
    ask_in_vain(&mut net);
    assert_eq!(counts(&net, 0).failed, 5);
    net.finish();
}

#[test]
fn the_turns_of_other_clients_do_not_cost_a_client_its_tries() {
    // With one try beyond the first, every client has to come to the backend that lives, however
    // the turns of the others fall in between.
    for seed in 0..10 {
        let backends = [REFUSES, 8_000].map(|port| backend_at(Version::V4, port));
        let mut net = plan(seed)
            .service(PORT, proxy(pool(&backends)))
            .impaired(if seed == 0 { clean() } else { rough() })
            .build();
        let clients: Vec<usize> = (0..50).map(|_| open(&mut net)).collect();
        net.run_to("all are over", |net| {
            clients
                .iter()
                .all(|&client| net.client(client).end.is_some())
        });
        for &client in &clients {
            let story = net.client(client);
            assert!(story.is_complete(), "client {client}: {:?}", story.end);
        }
        assert_eq!(counts(&net, 1).opened, 50);
        net.finish();
    }
}

#[test]
fn a_worker_without_room_for_a_second_flow_serves_whom_it_can() {
    // Local ports run out first: there is one for each of the worker's flows to one backend.
    let mut net = net(10, Version::V4, &[8_000]);
    let script = || Script::silent().closes(Closes::Never);
    let at = service_at(Version::V4, PORT);
    let room = crate::net::FLOWS_MAX as usize;
    let clients: Vec<usize> = (0..room).map(|_| net.open(at, script())).collect();
    net.run_for(Duration::from_secs(10));
    let open = clients
        .iter()
        .filter(|&&client| net.client(client).end.is_none())
        .count();
    let pairs = net.proxy_counts().pairs;
    // Who is served has two flows; of the others the last ACK found no place, so that they wait in
    // their handshake, or they were reset.
    assert_eq!(u64::from(net.services.stack().flows()), pairs + open as u64);
    assert!(
        pairs <= room as u64 / 2 && pairs > room as u64 / 4,
        "{pairs} of {room}"
    );
    for &client in &clients {
        net.as_client(|clients, stack| clients.reset(stack, client));
    }
    net.finish();
}
