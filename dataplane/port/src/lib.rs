//! Ports: where frames come from and go to.
//!
//! [`Port`] is what a worker knows of an interface. A [`Driver`] is a port on an interface of this
//! machine: AF_XDP, a raw packet socket, or a TAP device. [`Link::pair`] makes two ports that are
//! the ends of a simulated link, for tests and benches. [`Pcap`] and [`Fault`] are ports around
//! another port: one writes down what passes, the other damages it, from a seed.
//!
//! [`host`] asks the kernel about interfaces and about this process.
//!
//! What is not here: no parsing of what is in a frame but the little that a filter needs, no ARP,
//! no decision about who gets a frame.

mod config;
mod counters;
mod driver;
mod error;
mod facts;
mod fault;
pub mod host;
mod impairment;
mod link;
mod memory;
mod path;
mod pcap;
mod port;
mod random;
mod sys;

pub use af_xdp::{Frame, FrameCounts, HEADROOM, TxChecksum};
pub use config::{BusyPoll, DriverChoice, FRAMES_MIN, OpenConfig, XdpMode, ZeroCopy};
pub use counters::{Direction, PortCounters, PortDrop, PortDrops};
pub use driver::{Driver, PacketPort, TapPort, XdpPort};
pub use error::Error;
pub use facts::{DriverKind, Facts, Offloads, QueueFacts};
pub use fault::{Fault, FaultConfig};
pub use impairment::Impairment;
pub use link::{End, Link, LinkConfig, LinkPort};
pub use path::LinkStatistics;
pub use pcap::{Pcap, PcapStatistics};
pub use port::{BURST, Burst, Port, PortFrameCounts, WAIT_FDS, WaitFds};
