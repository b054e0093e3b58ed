//! `Driver`: one of the real ports (or a simulated end), chosen when it is opened.
//!
//! A worker is compiled for `Driver`; the choice costs one predictable branch a burst.

mod filter;
mod packet;
mod tap;
mod xdp;

use core::net::IpAddr;
use std::io;

use af_xdp::Frame;
use tidegate_wire::Instant;

pub use packet::PacketPort;
pub use tap::TapPort;
pub use xdp::XdpPort;

use crate::{
    Burst, DriverChoice, DriverKind, Error, Facts, LinkPort, OpenConfig, Port, PortCounters,
    PortDrop, PortFrameCounts, WaitFds, host,
};

/// What to know about a veth where no XDP program in the driver keeps the peer from handing over
/// segments of up to 64 KiB, as virtual interfaces do among themselves.
fn note_of_uncut_segments(interface: &host::Interface) -> Option<String> {
    let name = &interface.name;
    (interface.kind.as_deref() == Some("veth")).then(|| {
        format!(
            "{name} is a veth: segments longer than a frame, which a kernel at its other end hands \
             over uncut, are dropped as rx_too_long: there, `ethtool -K <peer> tso off`"
        )
    })
}

/// A port on an interface of this machine, by whichever driver works there.
#[derive(Debug)]
pub enum Driver {
    /// AF_XDP sockets.
    AfXdp(XdpPort),
    /// A raw packet socket.
    AfPacket(PacketPort),
    /// A TAP device.
    Tap(TapPort),
    /// One end of a simulated link.
    Link(LinkPort),
}

/// Calls the same method of whichever port it is.
macro_rules! each {
    ($self:expr, $port:ident => $call:expr) => {
        match $self {
            Driver::AfXdp($port) => $call,
            Driver::AfPacket($port) => $call,
            Driver::Tap($port) => $call,
            Driver::Link($port) => $call,
        }
    };
}

impl Driver {
    /// Opens a port as the configuration says.
    ///
    /// # Errors
    ///
    /// When the driver asked for cannot be used; with the driver left open, when none can.
    pub fn open(config: &OpenConfig) -> Result<Self, Error> {
        let mut drivers = Self::open_many(config, 1)?;
        Ok(drivers.pop().expect("as many as were asked for"))
    }

    /// Opens `ports` ports on one interface, one for each worker. The interface's queues are
    /// shared out among them; each has packet memory of its own, as large as the configuration
    /// says. Which of them a frame comes in at is up to the interface.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and when the interface has fewer queues than ports.
    pub fn open_many(config: &OpenConfig, ports: u32) -> Result<Vec<Self>, Error> {
        match config.driver {
            DriverChoice::Auto => Self::open_any(config, ports),
            DriverChoice::AfXdp => Self::open_kind(DriverKind::AfXdp, config, ports),
            DriverChoice::AfPacket => Self::open_kind(DriverKind::AfPacket, config, ports),
            DriverChoice::Tap => Self::open_kind(DriverKind::Tap, config, ports),
        }
    }

    /// Answers for these addresses, and no longer for others, from now on.
    ///
    /// # Errors
    ///
    /// When the kernel cannot hold so many.
    pub fn set_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        match self {
            Self::AfXdp(port) => port.set_addresses(addresses),
            Self::AfPacket(port) => port.set_addresses(addresses),
            // Whatever is on the cable is for us.
            Self::Tap(_) | Self::Link(_) => Ok(()),
        }
    }

    fn open_kind(kind: DriverKind, config: &OpenConfig, ports: u32) -> Result<Vec<Self>, Error> {
        match kind {
            DriverKind::AfXdp => Ok(wrap(XdpPort::open(config, ports)?, Self::AfXdp)),
            DriverKind::AfPacket => Ok(wrap(PacketPort::open(config, ports)?, Self::AfPacket)),
            DriverKind::Tap => Ok(wrap(TapPort::open(config, ports)?, Self::Tap)),
            DriverKind::Link => Err(Error::config(
                &config.interface,
                "a simulated link is made as a pair, not opened",
            )),
        }
    }

    /// Tries one driver after the other, and notes why.
    fn open_any(config: &OpenConfig, ports: u32) -> Result<Vec<Self>, Error> {
        // A name that nothing has is more often a slip than the wish for a new TAP device.
        if let Err(error) = host::interface(&config.interface)
            && error.errno() == Some(libc::ENODEV)
        {
            let what = "there is no interface of this name; `ip link` shows those there are, and \
                the driver tap, when it is asked for by name, makes a TAP device";
            return Err(Error::config(&config.interface, what));
        }
        let mut attempts = Vec::new();
        for kind in order(config) {
            match Self::open_kind(kind, config, ports) {
                Ok(mut drivers) => {
                    drivers
                        .iter_mut()
                        .for_each(|driver| driver.add_notes(&attempts));
                    return Ok(drivers);
                }
                Err(error) => attempts.push((kind, error)),
            }
        }
        Err(Error::NoDriver {
            interface: config.interface.clone(),
            attempts,
        })
    }

    /// Says which driver was taken, and what the ones before it said.
    fn add_notes(&mut self, attempts: &[(DriverKind, Error)]) {
        let facts = each!(self, port => port.facts_mut());
        let choice = match attempts {
            [] => format!("{} was tried first and works", facts.driver),
            _ => format!("{} is the first driver that works", facts.driver),
        };
        let failures = attempts
            .iter()
            .map(|(kind, error)| format!("{kind} cannot be used: {error}"));
        facts
            .notes
            .splice(0..0, core::iter::once(choice).chain(failures));
    }
}

fn wrap<P>(ports: Vec<P>, variant: impl Fn(P) -> Driver) -> Vec<Driver> {
    ports.into_iter().map(variant).collect()
}

/// In which order drivers are tried: the fastest first. An interface that is itself a TAP device
/// is best entered at its far end, where no kernel stack competes for the frames.
fn order(config: &OpenConfig) -> [DriverKind; 3] {
    let is_tap = host::interface(&config.interface)
        .is_ok_and(|interface| interface.is_ethernet && interface.kind.as_deref() == Some("tun"));
    if is_tap {
        [DriverKind::Tap, DriverKind::AfXdp, DriverKind::AfPacket]
    } else {
        [DriverKind::AfXdp, DriverKind::AfPacket, DriverKind::Tap]
    }
}

/// What became of a frame that the kernel refused to send: dropped for a reason, or `None` when
/// it may be sent later.
fn tx_drop(error: &io::Error) -> Option<PortDrop> {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR) => None,
        Some(libc::EMSGSIZE) => Some(PortDrop::TxTooLong),
        Some(libc::EINVAL) => Some(PortDrop::TxInvalid),
        _ => Some(PortDrop::TxRefused),
    }
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
