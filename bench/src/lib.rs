//! What the benches share: two workers on a simulated link, one asks and the other answers.
//!
//! The link has no delay, so time stands still and only the stacks' own work is measured. Nothing here
//! runs in production.
#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use tidegate_port::{Link, LinkConfig, LinkPort, Port};
use tidegate_service::{Respond, Response, Service, Services};
use tidegate_tcp::End;
use tidegate_wire::Instant;
use tidegate_worker::{App, Cidr, FlowId, Interface, Listen, Open, Stack, Worker, WorkerConfig};

/// The request that the asking side sends: as short as wrk's.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 10.0.0.2\r\n\r\n";

/// The asking side: one flow, one request under way at a time.
#[derive(Debug, Default)]
pub struct Asker {
    flow: Option<FlowId>,
    /// Bytes of answers read so far.
    pub read: u64,
}

impl App for Asker {
    type Command = ();

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, _: tidegate_worker::ListenerId) {
        // It has no listener, so nobody comes; whoever did would be turned away.
        stack.abort(flow);
    }

    fn on_connected(&mut self, _stack: &mut Stack, flow: FlowId) {
        self.flow = Some(flow);
    }

    fn on_text(&mut self, _stack: &mut Stack, _flow: FlowId, text: &[u8]) -> usize {
        self.read += text.len() as u64;
        text.len()
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        stack.close(flow);
    }

    fn on_end(&mut self, _stack: &mut Stack, _flow: FlowId, _end: End) {
        self.flow = None;
    }
}

/// Two workers and the link between them.
#[derive(Debug)]
pub struct Pair {
    /// The side that asks.
    pub asker: Worker<LinkPort, Asker>,
    /// The side that answers: the service `respond` on port 80.
    pub server: Worker<LinkPort, Services>,
    now: Instant,
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

impl Pair {
    /// Both sides, connected and quiet.
    ///
    /// # Panics
    /// Where packet memory cannot be mapped, or the two do not come together.
    #[must_use]
    pub fn new() -> Self {
        let (a, b) = Link::pair(LinkConfig::default()).expect("packet memory for a bench");
        let config = |port: &LinkPort, last: u8| WorkerConfig {
            interfaces: vec![Interface::new(port.facts(), vec![cidr(last)], Vec::new())],
            ..WorkerConfig::default()
        };
        let flows_max = WorkerConfig::default().flows_max;
        let respond = Service::Respond(Respond::new(&Response::default(), flows_max));
        let mut pair = Self {
            asker: Worker::new(config(&a, 1), vec![a], Asker::default()).expect("sizes are right"),
            server: Worker::new(config(&b, 2), vec![b], Services::new(vec![respond]))
                .expect("sizes are right"),
            now: Instant::from_secs(1),
        };
        pair.server
            .stack_mut()
            .listen(Listen::on(80))
            .expect("the port is free");
        let remote = SocketAddr::new(address(2), 80);
        pair.asker
            .stack_mut()
            .open(Open::to(remote))
            .expect("the way is known");
        pair.run(|asker| asker.flow.is_some());
        pair
    }

    /// One request and its whole answer; returns the length of the answer.
    ///
    /// # Panics
    /// Where the connection is gone.
    pub fn ask(&mut self) -> u64 {
        let before = self.asker.app().read;
        let flow = self.asker.app().flow.expect("the flow is open");
        let sent = self.asker.stack_mut().send(flow, REQUEST);
        assert_eq!(sent, Ok(REQUEST.len()), "one request fits the send queue");
        self.run(|asker| asker.read > before);
        self.asker.app().read - before
    }

    /// Turns both sides until the asker says that it is done.
    fn run(&mut self, is_done: impl Fn(&Asker) -> bool) {
        for _ in 0..1_000 {
            self.now += core::time::Duration::from_micros(1);
            self.asker.turn(self.now);
            self.server.turn(self.now);
            if is_done(self.asker.app()) {
                return;
            }
        }
        panic!("no answer in 1000 turns");
    }
}

/// Address number `last` of the bench's network.
#[must_use]
pub const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

/// The same with the length of the network's prefix.
#[must_use]
pub const fn cidr(last: u8) -> Cidr {
    Cidr {
        addr: address(last),
        prefix: 8,
    }
}
