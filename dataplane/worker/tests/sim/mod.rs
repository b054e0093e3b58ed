//! Two workers on a simulated link, in simulated time, from one seed.
//!
//! `Net::step` gives both workers their turn and moves time to the next thing that happens. After
//! each step the invariants of both are checked: each received frame ended in exactly one way, each
//! frame of packet memory is in exactly one place.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

pub(crate) mod apps;
pub(crate) mod probe;

use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

use tidegate_port::{Impairment, Link, LinkConfig, LinkPort, Port};
use tidegate_tcp::{Settings, State};
use tidegate_wire::Instant;
use tidegate_worker::{App, Cidr, Counter, Interface, Worker, WorkerConfig};

/// Address of end A, of either version.
pub(crate) const A4: &str = "192.0.2.1/24";
pub(crate) const A6: &str = "2001:db8::1/64";
/// Address of end B.
pub(crate) const B4: &str = "192.0.2.2/24";
pub(crate) const B6: &str = "2001:db8::2/64";

pub(crate) fn ip(cidr: &str) -> IpAddr {
    cidr.parse::<Cidr>().unwrap().addr
}

/// The seeds of a test: `first` and those after it. `TIDEGATE_SEEDS` says how many instead, or
/// which, as `1000..2000`; `TIDEGATE_SEED` takes that one alone, to see it fail again.
pub(crate) fn seeds(first: u64, count: u64) -> Range<u64> {
    let asked = |name| std::env::var(name).ok();
    let number = |text: &str| text.parse::<u64>().expect("a number of seeds");
    if let Some(seed) = asked("TIDEGATE_SEED") {
        let seed = number(&seed);
        return seed..seed + 1;
    }
    match asked("TIDEGATE_SEEDS") {
        Some(seeds) => match seeds.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => first..first + number(&seeds),
        },
        None => first..first + count,
    }
}

/// What a test can choose.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) link: LinkConfig,
    pub(crate) settings: Settings,
    pub(crate) config: WorkerConfig,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            link: LinkConfig {
                seed,
                frames: 1_024,
                ..LinkConfig::default()
            },
            // A short TIME_WAIT keeps tables small; all else is as users have it.
            settings: Settings {
                time_wait: Duration::from_secs(2),
                ..Settings::default()
            },
            config: WorkerConfig::default(),
        }
    }

    /// The same faults in both directions.
    pub(crate) fn impaired(mut self, impairment: Impairment) -> Self {
        self.link.a_to_b = impairment;
        self.link.b_to_a = impairment;
        self
    }

    pub(crate) fn build<A: App, B: App>(self, a: A, b: B) -> Net<A, B> {
        let (port_a, port_b) = Link::pair(self.link).unwrap();
        let link = port_a.link();
        Net {
            a: self.worker(port_a, a, &[A4, A6]),
            b: self.worker(port_b, b, &[B4, B6]),
            link,
            now: Instant::from_secs(1),
            seed: Seed(self.seed),
        }
    }

    fn worker<P: App>(&self, port: LinkPort, app: P, addresses: &[&str]) -> Worker<LinkPort, P> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&self.seed.to_le_bytes());
        secret[8] = port.facts().mac.0[5];
        let config = WorkerConfig {
            secret,
            settings: vec![self.settings],
            interfaces: vec![Interface::new(port.facts(), addresses, Vec::new())],
            ..self.config.clone()
        };
        Worker::new(config, vec![port], app).unwrap()
    }
}

pub(crate) struct Net<A: App, B: App> {
    pub(crate) a: Worker<LinkPort, A>,
    pub(crate) b: Worker<LinkPort, B>,
    pub(crate) link: Link,
    pub(crate) now: Instant,
    seed: Seed,
}

/// Prints the seed when a test panics, with the command that plays it again.
#[derive(Debug)]
pub(crate) struct Seed(pub(crate) u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (package, tests) = (env!("CARGO_PKG_NAME"), env!("CARGO_CRATE_NAME"));
            let current = std::thread::current();
            let test = current.name().unwrap_or_default();
            report(&format!(
                "seed {0}: TIDEGATE_SEED={0} cargo test -p {package} --test {tests} {test}",
                self.0
            ));
        }
    }
}

#[allow(
    clippy::disallowed_macros,
    reason = "a failed test tells its seed; where the corpus is replayed no macro is banned"
)]
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
}

/// All figures of a worker that are not zero.
pub(crate) fn figures<P: Port, A: App>(worker: &Worker<P, A>) -> String {
    worker.publish();
    let snapshot = worker.counters().snapshot();
    let figures: Vec<String> = snapshot
        .iter()
        .filter(|(_, value)| *value != 0)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    figures.join(" ")
}

impl<A: App, B: App> Net<A, B> {
    /// The workers alone, for threads of their own.
    pub(crate) fn into_workers(self) -> (Worker<LinkPort, A>, Worker<LinkPort, B>) {
        (self.a, self.b)
    }

    /// Both have their turn; then time moves on, but not beyond `end`. Answers false when nothing
    /// will happen until then.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        let is_busy = self.a.turn(self.now) | self.b.turn(self.now);
        check(&self.a);
        check(&self.b);
        if is_busy {
            return true;
        }
        let deadlines = [self.a.next_deadline(), self.b.next_deadline()];
        let next = deadlines.into_iter().flatten().min();
        // Whoever says "now" and then has nothing to do must not stop time.
        let next = next.map(|next| next.max(self.now + Duration::from_micros(1)));
        let next = next.filter(|next| *next <= end);
        self.now = next.unwrap_or(end);
        next.is_some()
    }

    /// Steps until `is_done`, at most for `limit` of simulated time.
    pub(crate) fn run_until(&mut self, limit: Duration, is_done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !is_done(self) {
            if !self.step(end) {
                return is_done(self);
            }
        }
        true
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Runs until all flows have gone, and checks that everything they had has come back.
    pub(crate) fn run_until_empty(&mut self, limit: Duration) {
        let is_empty = |net: &Self| net.a.stack().flows() == 0 && net.b.stack().flows() == 0;
        let has_ended = self.run_until(limit, is_empty);
        assert!(
            has_ended,
            "a: {}\nb: {}",
            figures(&self.a),
            figures(&self.b)
        );
        // What is under way on the link or waits for a neighbour has its time too.
        self.run_for(Duration::from_secs(60));
        check_no_leak(&self.a);
        check_no_leak(&self.b);
    }
}

/// What holds between two turns.
pub(crate) fn check<P: Port, A: App>(worker: &Worker<P, A>) {
    let counters = worker.counters();
    let ends = counters.of(Counter::Delivered)
        + counters.of(Counter::Answered)
        + counters.discarded_total();
    assert_eq!(counters.of(Counter::RxFrames), ends, "a frame has no fate");
    let frames = worker.port(0).frame_counts();
    assert!(frames.is_exact(), "{frames:?}");
    let in_states: u64 = State::ALL
        .iter()
        .map(|state| counters.in_state(*state))
        .sum();
    assert_eq!(in_states, u64::from(worker.stack().flows()));
    let port = worker.port(0).counters();
    assert_eq!(port.rx_frames, counters.of(Counter::RxFrames));
}

/// What holds when there is no flow.
pub(crate) fn check_no_leak<P: Port, A: App>(worker: &Worker<P, A>) {
    let memory = worker.stack().memory();
    assert_eq!(
        memory.blocks_free, memory.blocks_total,
        "text blocks leaked"
    );
    assert_eq!(
        memory.range_sets_free, memory.range_sets_total,
        "range sets leaked"
    );
    assert_eq!(
        memory.send_logs_free, memory.send_logs_total,
        "send logs leaked"
    );
    assert_eq!(
        (memory.bbr_free, memory.rate_logs_free),
        (memory.bbr_total, memory.bbr_total),
        "records of BBR leaked"
    );
    let frames = worker.port(0).frame_counts();
    assert_eq!(frames.held, 0, "frames leaked: {frames:?}");
    assert_eq!(worker.stack().flows(), 0);
}
