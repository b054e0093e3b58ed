//! Network namespaces and veth pairs, made with the `ip` command (iproute2).
//!
//! The demo and the kernel tests build their small networks from this module. Everything made here
//! is removed when its owner is dropped, also by a panic. A process that was killed cannot do that,
//! so each namespace carries the pid of its maker in its name, and [`remove_leftovers`] removes
//! those whose maker is gone.
//!
//! It does not touch the namespace the process was started in: no interface, no address and no
//! route of the machine itself is made or changed.

mod folder;
mod ip;
mod leftover;
mod namespace;
mod process;
mod service;
mod three;

pub use folder::Folder;
pub use ip::{ip, ip_output};
pub use leftover::{Leftovers, remove_leftovers};
pub use namespace::Namespace;
pub use process::{Ended, Process};
pub use service::Service;
pub use three::{Plan, Side, Three};
