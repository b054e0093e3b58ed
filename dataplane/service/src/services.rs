//! All services of a worker as one [`App`].

use crossbeam::channel::Sender;
use tidegate_tcp::End;
use tidegate_worker::{App, FlowId, ListenerId, Stack};

use crate::{BackendCounts, Chargen, Discard, Echo, Proxy, ProxyCounts, Respond};

/// One of the services.
#[derive(Debug)]
pub enum Service {
    /// RFC 862.
    Echo(Echo),
    /// RFC 863.
    Discard(Discard),
    /// RFC 864.
    Chargen(Chargen),
    /// A fixed HTTP/1.1 answer.
    Respond(Respond),
    /// The load balancer.
    Proxy(Proxy),
}

impl Service {
    /// The kind's name, as the configuration spells it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Echo(_) => "echo",
            Self::Discard(_) => "discard",
            Self::Chargen(_) => "chargen",
            Self::Respond(_) => "respond",
            Self::Proxy(_) => "proxy",
        }
    }
}

/// What control may ask of the services.
#[derive(Debug)]
pub enum ServiceCommand {
    /// Tell what has been done so far.
    Report {
        /// Where the answer goes; an answer nobody waits for is dropped.
        reply: Sender<Vec<ServiceReport>>,
    },
}

/// What one service has done so far.
#[derive(Clone, Debug, Default)]
pub struct ServiceReport {
    /// Kind, as the configuration spells it.
    pub kind: &'static str,
    /// Flows accepted.
    pub accepted: u64,
    /// Requests answered, of `respond`.
    pub requests: u64,
    /// Counts of the proxy.
    pub proxy: Option<ProxyCounts>,
    /// Name of the proxy's pool, or nothing.
    pub pool: String,
    /// Each backend of that pool.
    pub backends: Vec<(String, BackendCounts)>,
}

/// The services of one worker; the tag of a listener is an index here.
#[derive(Debug)]
pub struct Services {
    services: Vec<Service>,
    accepted: Vec<u64>,
}

impl Services {
    /// All of a worker's services. A listener with tag `n` belongs to `services[n]`, and so do all
    /// flows with that tag.
    #[must_use]
    pub fn new(services: Vec<Service>) -> Self {
        let accepted = vec![0; services.len()];
        Self { services, accepted }
    }

    /// The service of `flow`.
    ///
    /// # Panics
    /// Where a listener was opened with a tag that is no service's number.
    fn of(&mut self, stack: &Stack, flow: FlowId) -> &mut Service {
        &mut self.services[stack.tag(flow) as usize]
    }

    /// What each service has done, in order.
    #[must_use]
    pub fn report(&self) -> Vec<ServiceReport> {
        self.services
            .iter()
            .zip(&self.accepted)
            .map(|(service, &n)| report(service, n))
            .collect()
    }
}

impl App for Services {
    type Command = ServiceCommand;

    fn on_accept(&mut self, stack: &mut Stack, flow: FlowId, _listener: ListenerId) {
        self.accepted[stack.tag(flow) as usize] += 1;
        match self.of(stack, flow) {
            Service::Echo(_) | Service::Discard(_) => {}
            Service::Chargen(chargen) => chargen.on_accept(stack, flow),
            Service::Respond(respond) => respond.on_accept(flow),
            Service::Proxy(proxy) => proxy.on_accept(stack, flow),
        }
    }

    fn on_connected(&mut self, stack: &mut Stack, flow: FlowId) {
        if let Service::Proxy(proxy) = self.of(stack, flow) {
            proxy.on_connected(stack, flow);
        }
    }

    fn on_text(&mut self, stack: &mut Stack, flow: FlowId, text: &[u8]) -> usize {
        match self.of(stack, flow) {
            Service::Echo(_) => Echo::on_text(stack, flow, text),
            Service::Discard(_) => Discard::on_text(text),
            Service::Chargen(_) => Chargen::on_text(text),
            Service::Respond(respond) => respond.on_text(stack, flow, text),
            Service::Proxy(proxy) => proxy.on_text(stack, flow, text),
        }
    }

    fn on_writable(&mut self, stack: &mut Stack, flow: FlowId) {
        match self.of(stack, flow) {
            Service::Echo(_) => Echo::on_writable(stack, flow),
            Service::Discard(_) => {}
            Service::Chargen(chargen) => chargen.on_writable(stack, flow),
            Service::Respond(respond) => respond.on_writable(stack, flow),
            Service::Proxy(proxy) => proxy.on_writable(stack, flow),
        }
    }

    fn on_peer_closed(&mut self, stack: &mut Stack, flow: FlowId) {
        match self.of(stack, flow) {
            Service::Echo(_) => Echo::on_peer_closed(stack, flow),
            Service::Discard(_) => Discard::on_peer_closed(stack, flow),
            Service::Chargen(chargen) => chargen.on_peer_closed(stack, flow),
            Service::Respond(respond) => respond.on_peer_closed(stack, flow),
            Service::Proxy(proxy) => proxy.on_peer_closed(stack, flow),
        }
    }

    fn on_end(&mut self, stack: &mut Stack, flow: FlowId, end: End) {
        match self.of(stack, flow) {
            Service::Echo(_) | Service::Discard(_) => {}
            Service::Chargen(chargen) => chargen.on_end(flow),
            Service::Respond(respond) => respond.on_end(flow),
            Service::Proxy(proxy) => proxy.on_end(stack, flow, end),
        }
    }

    fn on_timer(&mut self, stack: &mut Stack, flow: FlowId) {
        match self.of(stack, flow) {
            Service::Echo(_) | Service::Discard(_) | Service::Chargen(_) => {}
            Service::Respond(respond) => respond.on_timer(stack, flow),
            Service::Proxy(proxy) => proxy.on_timer(stack, flow),
        }
    }

    fn on_command(&mut self, _stack: &mut Stack, command: ServiceCommand) {
        match command {
            ServiceCommand::Report { reply } => {
                // Whoever asked may have gone away; then nobody needs the answer.
                let _ = reply.try_send(self.report());
            }
        }
    }
}

/// What one service has done.
fn report(service: &Service, accepted: u64) -> ServiceReport {
    let mut report = ServiceReport {
        kind: service.kind(),
        accepted,
        ..ServiceReport::default()
    };
    match service {
        Service::Echo(_) | Service::Discard(_) | Service::Chargen(_) => {}
        Service::Respond(respond) => report.requests = respond.requests(),
        Service::Proxy(proxy) => {
            report.proxy = Some(proxy.counts());
            report.pool = proxy.pool_name().to_owned();
            report.backends = proxy
                .backends()
                .map(|(backend, counts)| (backend.name.clone(), counts))
                .collect();
        }
    }
    report
}
