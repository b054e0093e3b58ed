//! The stage: three workers, two links, one clock, and what must hold after every step.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use tidegate_port::{Impairment, Link, LinkConfig, LinkPort, Port};
use tidegate_service::{Backend, PoolSpec, Proxy, ProxyCounts, Service, ServiceReport, Services};
use tidegate_tcp::{BLOCK_LEN, Settings};
use tidegate_wire::{Instant, MacAddr};
use tidegate_worker::{
    App, Counter, Interface, Listen, ListenerId, SettingsId, Stack, Worker, WorkerConfig,
};

use crate::peers::{Peers, Script, Story};

/// Flows of each worker.
pub(crate) const FLOWS_MAX: u32 = 1_024;
/// Turns that three workers may take without time moving on. A burst of everything takes some
/// hundred; workers that keep each other busy for ever take more.
const TURNS_AT_ONCE_MAX: u32 = 100_000;

/// IP version of the clients' or the backends' side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

pub(crate) const VERSIONS: [Version; 2] = [Version::V4, Version::V6];

/// Addresses of the clients, of the services towards them and towards the backends, of the
/// backends; IPv4 and IPv6 of each.
const CLIENTS: [&str; 2] = ["192.0.2.1/24", "2001:db8:1::1/64"];
const FRONT: [&str; 2] = ["192.0.2.2/24", "2001:db8:1::2/64"];
const BACK: [&str; 2] = ["198.51.100.2/24", "2001:db8:2::2/64"];
const BACKENDS: [&str; 2] = ["198.51.100.3/24", "2001:db8:2::3/64"];

/// A service's listening socket.
pub(crate) fn service_at(version: Version, port: u16) -> SocketAddr {
    let ip: IpAddr = match version {
        Version::V4 => [192, 0, 2, 2].into(),
        Version::V6 => [0x2001, 0xdb8, 1, 0, 0, 0, 0, 2].into(),
    };
    (ip, port).into()
}

/// A backend's listening socket.
pub(crate) fn backend_at(version: Version, port: u16) -> SocketAddr {
    let ip: IpAddr = match version {
        Version::V4 => [198, 51, 100, 3].into(),
        Version::V6 => [0x2001, 0xdb8, 2, 0, 0, 0, 0, 3].into(),
    };
    (ip, port).into()
}

/// A pool of these backends that tries each of them once.
pub(crate) fn pool(backends: &[SocketAddr]) -> PoolSpec {
    let backend = |(number, &address): (usize, &SocketAddr)| Backend {
        name: format!("b{number}"),
        address,
    };
    PoolSpec {
        name: "pool".to_owned(),
        backends: backends.iter().enumerate().map(backend).collect(),
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(600),
        retries: u32::try_from(backends.len()).unwrap() - 1,
        source: None,
        settings: SettingsId(0),
    }
}

/// The service number 0 that is a proxy in front of `pool`.
pub(crate) fn proxy(pool: PoolSpec) -> Service {
    Service::Proxy(Proxy::new(pool, 0, FLOWS_MAX))
}

/// A path that delays and does nothing else: frames take 100 us.
pub(crate) fn clean() -> Impairment {
    Impairment {
        delay: Duration::from_micros(100),
        ..Impairment::default()
    }
}

/// A path that loses, repeats and reorders.
pub(crate) fn rough() -> Impairment {
    Impairment {
        loss: 0.02,
        duplication: 0.01,
        reordering: 0.05,
        reorder_delay: Duration::from_millis(1),
        delay: Duration::from_micros(500),
        jitter: Duration::from_micros(200),
        ..Impairment::default()
    }
}

/// What a play can choose.
#[derive(Debug)]
pub(crate) struct Plan {
    seed: u64,
    front: Impairment,
    back: Impairment,
    /// Of the services.
    settings: Settings,
    text_blocks: u32,
    services: Vec<(u16, Service)>,
    /// Listening ports of the backends with what they do.
    backends: Vec<(Listen, Script)>,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            front: clean(),
            back: clean(),
            settings: settings(),
            text_blocks: 4_096,
            services: Vec::new(),
            backends: Vec::new(),
        }
    }

    /// One service on this port of all addresses.
    pub(crate) fn service(mut self, port: u16, service: Service) -> Self {
        self.services.push((port, service));
        self
    }

    /// A backend on this port of all addresses.
    pub(crate) fn backend(self, port: u16, script: Script) -> Self {
        self.backend_listening(Listen::on(port), script)
    }

    /// A backend that listens so.
    pub(crate) fn backend_listening(mut self, listen: Listen, script: Script) -> Self {
        self.backends.push((listen, script));
        self
    }

    /// How frames fare on both links, in both directions.
    pub(crate) const fn impaired(mut self, impairment: Impairment) -> Self {
        self.front = impairment;
        self.back = impairment;
        self
    }

    /// How frames fare on the backends' link alone.
    pub(crate) const fn impaired_behind(mut self, impairment: Impairment) -> Self {
        self.back = impairment;
        self
    }

    /// Send and receive queues of the services' flows, in bytes.
    pub(crate) const fn queues(mut self, bytes: u32) -> Self {
        self.settings = self.settings.with_rmem(bytes).with_wmem(bytes);
        self
    }

    /// Text blocks of the services.
    pub(crate) const fn text_blocks(mut self, blocks: u32) -> Self {
        self.text_blocks = blocks;
        self
    }

    /// Raises the curtain.
    pub(crate) fn build(self) -> Net {
        let (to_services, from_clients) = self.link(1, self.front);
        let (to_backends, from_services) = self.link(2, self.back);
        let links = [to_services.link(), to_backends.link()];
        let (listens, scripts): (Vec<_>, Vec<_>) = self.backends.into_iter().unzip();
        let (ports, services): (Vec<_>, Vec<_>) = self.services.into_iter().unzip();
        let worker_config = |secret: u8, settings, text_blocks| WorkerConfig {
            flows_max: FLOWS_MAX,
            text_blocks,
            secret: secret_of(self.seed, secret),
            settings: vec![settings],
            ..WorkerConfig::default()
        };
        let clients = Peers::new(Vec::new(), FLOWS_MAX);
        let backends = Peers::new(scripts, FLOWS_MAX);
        let mut net = Net {
            clients: worker(
                worker_config(1, settings(), 16_384),
                [(to_services, CLIENTS)],
                clients,
            ),
            services: worker(
                worker_config(2, self.settings, self.text_blocks),
                [(from_clients, FRONT), (to_backends, BACK)],
                Services::new(services),
            ),
            backends: worker(
                worker_config(3, settings(), 16_384),
                [(from_services, BACKENDS)],
                backends,
            ),
            links,
            now: Instant::from_secs(1),
            seed: self.seed,
            blocks_peak: 0,
            turns_at_once: 0,
            backend_listeners: Vec::new(),
        };
        let on = |port: &u16| Listen::on(*port);
        listen(net.services.stack_mut(), ports.iter().map(on));
        net.backend_listeners = listen(net.backends.stack_mut(), listens);
        net
    }

    fn link(&self, number: u8, impairment: Impairment) -> (LinkPort, LinkPort) {
        Link::pair(LinkConfig {
            seed: self.seed ^ u64::from(number) << 56,
            a_to_b: impairment,
            b_to_a: impairment,
            a_mac: MacAddr([2, 0, 0, 0, number, 0x0a]),
            b_mac: MacAddr([2, 0, 0, 0, number, 0x0b]),
            ..LinkConfig::default()
        })
        .unwrap()
    }
}

/// What everybody's flows are like: as users have them, but for a short TIME_WAIT that lets a play
/// end soon.
fn settings() -> Settings {
    Settings {
        time_wait: Duration::from_secs(2),
        ..Settings::default()
    }
}

fn secret_of(seed: u64, worker: u8) -> [u8; 32] {
    let mut secret = [worker; 32];
    secret[..8].copy_from_slice(&seed.to_le_bytes());
    secret
}

/// A worker with these ports and the addresses of each.
fn worker<A: App, const N: usize>(
    config: WorkerConfig,
    ports: [(LinkPort, [&str; 2]); N],
    app: A,
) -> Worker<LinkPort, A> {
    let interface = |(port, addresses): &(LinkPort, [&str; 2])| {
        let addresses = addresses.map(|text| text.parse().unwrap());
        Interface::new(port.facts(), addresses.to_vec(), Vec::new())
    };
    let config = WorkerConfig {
        interfaces: ports.iter().map(interface).collect(),
        ..config
    };
    let ports = ports.into_iter().map(|(port, _)| port).collect();
    Worker::new(config, ports, app).unwrap()
}

/// Opens listeners with their numbers as tags.
fn listen(stack: &mut Stack, listens: impl IntoIterator<Item = Listen>) -> Vec<ListenerId> {
    let mut open = |(listen, tag)| stack.listen(Listen { tag, ..listen }).unwrap();
    listens.into_iter().zip(0..).map(&mut open).collect()
}

/// Three workers and their links.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) clients: Worker<LinkPort, Peers>,
    pub(crate) services: Worker<LinkPort, Services>,
    pub(crate) backends: Worker<LinkPort, Peers>,
    /// The clients' link and the backends'. The services are end B of the first and A of the other.
    pub(crate) links: [Link; 2],
    pub(crate) now: Instant,
    seed: u64,
    /// The most text blocks that the services had in use so far.
    blocks_peak: u32,
    turns_at_once: u32,
    backend_listeners: Vec<ListenerId>,
}

/// Tells, when a test panics, where it was.
impl Drop for Net {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell(&format!("seed {} at {:?}", self.seed, self.now));
            tell(&format!("clients: {}", figures(&self.clients)));
            tell(&format!("services: {}", figures(&self.services)));
            tell(&format!("backends: {}", figures(&self.backends)));
        }
    }
}

#[expect(clippy::disallowed_macros, reason = "a failed test tells its seed")]
fn tell(line: &str) {
    eprintln!("{line}");
}

/// All figures of a worker that are not zero.
fn figures<A: App>(worker: &Worker<LinkPort, A>) -> String {
    worker.publish();
    let snapshot = worker.counters().snapshot();
    let figures = snapshot.iter().filter(|(_, value)| *value != 0);
    let figures: Vec<String> = figures.map(|(name, n)| format!("{name}={n}")).collect();
    figures.join(" ")
}

impl Net {
    /// Everybody has a turn; then time moves on, not beyond `end`. Answers false when nothing will
    /// happen before that.
    fn step(&mut self, end: Instant) -> bool {
        let now = self.now;
        let is_busy = self.clients.turn(now) | self.services.turn(now) | self.backends.turn(now);
        self.check();
        if is_busy {
            self.turns_at_once += 1;
            assert!(self.turns_at_once < TURNS_AT_ONCE_MAX, "time stands still");
            return true;
        }
        self.turns_at_once = 0;
        let deadlines = [
            self.clients.next_deadline(),
            self.services.next_deadline(),
            self.backends.next_deadline(),
        ];
        let next = deadlines.into_iter().flatten().min();
        // Whoever says "now" and then has nothing to do must not stop time.
        let next = next.map(|next| next.max(now + Duration::from_micros(1)));
        let next = next.filter(|next| *next <= end);
        self.now = next.unwrap_or(end);
        next.is_some()
    }

    /// Lets `time` pass, or less where `is_done` holds before; answers whether it does.
    pub(crate) fn run_until(&mut self, time: Duration, is_done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + time;
        while !is_done(self) {
            if !self.step(end) {
                return is_done(self);
            }
        }
        true
    }

    /// Lets `time` pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until `is_done` holds, which it must before long.
    pub(crate) fn run_to(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        let is_done = self.run_until(Duration::from_secs(300), is_done);
        assert!(is_done, "not so after 300 s: {what}");
    }

    /// The last curtain: everybody's flows end, and all that they had has come back.
    pub(crate) fn finish(mut self) {
        self.run_to("no flow is left", |net| {
            net.clients.stack().flows() == 0
                && net.services.stack().flows() == 0
                && net.backends.stack().flows() == 0
        });
        // What is still under way on the links arrives, too late for anybody.
        self.run_for(Duration::from_secs(10));
        assert_no_leak(&self.clients, 1);
        assert_no_leak(&self.services, 2);
        assert_no_leak(&self.backends, 1);
        for report in self.services.app().report() {
            assert_eq!(report.proxy.unwrap_or_default().pairs, 0, "pairs are left");
            for (name, counts) in report.backends {
                assert_eq!(counts.active, 0, "backend {name} is said to be busy");
            }
        }
        let ended = |story: &Story| story.end.is_some();
        assert!(self.clients.app().stories.iter().all(ended));
        assert!(self.backends.app().stories.iter().all(ended));
    }

    fn check(&mut self) {
        check(&self.clients, 1);
        check(&self.services, 2);
        check(&self.backends, 1);
        self.blocks_peak = self.blocks_peak.max(self.blocks());
    }

    /// Text blocks that the services have in use.
    fn blocks(&self) -> u32 {
        let memory = self.services.stack().memory();
        memory.blocks_total - memory.blocks_free
    }

    /// The most text that the services have held at any time so far, in bytes of blocks.
    pub(crate) const fn text_peak(&self) -> usize {
        self.blocks_peak as usize * BLOCK_LEN
    }

    /// A client; answers the number of its story.
    pub(crate) fn open(&mut self, remote: SocketAddr, script: Script) -> usize {
        let (clients, stack) = self.clients.app_and_stack();
        clients.open(stack, remote, script)
    }

    /// A client's story.
    pub(crate) fn client(&self, number: usize) -> &Story {
        &self.clients.app().stories[number]
    }

    /// A backend's story.
    pub(crate) fn backend(&self, number: usize) -> &Story {
        &self.backends.app().stories[number]
    }

    /// Lets a test act as a client.
    pub(crate) fn as_client<R>(&mut self, act: impl FnOnce(&mut Peers, &mut Stack) -> R) -> R {
        let (clients, stack) = self.clients.app_and_stack();
        act(clients, stack)
    }

    /// Lets a test act as a backend.
    pub(crate) fn as_backend<R>(&mut self, act: impl FnOnce(&mut Peers, &mut Stack) -> R) -> R {
        let (backends, stack) = self.backends.app_and_stack();
        act(backends, stack)
    }

    /// A backend's process dies: its listener goes, and all of its flows are reset.
    pub(crate) fn kill_backend(&mut self, role: u32) {
        let listener = self.backend_listeners[role as usize];
        self.as_backend(|backends, stack| {
            stack.unlisten(listener);
            let flows: Vec<_> = backends.of_role(role).map(|story| story.flow).collect();
            flows.into_iter().for_each(|flow| stack.abort(flow));
        });
    }

    /// What service number 0 has done.
    pub(crate) fn report(&self) -> ServiceReport {
        self.report_of(0)
    }

    /// What the service of this number has done.
    pub(crate) fn report_of(&self, number: usize) -> ServiceReport {
        self.services.app().report().swap_remove(number)
    }

    /// What service number 0, a proxy, has done.
    pub(crate) fn proxy_counts(&self) -> ProxyCounts {
        self.report().proxy.expect("a proxy")
    }

    /// A figure of the services' worker.
    pub(crate) fn count(&self, counter: Counter) -> u64 {
        self.services.counters().of(counter)
    }
}

/// What holds between two turns.
fn check<A: App>(worker: &Worker<LinkPort, A>, ports: usize) {
    let counters = worker.counters();
    let fates = counters.of(Counter::Delivered)
        + counters.of(Counter::Answered)
        + counters.discarded_total();
    assert_eq!(counters.of(Counter::RxFrames), fates, "a frame has no fate");
    for port in 0..ports {
        let frames = worker.port(port).frame_counts();
        assert!(frames.is_exact(), "{frames:?}");
    }
}

/// What holds when there is no flow.
fn assert_no_leak<A: App>(worker: &Worker<LinkPort, A>, ports: usize) {
    let memory = worker.stack().memory();
    assert_eq!(
        memory.blocks_free, memory.blocks_total,
        "text blocks leaked"
    );
    assert_eq!(
        memory.range_sets_free, memory.range_sets_total,
        "range sets leaked"
    );
    for port in 0..ports {
        let frames = worker.port(port).frame_counts();
        assert_eq!(frames.held, 0, "frames leaked: {frames:?}");
    }
}
