//! `Driver`: one of the real ports (or a simulated end), chosen when it is opened.
//!
//! A worker is compiled for `Driver`; the choice costs one predictable branch a burst.

use af_xdp::Frame;
use tidegate_wire::Instant;

use crate::{
    Burst, Error, Facts, LinkPort, OpenConfig, Port, PortCounters, PortFrameCounts, WaitFds,
};

/// A port on an interface of this machine, by whichever driver works there.
#[derive(Debug)]
pub enum Driver {
    /// One end of a simulated link.
    Link(LinkPort),
}

impl Driver {
    /// Opens a port as the configuration says.
    ///
    /// # Errors
    ///
    /// When the driver asked for cannot be used; with the driver left open, when none can.
    pub fn open(config: &OpenConfig) -> Result<Self, Error> {
        Err(Error::config(&config.interface, "no driver is built in"))
    }
}

/// Calls the same method of whichever port it is.
macro_rules! each {
    ($self:expr, $port:ident => $call:expr) => {
        match $self {
            Driver::Link($port) => $call,
        }
    };
}

impl Port for Driver {
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
