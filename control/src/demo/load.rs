//! The clients of the demo: threads in the client's namespace, on the kernel's TCP, that check
//! every answer.
//!
//! Some keep one connection open and send request after request; some open a connection for each
//! request. Of the latter, every second lets the server close first, so that TIME_WAIT is met on
//! both sides.

use std::io::{BufReader, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use hdrhistogram::Histogram;

use super::http;
use crate::topology::Namespace;

/// How long a connection or an answer may take before it counts as wrong. Far more than a lost
/// segment costs, so that only what is broken fails, also on a slow machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// Pause of a client between two connections. It bounds the rate, and with it the number of ports
/// that wait in TIME_WAIT: 100 a second for 60 s, out of 28,000 that Linux has.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(10);

/// Pause after a failure, so that a dead service is not hammered.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Every so many requests ask for an answer of many segments.
const LONG_EVERY: u64 = 16;

/// The lines of such an answer; about 30 kB.
const LONG_LINES: u32 = 1500;

/// Sentences kept about what went wrong; the number of failures is exact all the same.
const FAULTS_MAX: usize = 8;

/// How many clients of which kind, for each address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowd {
    /// Clients that keep their connection.
    pub(super) lasting: u32,
    /// Clients that open a connection for each request.
    pub(super) fleeting: u32,
}

impl Crowd {
    /// Each client: whether it keeps its connection.
    fn members(self) -> impl Iterator<Item = bool> {
        let lasting = (0..self.lasting).map(|_| true);
        lasting.chain((0..self.fleeting).map(|_| false))
    }
}

/// IPv4 or IPv6, as an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// What all clients together have seen so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// Right answers, by family, then by backend in the order of their names.
    right: [Vec<AtomicU64>; 2],
    wrong: AtomicU64,
    connections: AtomicU64,
    faults: Mutex<Vec<String>>,
}

impl Tally {
    fn new(backends: usize) -> Self {
        let row = || (0..backends).map(|_| AtomicU64::new(0)).collect();
        Self {
            right: [row(), row()],
            wrong: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            faults: Mutex::new(Vec::new()),
        }
    }

    /// Right answers of one backend over one family.
    pub(super) fn right(&self, family: Family, backend: usize) -> u64 {
        self.right[family as usize][backend].load(Ordering::Relaxed)
    }

    /// Right answers of one backend.
    pub(super) fn right_of(&self, backend: usize) -> u64 {
        Family::ALL
            .iter()
            .map(|family| self.right(*family, backend))
            .sum()
    }

    /// Requests that got a wrong answer or none.
    pub(super) fn wrong(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// Connections that were opened.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// The first few things that went wrong.
    pub(super) fn faults(&self) -> Vec<String> {
        self.faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count_wrong(&self, fault: String) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() < FAULTS_MAX {
            faults.push(fault);
        }
    }
}

/// The running clients. Dropping it tells them to stop and waits until they have.
#[derive(Debug)]
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<Histogram<u64>>>,
}

impl Load {
    /// Starts the clients in the namespace, against the services at these addresses.
    pub(super) fn start(
        namespace: &Namespace,
        services: &[SocketAddr],
        backends: &[&str],
        crowd: Crowd,
    ) -> Result<Self> {
        let mut load = Self {
            stop: Arc::new(AtomicBool::new(false)),
            tally: Arc::new(Tally::new(backends.len())),
            clients: Vec::new(),
        };
        for service in services {
            for lasting in crowd.members() {
                let client = Client {
                    number: load.clients.len(),
                    service: *service,
                    family: Family::of(service.ip()),
                    lasting,
                    backends: backends.iter().map(|name| (*name).to_owned()).collect(),
                    stop: Arc::clone(&load.stop),
                    tally: Arc::clone(&load.tally),
                };
                let name = format!("client-{}", client.number);
                load.clients.push(namespace.spawn(&name, || client.run())?);
            }
        }
        Ok(load)
    }

    /// What they have seen so far.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Lets each client finish the request it is at, and returns the latencies in nanoseconds.
    pub(super) fn stop(mut self) -> Result<Histogram<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = latencies();
        for client in std::mem::take(&mut self.clients) {
            let one = client
                .join()
                .map_err(|_| anyhow!("a client thread panicked"))?;
            all.add(one).context("latencies of one range")?;
        }
        Ok(all)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // Reached only when something else failed, which is what the user hears of.
            let _ = client.join();
        }
    }
}

/// An empty histogram: nanoseconds from 1 us to a minute, three digits.
fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are in order")
}

/// One client.
struct Client {
    number: usize,
    service: SocketAddr,
    family: Family,
    lasting: bool,
    backends: Vec<String>,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
}

impl Client {
    fn run(self) -> Histogram<u64> {
        let mut latency = latencies();
        let mut sent = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let before = sent;
            if let Err(error) = self.converse(&mut sent, &mut latency) {
                let (number, service) = (self.number, self.service);
                self.tally.count_wrong(format!(
                    "client {number}, request {sent} to {service}: {error:#}"
                ));
                thread::sleep(AFTER_FAILURE);
            } else if !self.lasting && sent > before {
                thread::sleep(BETWEEN_CONNECTIONS);
            }
        }
        latency
    }

    /// One connection: opened, used, closed.
    fn converse(&self, sent: &mut u64, latency: &mut Histogram<u64>) -> Result<()> {
        let begun = Instant::now();
        let stream = TcpStream::connect_timeout(&self.service, PATIENCE).context("connecting")?;
        self.tally.connections.fetch_add(1, Ordering::Relaxed);
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .context("read timeout")?;
        stream
            .set_write_timeout(Some(PATIENCE))
            .context("write timeout")?;
        let mut answers = BufReader::new(&stream);
        let mut begun = Some(begun).filter(|_| !self.lasting);
        loop {
            let close = !self.lasting && *sent % 2 == 1;
            let target = self.target(*sent);
            *sent += 1;
            // The first request of a short connection pays for the handshake, as its user does.
            let since = begun.take().unwrap_or_else(Instant::now);
            http::write_request(&stream, "tidegate", &target, close).context("sending")?;
            let answer = http::read_answer(&mut answers).context("waiting for the answer")?;
            let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            latency.saturating_record(took);
            self.check(&target, &answer)?;
            if close {
                return nothing_more(&mut answers);
            }
            if !self.lasting || self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    /// A target that no other request of this run has.
    fn target(&self, sent: u64) -> String {
        let number = self.number;
        if sent % LONG_EVERY == LONG_EVERY - 1 {
            format!("/{number}/{sent}?lines={LONG_LINES}")
        } else {
            format!("/{number}/{sent}")
        }
    }

    /// The answer must be exactly what one of the backends says to this target.
    fn check(&self, target: &str, answer: &http::Answer) -> Result<()> {
        if answer.status != 200 {
            bail!("the status is {}", answer.status);
        }
        let of = |name: &String| answer.body == http::body(name, target);
        let Some(backend) = self.backends.iter().position(of) else {
            let shown: String = String::from_utf8_lossy(&answer.body)
                .chars()
                .take(60)
                .collect();
            bail!(
                "to {target} no backend says these {} bytes: {shown:?}",
                answer.body.len()
            );
        };
        self.tally.right[self.family as usize][backend].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The server was asked to close after its answer: its FIN must come, and nothing before it.
fn nothing_more(answers: &mut impl Read) -> Result<()> {
    match answers.read(&mut [0]).context("waiting for the end")? {
        0 => Ok(()),
        _ => bail!("there is text after the last answer"),
    }
}
