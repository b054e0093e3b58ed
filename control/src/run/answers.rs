//! The answers to the questions of the admin protocol, out of what the worker tells and counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::id;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use crossbeam::channel::{Sender, bounded};
use tidegate_config::{Config, Service};
use tidegate_port::Facts;
use tidegate_service::{ServiceCommand, ServiceReport};
use tidegate_tcp::State;
use tidegate_wire::Discard;
use tidegate_worker::{Command, FlowRow, ListenerRow, Mailbox, TimeWaitRow};

use super::application::AppCommand;
use super::worker::Ready;
use crate::admin::{
    Answer, BackendCounters, Counters, Discarded, Flow, FlowPage, Listener, Phase, PortCounters,
    PortStatus, Request, Status, TcpInfo, Timer,
};

/// How long the worker may take to answer. It answers between two turns; this long, it is stuck.
const PATIENCE: Duration = Duration::from_secs(3);

/// Flows in a page where the client does not say how many it wants.
const PAGE: u32 = 1024;

/// Whether the process runs or drains; set by one thread, read by the others.
#[derive(Debug, Clone)]
pub(super) struct SharedPhase(Arc<AtomicBool>);

impl SharedPhase {
    pub(super) fn set(&self, phase: Phase) {
        self.0.store(phase == Phase::Draining, Ordering::Relaxed);
    }

    fn of(&self) -> Phase {
        if self.0.load(Ordering::Relaxed) {
            Phase::Draining
        } else {
            Phase::Running
        }
    }
}

/// Everything that answers are made of.
#[derive(Debug)]
pub(super) struct Answers {
    config: Config,
    facts: Vec<Facts>,
    mailbox: Mailbox<AppCommand>,
    started: Instant,
    phase: SharedPhase,
}

impl Answers {
    pub(super) fn new(config: Config, ready: Ready) -> Self {
        Self {
            config,
            facts: ready.facts,
            mailbox: ready.mailbox,
            started: Instant::now(),
            phase: SharedPhase(Arc::new(AtomicBool::new(false))),
        }
    }

    /// Where a change of the phase is told.
    pub(super) fn phase(&self) -> SharedPhase {
        self.phase.clone()
    }

    /// Answers one request.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        let answer = match request {
            Request::Status {} => Ok(Answer::Status(self.status())),
            Request::Flows { from, max, info } => {
                self.flows(from.as_deref(), *max, *info).map(Answer::Flows)
            }
            Request::Listeners {} => self
                .listeners()
                .map(|listeners| Answer::Listeners { listeners }),
            Request::Counters {} => self.counters().map(Answer::Counters),
        };
        answer.unwrap_or_else(|error| Answer::Error {
            message: format!("{error:#}"),
        })
    }

    fn status(&self) -> Status {
        let uptime = self.started.elapsed().as_millis();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: id(),
            uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX),
            phase: self.phase.of(),
            ports: self
                .facts
                .iter()
                .zip(&self.config.ports)
                .map(port_status)
                .collect(),
        }
    }

    /// Posts a command and waits for its answer.
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command<AppCommand>) -> Result<T> {
        let (sender, receiver) = bounded(1);
        self.mailbox.post(command(sender))?;
        receiver
            .recv_timeout(PATIENCE)
            .map_err(|_| anyhow!("the worker does not answer"))
    }

    fn flows(&self, from: Option<&str>, max: Option<u32>, info: bool) -> Result<FlowPage> {
        let from_slot = from.map_or(Ok(0), slot_of)?;
        let max = max.unwrap_or(PAGE);
        let page = self.ask(|reply| Command::Flows {
            from_slot,
            max,
            reply,
        })?;
        let flows = page.rows.iter().map(|row| self.flow(row, info));
        let waiting = page.time_waits.iter().map(|row| self.waiting(row));
        Ok(FlowPage {
            flows: flows.chain(waiting).collect(),
            next: page.next_slot.map(|slot| format!("0:{slot}")),
        })
    }

    fn flow(&self, row: &FlowRow, info: bool) -> Flow {
        let tcb = &row.tcb;
        let remote = SocketAddr::new(tcb.tuple.remote, tcb.tuple.remote_port);
        let listener = self.config.listeners.get(row.tag as usize);
        Flow {
            state: tcb.state.name().to_owned(),
            rcv_queue: tcb.rcv_queue,
            snd_queue: tcb.snd_queue,
            local: SocketAddr::new(tcb.tuple.local, tcb.tuple.local_port),
            remote,
            service: listener.map_or_else(String::new, |listener| listener.name.clone()),
            backend: listener
                .filter(|_| row.listener.is_none())
                .and_then(|listener| self.backend(&listener.service, remote)),
            timer: tcb.timer.map(|(name, remaining)| Timer {
                name: name.to_owned(),
                remaining_ms: u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX),
            }),
            retransmits: u32::from(tcb.retries),
            srtt_us: tcb.srtt.map(microseconds),
            rto_us: microseconds(tcb.rto),
            cwnd: tcb.cwnd,
            worker: 0,
            info: info.then(|| TcpInfo::from(tcb)),
        }
    }

    /// A connection in TIME_WAIT. Whose it was its settings tell.
    fn waiting(&self, row: &TimeWaitRow) -> Flow {
        let tuple = row.tuple;
        let remote = SocketAddr::new(tuple.remote, tuple.remote_port);
        let number = usize::from(row.settings.0);
        let listener = number
            .checked_sub(1)
            .and_then(|number| self.config.listeners.get(number));
        let pool = number.checked_sub(1 + self.config.listeners.len());
        Flow {
            state: State::TimeWait.name().to_owned(),
            rcv_queue: 0,
            snd_queue: 0,
            local: SocketAddr::new(tuple.local, tuple.local_port),
            remote,
            service: listener.map_or_else(String::new, |listener| listener.name.clone()),
            backend: pool.and_then(|pool| self.backend(&Service::Proxy { pool }, remote)),
            timer: Some(Timer {
                name: "timewait".to_owned(),
                remaining_ms: u64::try_from(row.remaining.as_millis()).unwrap_or(u64::MAX),
            }),
            retransmits: 0,
            srtt_us: None,
            rto_us: 0,
            cwnd: 0,
            worker: 0,
            info: None,
        }
    }

    /// `pool/backend` of a connection that a proxy has opened to this address.
    fn backend(&self, service: &Service, remote: SocketAddr) -> Option<String> {
        let Service::Proxy { pool } = service else {
            return None;
        };
        let pool = self.config.pools.get(*pool)?;
        let backend = pool
            .backends
            .iter()
            .find(|backend| backend.address == remote)?;
        Some(format!("{}/{}", pool.name, backend.name))
    }

    fn listeners(&self) -> Result<Vec<Listener>> {
        let rows: Vec<ListenerRow> = self.ask(|reply| Command::Listeners { reply })?;
        Ok(rows.iter().map(|row| self.listener(row)).collect())
    }

    fn listener(&self, row: &ListenerRow) -> Listener {
        let listen = &row.listen;
        let local = match listen.address {
            Some(address) => SocketAddr::new(address, listen.port).to_string(),
            None => format!("*:{}", listen.port),
        };
        let named = self.config.listeners.get(listen.tag as usize);
        Listener {
            local,
            service: named.map_or_else(String::new, |listener| listener.name.clone()),
            accept_queue: row.queued,
            backlog: listen.backlog,
            syn_queue: row.half_open,
            syn_backlog: listen.syn_backlog,
        }
    }

    fn counters(&self) -> Result<Counters> {
        let report = |reply| Command::App(AppCommand::Services(ServiceCommand::Report { reply }));
        let reports: Vec<ServiceReport> = self.ask(report)?;
        let snapshot = self.ask(|reply| Command::Counts { reply })?;
        let mut counters = Counters::default();
        for (name, value) in snapshot.iter() {
            place(&mut counters, name, value);
        }
        for (listener, report) in self.config.listeners.iter().zip(&reports) {
            for (backend, counts) in &report.backends {
                let name = format!("{}/{}/{backend}", listener.name, report.pool);
                let counts = BackendCounters {
                    opened: counts.opened,
                    failed: counts.failed,
                    active: counts.active,
                    text_to: counts.text_to,
                    text_from: counts.text_from,
                };
                counters.backends.insert(name, counts);
            }
        }
        Ok(counters)
    }
}

/// Puts a figure of the worker where the protocol has it, by the first part of its name.
fn place(counters: &mut Counters, name: &str, value: u64) {
    let (kind, rest) = name.split_once('.').unwrap_or(("", name));
    match kind {
        "state" => {
            counters.flows.insert(rest.to_owned(), value);
        }
        "discard" => place_discard(&mut counters.discards, rest, value),
        "tx_discard" => place_discard(&mut counters.tx_discards, rest, value),
        "port" => {
            // An interface's name may hold dots itself; the names after it do not, but for `drop.`.
            let (rest, drop) = match rest.rsplit_once(".drop.") {
                Some((port, drop)) => (port, Some(drop)),
                None => (rest, None),
            };
            let (port, count) = rest
                .rsplit_once('.')
                .filter(|_| drop.is_none())
                .unwrap_or((rest, ""));
            let port: &mut PortCounters = counters.ports.entry(port.to_owned()).or_default();
            let table = if drop.is_some() {
                &mut port.drops
            } else {
                &mut port.counts
            };
            table.insert(drop.unwrap_or(count).to_owned(), value);
        }
        _ => {
            counters.counters.insert(name.to_owned(), value);
        }
    }
}

fn place_discard(table: &mut BTreeMap<String, Discarded>, name: &str, count: u64) {
    let known = Discard::ALL.iter().find(|discard| discard.name() == name);
    let discarded = Discarded {
        count,
        severity: known
            .map_or("", |discard| discard.severity().name())
            .to_owned(),
        sentence: known.map_or("", |discard| discard.sentence()).to_owned(),
    };
    table.insert(name.to_owned(), discarded);
}

fn port_status((facts, port): (&Facts, &tidegate_config::Port)) -> PortStatus {
    PortStatus {
        interface: facts.name.clone(),
        driver: facts.driver.name().to_owned(),
        mac: facts.mac.to_string(),
        mtu: facts.mtu,
        addresses: port.addresses.iter().map(ToString::to_string).collect(),
        queues: facts
            .queues
            .iter()
            .map(|queue| queue.mode.clone())
            .collect(),
        notes: facts.notes.clone(),
    }
}

/// The slot in a page's name `WORKER:SLOT`. There is one worker, number 0.
fn slot_of(from: &str) -> Result<u32> {
    let slot = from.strip_prefix("0:").and_then(|slot| slot.parse().ok());
    slot.with_context(|| format!("there is no page {from:?}: give the `next` of the page before"))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_go_where_the_protocol_has_them() {
        let mut counters = Counters::default();
        for (name, value) in [
            ("accepted", 1),
            ("state.TIME_WAIT", 2),
            ("discard.tcp_checksum", 3),
            ("tx_discard.no_route", 4),
            ("port.eth0.100.rx_frames", 5),
            ("port.eth0.100.drop.rx_no_frame", 6),
        ] {
            place(&mut counters, name, value);
        }
        assert_eq!(counters.counters["accepted"], 1);
        assert_eq!(counters.flows["TIME_WAIT"], 2);
        let discarded = &counters.discards["tcp_checksum"];
        assert_eq!(
            (discarded.count, discarded.severity.as_str()),
            (3, "warning")
        );
        assert!(discarded.sentence.ends_with('.'));
        assert_eq!(counters.tx_discards["no_route"].count, 4);
        let port = &counters.ports["eth0.100"];
        assert_eq!(port.counts["rx_frames"], 5);
        assert_eq!(port.drops["rx_no_frame"], 6);
    }

    #[test]
    fn pages_are_named_by_worker_and_slot() {
        assert_eq!(slot_of("0:4096").unwrap(), 4096);
        for wrong in ["1:0", "0", "0:-1", "next"] {
            assert!(slot_of(wrong).is_err(), "{wrong}");
        }
    }
}
