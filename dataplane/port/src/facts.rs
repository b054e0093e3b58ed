//! What was found out about an interface when it was opened, and what was decided.

use core::fmt;

use tidegate_wire::{MacAddr, RxChecksum};

/// What a port is, for its worker and for the operator.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The interface's name, or the name of a simulated end.
    pub name: String,
    /// Which driver carries the frames.
    pub driver: DriverKind,
    /// Our hardware address on this port.
    pub mac: MacAddr,
    /// The longest datagram (layer 3) that may be sent, in bytes.
    pub mtu: u32,
    /// What the port does for those who send.
    pub offloads: Offloads,
    /// How far checksums of received segments can be trusted here.
    pub rx_checksum: RxChecksum,
    /// One entry for each queue that is in use.
    pub queues: Vec<QueueFacts>,
    /// Why this driver was taken and others were not, and what could be better, a sentence each.
    pub notes: Vec<String>,
}

/// Work that a sender may leave to the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// A frame may carry only the pseudo-header's sum, with `Frame::set_tx_checksum` saying
    /// where; the port, the kernel or the hardware finishes it.
    pub tx_checksum: bool,
}

/// How one queue of a port is driven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueFacts {
    /// The queue's number at the interface.
    pub queue: u32,
    /// The modes in words, for example `native, copy, need_wakeup`.
    pub mode: String,
}

/// Which of the drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// AF_XDP sockets: frames are redirected before the kernel's stack.
    AfXdp,
    /// A raw packet socket: frames are copied beside the kernel's stack.
    AfPacket,
    /// A TAP device: the kernel is the peer.
    Tap,
    /// A simulated link in memory.
    Link,
}

impl DriverKind {
    /// The name that the configuration and all output use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AfXdp => "af_xdp",
            Self::AfPacket => "af_packet",
            Self::Tap => "tap",
            Self::Link => "link",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
