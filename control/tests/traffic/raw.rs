//! Frames by hand: a packet socket in the client's namespace, beside the kernel's stack.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use tidegate::topology::Namespace;

use crate::wait_until;

/// The longest frame of an interface with MTU 1500.
pub(crate) const FRAME_MAX: usize = 1514;

/// A packet socket that sees, and sends on, the one interface of a kernel's namespace.
pub(crate) struct Raw {
    socket: OwnedFd,
    interface: LinkAddr,
}

impl Raw {
    pub(crate) fn open(namespace: &Namespace) -> Self {
        Self::on(namespace, "eth0")
    }

    /// The same on an interface of this name.
    pub(crate) fn on(namespace: &Namespace, name: &str) -> Self {
        namespace.run(|| {
            let interface = getifaddrs()
                .unwrap()
                .filter(|entry| entry.interface_name == name)
                .find_map(|entry| entry.address?.as_link_addr().copied())
                .expect("the namespace has such an interface");
            let socket = socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
                SockProtocol::EthAll,
            );
            let socket = socket.expect("root may open packet sockets");
            Self { socket, interface }
        })
    }

    /// The interface's own MAC address.
    pub(crate) fn mac(&self) -> [u8; 6] {
        self.interface.addr().expect("Ethernet")
    }

    /// Sends a frame as it is; waits while the other end of the veth pair has no room.
    pub(crate) fn send(&self, frame: &[u8]) {
        let fd = self.socket.as_raw_fd();
        wait_until("room for a frame", || {
            match sendto(fd, frame, &self.interface, MsgFlags::empty()) {
                Ok(_) => true,
                Err(Errno::ENOBUFS | Errno::EAGAIN) => false,
                Err(error) => panic!("a frame of {} bytes: {error}", frame.len()),
            }
        });
    }

    /// Frames of both directions that came by since the last call, as far as they were kept.
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => frames.push(buffer[..length].to_vec()),
                Err(Errno::EAGAIN) => return frames,
                Err(error) => panic!("reading frames: {}", io::Error::from(error)),
            }
        }
    }
}
