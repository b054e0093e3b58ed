//! Nothing is allocated on the way through the services: a counting allocator watches three whole
//! stacks while clients come, ask, read and go.
//!
//! A binary of its own, because the allocator counts for all threads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use core::net::SocketAddr;
use core::time::Duration;
use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tidegate_port::{Link, LinkConfig, LinkPort, Port};
use tidegate_service::{
    Backend, Chargen, Discard, Echo, PoolSpec, Proxy, Respond, Response, Service, Services,
};
use tidegate_tcp::{End, Settings};
use tidegate_wire::{Instant, MacAddr};
use tidegate_worker::{
    App, FlowId, Interface, Listen, ListenerId, Open, SettingsId, Stack, Worker, WorkerConfig,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FLOWS_MAX: u32 = 256;
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: tidegate\r\n\r\n";
/// Clients of each service, one after the other, before anything is counted: buffers of the
/// simulated links and the like grow to their size.
const WARM_UP: usize = 20;

/// One client at a time: it says something, reads so much, and goes.
#[derive(Debug, Default)]
struct Caller {
    says: &'static [u8],
    reads: u64,
    heard: u64,
    end: Option<End>,
}

impl App for Caller {
    type Command = ();

    fn on_accept(&mut self, _: &mut Stack, _: FlowId, _: ListenerId) {
        unreachable!("it has no listener");
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        let sent = stack.send(flow, self.says);
        assert_eq!(sent, Ok(self.says.len()));
        self.go_if_done(stack, flow);
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        self.heard += text.len() as u64;
        self.go_if_done(stack, flow);
        text.len()
    }

    fn on_peer_closed(&mut self, _: &mut Stack, _: FlowId) {}

    fn on_end(&mut self, _: &mut Stack, _: FlowId, end: End) {
        self.end = Some(end);
    }
}

impl Caller {
    fn go_if_done(&self, stack: &mut Stack, flow: FlowId) {
        if self.heard >= self.reads {
            // Refused when it has been done.
            let _ = stack.shutdown(flow);
        }
    }
}

/// A client's worker, the services', and a backend's.
struct Net {
    clients: Worker<LinkPort, Caller>,
    services: Worker<LinkPort, Services>,
    backends: Worker<LinkPort, Services>,
    now: Instant,
}

impl Net {
    fn new() -> Self {
        let (to_services, from_clients) = link(1);
        let (to_backends, from_services) = link(2);
        let mut net = Self {
            clients: worker(vec![(to_services, "192.0.2.1/24")], Caller::default()),
            services: worker(
                vec![
                    (from_clients, "192.0.2.2/24"),
                    (to_backends, "198.51.100.2/24"),
                ],
                services(),
            ),
            backends: worker(
                vec![(from_services, "198.51.100.3/24")],
                Services::new(vec![respond()]),
            ),
            now: Instant::from_secs(1),
        };
        for (tag, port) in (0..).zip([80, 7, 9, 19, 8_080]) {
            let listen = Listen {
                tag,
                ..Listen::on(port)
            };
            net.services.stack_mut().listen(listen).unwrap();
        }
        net.backends.stack_mut().listen(Listen::on(80)).unwrap();
        net
    }

    /// One client of one service, from its SYN until nothing is left of it anywhere.
    fn call(&mut self, port: u16, says: &'static [u8], reads: u64) {
        let remote = SocketAddr::from(([192, 0, 2, 2], port));
        let (caller, stack) = self.clients.app_and_stack();
        *caller = Caller {
            says,
            reads,
            ..Caller::default()
        };
        stack.open(Open::to(remote)).unwrap();
        for _ in 0..1_000_000 {
            self.clients.turn(self.now);
            self.services.turn(self.now);
            self.backends.turn(self.now);
            self.now += Duration::from_micros(100);
            let flows = self.clients.stack().flows()
                + self.services.stack().flows()
                + self.backends.stack().flows();
            if flows == 0 {
                let caller = self.clients.app();
                assert_eq!(caller.end, Some(End::Closed));
                assert!(caller.heard >= reads, "{caller:?} of {reads}");
                return;
            }
        }
        panic!(
            "a client of port {port} is not served: {:?}",
            self.clients.app()
        );
    }

    /// A client of each service.
    fn call_all(&mut self) {
        let answer = 100_000;
        self.call(80, GET, answer);
        self.call(7, GET, GET.len() as u64);
        self.call(9, GET, 0);
        self.call(19, b"", 100_000);
        self.call(8_080, GET, answer);
    }
}

fn respond() -> Service {
    let response = Response {
        body: vec![b'x'; 100_000],
        ..Response::default()
    };
    Service::Respond(Respond::new(&response, FLOWS_MAX))
}

/// All five, the proxy first.
fn services() -> Services {
    let backend = Backend {
        name: "only".to_owned(),
        address: ([198, 51, 100, 3], 80).into(),
    };
    let pool = PoolSpec {
        name: "pool".to_owned(),
        backends: vec![backend],
        connect_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(60),
        retries: 0,
        source: None,
        settings: SettingsId(0),
    };
    Services::new(vec![
        Service::Proxy(Proxy::new(pool, 0, FLOWS_MAX)),
        Service::Echo(Echo),
        Service::Discard(Discard),
        Service::Chargen(Chargen::new(FLOWS_MAX)),
        respond(),
    ])
}

fn link(number: u8) -> (LinkPort, LinkPort) {
    Link::pair(LinkConfig {
        a_mac: MacAddr([2, 0, 0, 0, number, 0x0a]),
        b_mac: MacAddr([2, 0, 0, 0, number, 0x0b]),
        ..LinkConfig::default()
    })
    .unwrap()
}

fn worker<A: App>(ports: Vec<(LinkPort, &str)>, app: A) -> Worker<LinkPort, A> {
    let interface = |(port, address): &(LinkPort, &str)| {
        Interface::new(port.facts(), vec![address.parse().unwrap()], Vec::new())
    };
    let config = WorkerConfig {
        flows_max: FLOWS_MAX,
        interfaces: ports.iter().map(interface).collect(),
        settings: vec![Settings {
            time_wait: Duration::from_millis(50),
            ..Settings::default()
        }],
        ..WorkerConfig::default()
    };
    let ports = ports.into_iter().map(|(port, _)| port).collect();
    Worker::new(config, ports, app).unwrap()
}

#[test]
fn clients_come_and_go_and_nothing_is_allocated() {
    let mut net = Net::new();
    for _ in 0..WARM_UP {
        net.call_all();
    }
    let region = Region::new(ALLOCATOR);
    for _ in 0..20 {
        net.call_all();
    }
    let change = region.change();
    assert_eq!(change.allocations, 0, "{change:?}");
    assert_eq!(change.reallocations, 0, "{change:?}");
}
