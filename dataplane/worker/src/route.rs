//! Interfaces, the addresses we own, and routes: which port a datagram leaves by, and to which
//! next hop.
//!
//! Routes are few: one for each network that an interface is connected to, and one default route
//! for each gateway. They are looked at one after the other, the longest prefix first. There is no
//! routing protocol, and no forwarding: what is not for us is discarded.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use tidegate_port::Facts;
use tidegate_wire::MacAddr;

/// An address with the length of its network's prefix, `192.0.2.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    /// The address, not only the network.
    pub addr: IpAddr,
    /// Bits of the prefix, at most 32 or 128.
    pub prefix: u8,
}

impl Cidr {
    /// Whether `address` is in the same network.
    #[must_use]
    pub const fn contains(&self, address: IpAddr) -> bool {
        match (self.addr, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                self.prefix == 0 || differing.leading_zeros() >= self.prefix as u32
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                self.prefix == 0 || differing.leading_zeros() >= self.prefix as u32
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether `address` is the broadcast address of this network, or the network itself (RFC 1122
    /// 3.2.1.3). Networks of one or two addresses have neither (RFC 3021), nor has IPv6.
    #[must_use]
    pub const fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(other) = address else {
            return false;
        };
        if !self.contains(address) || self.prefix > 30 {
            return false;
        }
        let host = u32::MAX >> self.prefix;
        other.to_bits() & host == host || other.to_bits() & host == 0
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// What is wrong with the text of a [`Cidr`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseCidrError;

impl fmt::Display for ParseCidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address with the length of its prefix, such as 192.0.2.1/24")
    }
}

impl core::error::Error for ParseCidrError {}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, ParseCidrError> {
        let (addr, prefix) = text.split_once('/').ok_or(ParseCidrError)?;
        let addr: IpAddr = addr.parse().map_err(|_| ParseCidrError)?;
        let prefix = prefix.parse().map_err(|_| ParseCidrError)?;
        let prefix_max = if addr.is_ipv4() { 32 } else { 128 };
        (prefix <= prefix_max)
            .then_some(Self { addr, prefix })
            .ok_or(ParseCidrError)
    }
}

/// What the stack is on one port.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Name, for the operator.
    pub name: String,
    /// Our hardware address.
    pub mac: MacAddr,
    /// Longest datagram, in bytes.
    pub mtu: u32,
    /// Addresses we answer for, each with its network.
    pub addresses: Vec<Cidr>,
    /// Routers to everywhere else. The first of each version is used; each has to be in one of the
    /// interface's networks.
    pub gateways: Vec<IpAddr>,
}

impl Interface {
    /// The interface of a port.
    #[must_use]
    pub fn new(facts: &Facts, addresses: Vec<Cidr>, gateways: Vec<IpAddr>) -> Self {
        Self {
            name: facts.name.clone(),
            mac: facts.mac,
            mtu: facts.mtu,
            addresses,
            gateways,
        }
    }
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Index of the port.
    pub(crate) port: u16,
    /// The station on that port that takes it: the destination, or a router.
    pub(crate) next_hop: IpAddr,
}

/// One line of the routing table.
#[derive(Clone, Copy, Debug)]
struct Route {
    network: Cidr,
    port: u16,
    gateway: Option<IpAddr>,
}

/// Interfaces and routes of a worker. They do not change while it runs.
#[derive(Debug)]
pub(crate) struct Routes {
    interfaces: Vec<Interface>,
    /// Longest prefix first.
    routes: Vec<Route>,
    /// Our addresses, sorted, with the port of each.
    owned: Vec<(IpAddr, u16)>,
}

impl Routes {
    pub(crate) fn new(interfaces: Vec<Interface>) -> Self {
        let mut routes = Vec::new();
        let mut owned = Vec::new();
        for (interface, port) in interfaces.iter().zip(0u16..) {
            for network in &interface.addresses {
                owned.push((network.addr, port));
                routes.push(Route {
                    network: *network,
                    port,
                    gateway: None,
                });
            }
            for gateway in &interface.gateways {
                let network = Cidr {
                    addr: *gateway,
                    prefix: 0,
                };
                routes.push(Route {
                    network,
                    port,
                    gateway: Some(*gateway),
                });
            }
        }
        routes.sort_by_key(|route| core::cmp::Reverse(route.network.prefix));
        owned.sort_unstable();
        Self {
            interfaces,
            routes,
            owned,
        }
    }

    /// The interface on a port.
    pub(crate) fn interface(&self, port: u16) -> &Interface {
        &self.interfaces[usize::from(port)]
    }

    /// All interfaces, in the order of the ports.
    pub(crate) fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Whether the address is ours, on whatever port. As Linux does it, an address is the host's
    /// and not the interface's (the weak model of RFC 1122 3.3.4.2).
    pub(crate) fn is_owned(&self, address: IpAddr) -> bool {
        self.owned
            .binary_search_by(|(own, _)| own.cmp(&address))
            .is_ok()
    }

    /// All our addresses, each with its port.
    pub(crate) fn owned(&self) -> &[(IpAddr, u16)] {
        &self.owned
    }

    /// The way to `remote`.
    pub(crate) fn way_to(&self, remote: IpAddr) -> Option<Way> {
        let route = self
            .routes
            .iter()
            .find(|route| route.network.contains(remote))?;
        Some(Way {
            port: route.port,
            next_hop: route.gateway.unwrap_or(remote),
        })
    }

    /// The address of ours that a datagram on this way has as its source: one in the network of the
    /// next hop, else the interface's first of that version.
    pub(crate) fn source_for(&self, way: Way) -> Option<IpAddr> {
        let addresses = &self.interface(way.port).addresses;
        let same_version = || {
            addresses
                .iter()
                .filter(|own| own.addr.is_ipv4() == way.next_hop.is_ipv4())
        };
        same_version()
            .find(|own| own.contains(way.next_hop))
            .or_else(|| same_version().next())
            .map(|own| own.addr)
    }

    /// Whether `address` is a broadcast address of a network that we are connected to.
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        let is_connected = |route: &Route| route.gateway.is_none();
        self.routes
            .iter()
            .any(|route| is_connected(route) && route.network.is_broadcast(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn interface(name: &str, addresses: &[&str], gateways: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            mac: MacAddr::ZERO,
            mtu: 1_500,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            gateways: gateways.iter().map(|text| ip(text)).collect(),
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_the_gateway_takes_the_rest() {
        let routes = Routes::new(vec![
            interface("a", &["10.0.0.1/8", "2001:db8::1/64"], &["10.0.0.254"]),
            interface("b", &["10.1.0.1/16", "fd00::1/64"], &["fd00::fe"]),
        ]);
        let way = |port, next_hop: &str| {
            Some(Way {
                port,
                next_hop: ip(next_hop),
            })
        };
        assert_eq!(routes.way_to(ip("10.2.3.4")), way(0, "10.2.3.4"));
        assert_eq!(routes.way_to(ip("10.1.3.4")), way(1, "10.1.3.4"));
        assert_eq!(routes.way_to(ip("192.0.2.7")), way(0, "10.0.0.254"));
        assert_eq!(routes.way_to(ip("2001:db8::7")), way(0, "2001:db8::7"));
        assert_eq!(routes.way_to(ip("2001:db8:1::7")), way(1, "fd00::fe"));
        let source = |to: &str| routes.source_for(routes.way_to(ip(to)).unwrap()).unwrap();
        assert_eq!(source("192.0.2.7"), ip("10.0.0.1"));
        assert_eq!(source("10.1.9.9"), ip("10.1.0.1"));
        assert_eq!(source("2001:db8:1::7"), ip("fd00::1"));
        assert!(routes.is_owned(ip("10.1.0.1")) && routes.is_owned(ip("fd00::1")));
        assert!(!routes.is_owned(ip("10.1.0.2")));
        let without = Routes::new(vec![interface("c", &["10.0.0.1/24"], &[])]);
        assert_eq!(without.way_to(ip("10.0.1.1")), None);
    }

    #[test]
    fn a_network_has_a_broadcast_address_and_a_link_of_two_has_none() {
        let network: Cidr = "192.0.2.1/24".parse().unwrap();
        assert!(network.is_broadcast(ip("192.0.2.255")));
        assert!(network.is_broadcast(ip("192.0.2.0")));
        assert!(!network.is_broadcast(ip("192.0.2.254")));
        assert!(!network.is_broadcast(ip("192.0.3.255")));
        let link: Cidr = "192.0.2.0/31".parse().unwrap();
        assert!(!link.is_broadcast(ip("192.0.2.1")));
    }

    #[test]
    fn a_cidr_is_read_as_it_is_written() {
        for text in ["192.0.2.1/24", "0.0.0.0/0", "2001:db8::1/128"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for text in ["192.0.2.1", "192.0.2.1/33", "2001:db8::/129", "host/8", ""] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
