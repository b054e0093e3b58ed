//! The two maps by which user space steers the program: which addresses are owned, and which
//! socket serves which queue.

use std::net::IpAddr;

use crate::error::Error;
use crate::sys::bpf::{Map, MapKind};

/// A key of the address map: 16 bytes of address, IPv4 as `::ffff:a.b.c.d` (RFC 4291 2.5.5.2),
/// then a port in network order and two bytes of zero. Port 0 means the whole address, which is
/// the only thing the program looks for today.
const KEY_LEN: usize = 20;

/// A value of the address map. Only that it is there counts.
const VALUE_LEN: usize = 4;

/// The maps of a program.
#[derive(Debug)]
pub(super) struct Maps {
    pub(super) addresses: Map,
    /// By queue index: the socket (`BPF_MAP_TYPE_XSKMAP`).
    pub(super) sockets: Map,
}

impl Maps {
    /// Maps for up to `addresses` addresses and queues below `queues`.
    pub(super) fn new(addresses: u32, queues: u32) -> Result<Self, Error> {
        let failed = |errno| {
            Error::new(
                "bpf(BPF_MAP_CREATE)",
                errno,
                match errno {
                    libc::EPERM => "run with CAP_BPF and CAP_NET_ADMIN outside of a user namespace",
                    libc::EINVAL => "use at least one address and one queue",
                    _ => "use fewer addresses and queues",
                },
            )
        };
        Ok(Self {
            addresses: Map::create(MapKind::Hash, KEY_LEN, VALUE_LEN, addresses).map_err(failed)?,
            sockets: Map::create(MapKind::XskMap, 4, 4, queues).map_err(failed)?,
        })
    }

    /// Redirects what is for `address`; nothing changes if it was redirected already.
    pub(super) fn own(&self, address: IpAddr) -> Result<(), Error> {
        self.addresses
            .set(&key(address), &1u32.to_ne_bytes())
            .map_err(|errno| {
                let call = "bpf(BPF_MAP_UPDATE_ELEM)";
                Error::new(
                    call,
                    errno,
                    match errno {
                        libc::E2BIG => "allow more addresses in the configuration of the program",
                        _ => "see bpf(2)",
                    },
                )
            })
    }

    /// Leaves what is for `address` to the kernel; nothing changes if it was left already.
    pub(super) fn disown(&self, address: IpAddr) -> Result<(), Error> {
        match self.addresses.remove(&key(address)) {
            Ok(()) | Err(libc::ENOENT) => Ok(()),
            Err(errno) => Err(Error::new("bpf(BPF_MAP_DELETE_ELEM)", errno, "see bpf(2)")),
        }
    }

    /// Sends what is redirected on `queue` to the socket with this descriptor. The kernel takes a
    /// socket out when it is closed.
    pub(super) fn serve(&self, queue: u32, socket: i32) -> Result<(), Error> {
        self.sockets
            .set(&queue.to_ne_bytes(), &socket.to_ne_bytes())
            .map_err(|errno| {
                let call = "bpf(BPF_MAP_UPDATE_ELEM)";
                Error::new(
                    call,
                    errno,
                    match errno {
                        libc::E2BIG => "allow more queues in the configuration of the program",
                        _ => "see bpf(2)",
                    },
                )
            })
    }
}

fn key(address: IpAddr) -> [u8; KEY_LEN] {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let mut key = [0; KEY_LEN];
    key[..16].copy_from_slice(&address.octets());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_and_its_mapped_form_are_one_key() {
        let v4 = key("192.0.2.7".parse().unwrap());
        assert_eq!(v4, key("::ffff:192.0.2.7".parse().unwrap()));
        assert_eq!(v4[10..], [0xff, 0xff, 192, 0, 2, 7, 0, 0, 0, 0]);
    }
}
