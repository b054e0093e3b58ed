//! What a worker is made of: sizes, settings, interfaces, and how it waits.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;
use std::io;

use tidegate_tcp::Settings;

use crate::route::Interface;

/// What a worker does while there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Look again for `spin`, then sleep in poll(2) until a frame, a command or the next deadline.
    Adaptive {
        /// How long to look again. Longer answers sooner after a short pause, and burns more.
        spin: Duration,
    },
    /// Look again for ever. Only for a core that the worker has for itself: on a shared one it
    /// starves its own peers.
    Spin,
    /// Sleep at once.
    Sleep,
}

impl Default for Idle {
    /// 50 us: about twice what going to sleep and waking up costs.
    fn default() -> Self {
        Self::Adaptive {
            spin: Duration::from_micros(50),
        }
    }
}

/// How a worker is made. All memory that it will ever use follows from this and is allocated by
/// [`Worker::new`](crate::Worker::new).
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Flows at a time, those in TIME_WAIT included.
    pub flows_max: u32,
    /// Of these, the most that may be in TIME_WAIT; one more and the oldest is forgotten.
    pub time_wait_max: u32,
    /// Blocks of 4096 bytes for text that was sent and not acknowledged, or received and not read.
    pub text_blocks: u32,
    /// Records of what came out of order; a flow with a gap in either direction needs one.
    pub range_sets: u32,
    /// Stations and routers on our links that are known at a time.
    pub neighbours_max: u32,
    /// Learn where a station on our link lives from any segment that comes from it, too, and not only
    /// from ARP and neighbour discovery. For laboratories, whose testers may make segments and
    /// nothing else: elsewhere it lets anybody on the link take the place of a station that has been
    /// silent for a while.
    pub trust_frames: bool,
    /// Commands that may wait to be obeyed.
    pub commands_max: u32,
    /// ICMP echo requests answered in a second.
    pub echo_replies_per_second: u32,
    /// Local ports of flows that we open.
    pub local_ports: RangeInclusive<u16>,
    /// What to do while there is nothing to do.
    pub idle: Idle,
    /// The core to run on, as the operating system numbers them.
    pub core: Option<usize>,
    /// 32 bytes out of a cryptographically secure generator, drawn anew for each start. Sequence
    /// numbers, timestamps, local ports and the flow table's hash depend on it.
    pub secret: [u8; 32],
    /// The settings that listeners and opens refer to, one at least.
    pub settings: Vec<Settings>,
    /// One interface for each port, in the same order.
    pub interfaces: Vec<Interface>,
}

impl Default for WorkerConfig {
    /// A small worker without interfaces and with a secret that is none: for tests and examples.
    fn default() -> Self {
        Self {
            flows_max: 1_024,
            time_wait_max: 512,
            text_blocks: 2_048,
            range_sets: 256,
            neighbours_max: 64,
            trust_frames: false,
            commands_max: 64,
            echo_replies_per_second: 1_000,
            local_ports: 32_768..=60_999,
            idle: Idle::default(),
            core: None,
            secret: [0; 32],
            settings: vec![Settings::default()],
            interfaces: Vec::new(),
        }
    }
}

/// Why a worker could not be made, or could not run.
#[derive(Debug)]
pub enum SetupError {
    /// There is not one interface for each port.
    Interfaces {
        /// Ports that were given.
        ports: usize,
        /// Interfaces that were configured.
        interfaces: usize,
    },
    /// A datagram of an interface's MTU does not fit into a frame of its port.
    Mtu {
        /// Name of the interface.
        interface: String,
        /// Its MTU, in bytes.
        mtu: u32,
        /// The largest that fits, in bytes.
        mtu_max: usize,
    },
    /// A size is zero or too large.
    Size {
        /// The field of [`WorkerConfig`].
        field: &'static str,
        /// The least value that works.
        min: u64,
        /// The largest value that works.
        max: u64,
    },
    /// The descriptor that wakes a sleeping worker could not be made.
    EventFd(io::Error),
    /// The worker could not be pinned to its core; there may be no such core, or this process may
    /// not use it.
    Core(usize),
    /// poll(2) failed.
    Poll(io::Error),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interfaces { ports, interfaces } => write!(
                f,
                "{interfaces} interfaces are configured for {ports} ports; give each port one"
            ),
            Self::Mtu {
                interface,
                mtu,
                mtu_max,
            } => write!(
                f,
                "{interface}: frames hold datagrams of {mtu_max} bytes at most, not of {mtu}; \
                 lower the MTU or use larger frames"
            ),
            Self::Size { field, min, max } => {
                write!(f, "{field} has to be from {min} to {max}")
            }
            Self::EventFd(error) => {
                write!(
                    f,
                    "eventfd: {error}; raise the limit of open files (ulimit -n)"
                )
            }
            Self::Core(core) => write!(
                f,
                "cannot run on core {core}; choose one that `taskset -p $$` shows as allowed"
            ),
            Self::Poll(error) => write!(f, "poll: {error}"),
        }
    }
}

impl core::error::Error for SetupError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::EventFd(error) | Self::Poll(error) => Some(error),
            Self::Interfaces { .. } | Self::Mtu { .. } | Self::Size { .. } | Self::Core(_) => None,
        }
    }
}

/// The most flows, slots of any kind, or neighbours: two values of a 32-bit index mark lists' ends.
const SLOTS_MAX: u64 = (1 << 31) - 1;

impl WorkerConfig {
    /// Whether everything has a size that works, for so many ports.
    pub(crate) fn check(&self, ports: usize) -> Result<(), SetupError> {
        if self.interfaces.len() != ports {
            return Err(SetupError::Interfaces {
                ports,
                interfaces: self.interfaces.len(),
            });
        }
        let settings = self.settings.len() as u64;
        let local_ports = self.local_ports.len() as u64;
        let sizes = [
            ("interfaces", ports as u64, u64::from(u16::MAX)),
            ("flows_max", u64::from(self.flows_max), SLOTS_MAX),
            ("time_wait_max", u64::from(self.time_wait_max), 1 << 30),
            ("text_blocks", u64::from(self.text_blocks), SLOTS_MAX),
            ("neighbours_max", u64::from(self.neighbours_max), SLOTS_MAX),
            ("commands_max", u64::from(self.commands_max), SLOTS_MAX),
            ("settings", settings, u64::from(u16::MAX)),
            ("local_ports", local_ports, 1 << 16),
        ];
        match sizes
            .into_iter()
            .find(|(_, size, max)| !(1..=*max).contains(size))
        {
            Some((field, _, max)) => Err(SetupError::Size { field, min: 1, max }),
            None => Ok(()),
        }
    }
}
