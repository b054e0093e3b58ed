//! What the kernel says about an interface and about this process; asked when a port is opened
//! and by whoever checks a machine, never on the data path.
//!
//! Interfaces are asked for by netlink and ioctl, not read from /sys: those files show the network
//! namespace in which /sys was mounted, the system calls that of the calling thread.

mod ethtool;
mod interface;
mod process;

pub use ethtool::{Channels, Offload, channels, driver_name, offload, set_offload};
pub(crate) use interface::set_up;
pub use interface::{AttachedXdp, Interface, interface};
pub use process::{Capabilities, Capability, capabilities, memlock_limit};
