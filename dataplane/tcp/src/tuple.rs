//! The four-tuple that tells connections apart, RFC 9293 section 3.3.1 (its two sockets).
//!
//! Which interface a flow uses, and which worker owns it, is not known here.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// Local and remote address and port of a connection, as seen from this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FourTuple {
    /// Our address.
    pub local: IpAddr,
    /// Our port.
    pub local_port: u16,
    /// The peer's address.
    pub remote: IpAddr,
    /// The peer's port.
    pub remote_port: u16,
}

impl FourTuple {
    /// The same connection as the peer sees it.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            local: self.remote,
            local_port: self.remote_port,
            remote: self.local,
            remote_port: self.local_port,
        }
    }

    /// Our address and port.
    #[must_use]
    pub const fn local_socket(&self) -> SocketAddr {
        SocketAddr::new(self.local, self.local_port)
    }

    /// The peer's address and port.
    #[must_use]
    pub const fn remote_socket(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.remote_port)
    }
}

/// `local -> remote`, each as address and port, IPv6 addresses in brackets.
impl fmt::Display for FourTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local_socket(), self.remote_socket())
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn the_peer_sees_it_the_other_way_round() {
        let tuple = FourTuple {
            local: Ipv4Addr::new(192, 0, 2, 1).into(),
            local_port: 80,
            remote: Ipv4Addr::new(198, 51, 100, 7).into(),
            remote_port: 40_000,
        };
        assert_eq!(tuple.to_string(), "192.0.2.1:80 -> 198.51.100.7:40000");
        assert_eq!(
            tuple.reversed().to_string(),
            "198.51.100.7:40000 -> 192.0.2.1:80"
        );
        assert_eq!(tuple.reversed().reversed(), tuple);
        let six = FourTuple {
            local: Ipv6Addr::LOCALHOST.into(),
            ..tuple
        };
        assert_eq!(six.local_socket().to_string(), "[::1]:80");
    }
}
