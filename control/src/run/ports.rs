//! Opens the ports of a configuration, with what the configuration wraps around them.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use tidegate_config::{self as config, Config};
use tidegate_port::{
    Burst, Driver, Facts, Fault, FaultConfig, Frame, Impairment, Pcap, Port, PortCounters,
    PortFrameCounts, WaitFds,
};
use tidegate_wire::Instant;
use tidegate_worker::clock;

use super::settings;

/// A port of the worker: a driver, or one with wrappers around it.
///
/// The pcap file is outside of the faults: it shows what the worker has received and sent, while
/// `tcpdump` on the interface shows what the path has.
#[derive(Debug)]
pub(crate) enum WorkerPort {
    Plain(Driver),
    Fault(Fault<Driver>),
    Pcap(Pcap<Driver, File>),
    PcapFault(Pcap<Fault<Driver>, File>),
}

/// Opens all ports, in the order of the configuration.
pub(crate) fn open(config: &Config) -> Result<Vec<WorkerPort>> {
    config.ports.iter().map(open_one).collect()
}

fn open_one(port: &config::Port) -> Result<WorkerPort> {
    let driver = Driver::open(&settings::port(port))
        .with_context(|| format!("port {} cannot be opened", port.interface))?;
    Ok(match (&port.fault, &port.pcap) {
        (None, None) => WorkerPort::Plain(driver),
        (Some(fault), None) => WorkerPort::Fault(Fault::new(driver, damage(fault))),
        (None, Some(path)) => WorkerPort::Pcap(write_down(driver, path)?),
        (Some(fault), Some(path)) => {
            WorkerPort::PcapFault(write_down(Fault::new(driver, damage(fault)), path)?)
        }
    })
}

/// The same damage in both directions.
fn damage(fault: &config::PortFault) -> FaultConfig {
    let impairment = Impairment {
        loss: fault.loss,
        duplication: fault.duplicate,
        corruption: fault.corrupt,
        reordering: fault.reorder,
        delay: fault.delay,
        ..Impairment::default()
    };
    FaultConfig {
        seed: fault.seed,
        rx: impairment,
        tx: impairment,
    }
}

/// Wraps a port whose frames are to be written to this file.
fn write_down<P: Port>(port: P, path: &Path) -> Result<Pcap<P, File>> {
    let file = File::create(path).with_context(|| format!("pcap file {}", path.display()))?;
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // The worker's time counts from some moment of its own; the file's counts from 1970.
    let start = since_1970.saturating_sub(Duration::from_nanos(clock::now().as_nanos()));
    Pcap::new(port, file, start).with_context(|| format!("pcap file {}", path.display()))
}

/// Calls the same method of whichever port it is.
macro_rules! each {
    ($self:expr, $port:ident => $call:expr) => {
        match $self {
            WorkerPort::Plain($port) => $call,
            WorkerPort::Fault($port) => $call,
            WorkerPort::Pcap($port) => $call,
            WorkerPort::PcapFault($port) => $call,
        }
    };
}

impl Port for WorkerPort {
    fn facts(&self) -> &Facts {
        each!(self, port => port.facts())
    }

    fn rx_burst(&mut self, burst: &mut Burst, now: Instant) {
        each!(self, port => port.rx_burst(burst, now));
    }

    fn tx_burst(&mut self, burst: &mut Burst, now: Instant) {
        each!(self, port => port.tx_burst(burst, now));
    }

    fn take_frame(&mut self) -> Option<Frame> {
        each!(self, port => port.take_frame())
    }

    fn give_frame(&mut self, frame: Frame) {
        each!(self, port => port.give_frame(frame));
    }

    fn frame_counts(&self) -> PortFrameCounts {
        each!(self, port => port.frame_counts())
    }

    fn counters(&self) -> PortCounters {
        each!(self, port => port.counters())
    }

    fn wait_fds<'a>(&'a self, fds: &mut WaitFds<'a>) {
        each!(self, port => port.wait_fds(fds));
    }

    fn next_event(&self) -> Option<Instant> {
        each!(self, port => port.next_event())
    }
}
