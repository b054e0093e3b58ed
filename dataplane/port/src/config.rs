//! How a port is to be opened. Values are typed; where they come from is `tidegate-config`'s
//! business.

use core::net::IpAddr;
use core::time::Duration;

use tidegate_wire::RxChecksum;

use crate::host::Interface;

/// What [`Driver::open`](crate::Driver::open) is asked for.
#[derive(Clone, Debug)]
pub struct OpenConfig {
    /// The interface's name. For [`DriverChoice::Tap`] the device is made where it is missing.
    pub interface: String,
    /// Which driver to use.
    pub driver: DriverChoice,
    /// How many of the interface's queues to use, from queue 0; `None`: all. Frames that the
    /// interface puts into a queue that is not used go to the kernel's stack.
    pub queues: Option<u32>,
    /// Frames of packet memory. At least [`FRAMES_MIN`] a queue: fewer starve one direction.
    pub frames: u32,
    /// The longest datagram to send, in bytes; `None` or more than the interface allows: as much
    /// as that.
    pub mtu: Option<u32>,
    /// The addresses that this port answers for. What is for other addresses stays with the
    /// kernel.
    pub addresses: Vec<IpAddr>,
    /// How far received checksums are to be trusted.
    pub rx_checksum: RxChecksum,
    /// Whether to use transmit checksum offload where the driver has it.
    pub tx_checksum_offload: bool,
    /// Where the XDP program is attached.
    pub xdp_mode: XdpMode,
    /// Whether frames are shared with the network card or copied.
    pub zero_copy: ZeroCopy,
    /// Preferred busy polling of the AF_XDP sockets; `None`: interrupts drive the card.
    pub busy_poll: Option<BusyPoll>,
}

/// The least number of frames for each queue: one burst being received, one being sent, and as
/// much again with the worker and the kernel.
pub const FRAMES_MIN: u32 = 256;

impl OpenConfig {
    /// The defaults for an interface: the best driver, all queues, 4096 frames, checksums
    /// verified, nothing owned yet.
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            driver: DriverChoice::Auto,
            queues: None,
            frames: 4096,
            mtu: None,
            addresses: Vec::new(),
            rx_checksum: RxChecksum::Verify,
            tx_checksum_offload: true,
            xdp_mode: XdpMode::Auto,
            zero_copy: ZeroCopy::Auto,
            busy_poll: None,
        }
    }

    /// The longest datagram to send on an interface: what was asked for, or what it allows.
    pub(crate) fn mtu_on(&self, interface: &Interface) -> u32 {
        self.mtu.map_or(interface.mtu, |mtu| mtu.min(interface.mtu))
    }
}

/// Which driver is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverChoice {
    /// AF_XDP, else AF_PACKET, else TAP; the facts' notes say which and why.
    #[default]
    Auto,
    /// AF_XDP or an error.
    AfXdp,
    /// AF_PACKET or an error.
    AfPacket,
    /// TAP or an error.
    Tap,
}

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the network card's driver where it can, else in the kernel's generic hook.
    #[default]
    Auto,
    /// In the network card's driver or not at all.
    Native,
    /// In the generic hook: slower, works with every driver.
    Generic,
}

/// Whether the network card reads and writes the frames itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroCopy {
    /// Where the card's driver can, else the kernel copies.
    #[default]
    Auto,
    /// Zero-copy or not at all.
    On,
    /// The kernel copies.
    Off,
}

/// Preferred busy polling (`SO_PREFER_BUSY_POLL`, Linux 5.11): the worker's own system calls run
/// the card's receive loop and interrupts stay off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyPoll {
    /// How long one call may look for frames (`SO_BUSY_POLL`, whole microseconds).
    pub duration: Duration,
    /// The most frames one call may receive (`SO_BUSY_POLL_BUDGET`).
    pub budget: u32,
}
