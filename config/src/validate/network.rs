//! What the ports together are on the network: which addresses are owned, what can be reached.

use std::net::IpAddr;

use crate::{
    fault::Findings,
    model::Cidr,
    schema::RawPort,
    section::chosen,
    source::Span,
    validate::check_unique,
    value::{Items, address::is_link_local},
};

/// The addresses and ways of all ports, as far as they could be read.
///
/// Nothing is called unknown that only could not be read: `may_` answers yes in doubt.
#[derive(Debug)]
pub(super) struct Network {
    /// Owned addresses with their networks.
    owned: Vec<Cidr>,
    /// How owned addresses are written that could not be read.
    unread: Vec<String>,
    /// Families of which a router is known.
    routes_v4: bool,
    routes_v6: bool,
}

/// Checks the addresses, routers and names of all ports against each other. `None` where a whole
/// list is not there to be read.
pub(super) fn check(ports: &[RawPort], findings: &Findings<'_>) -> Option<Network> {
    let interfaces = ports.iter().filter_map(|port| port.interface.as_ref());
    let interfaces = interfaces.map(|name| (&name.value, name.span));
    check_unique("port.interface", interfaces, findings, |name| {
        let what = format!("interface {name:?} is another port already");
        (what, "put all its addresses into one [[port]]")
    });
    let addresses = ports.iter().filter_map(|port| port.addresses.as_ref());
    let addresses = addresses.flat_map(|list| &list.value.known);
    let addresses = addresses.map(|owned| (owned.value.addr, owned.span));
    check_unique("port.addresses", addresses, findings, |address| {
        (
            format!("{address} is owned already"),
            "name each address once",
        )
    });
    let files = ports.iter().filter_map(|port| chosen(&port.pcap));
    check_unique("port.pcap", files, findings, |_| {
        let what = "another port writes to this file".to_owned();
        (what, "give each port a file of its own")
    });
    for port in ports {
        if let (Some(addresses), Some(gateways)) = (&port.addresses, &port.gateways) {
            check_gateways(&addresses.value, &gateways.value, findings);
        }
    }
    // Where part of the file was lost, a port may be in it.
    Network::new(ports).filter(|_| findings.is_whole())
}

impl Network {
    fn new(ports: &[RawPort]) -> Option<Self> {
        let mut network = Self {
            owned: Vec::new(),
            unread: Vec::new(),
            routes_v4: false,
            routes_v6: false,
        };
        for port in ports {
            let addresses = &port.addresses.as_ref()?.value;
            network
                .owned
                .extend(addresses.known.iter().map(|owned| owned.value));
            network.unread.extend(addresses.unread.iter().cloned());
            // A router that could not be read may be of either family.
            let Some(gateways) = port.gateways.as_ref().map(|gateways| &gateways.value) else {
                (network.routes_v4, network.routes_v6) = (true, true);
                continue;
            };
            let any_unread = !gateways.unread.is_empty();
            network.routes_v4 |= any_unread || gateways.known.iter().any(|r| r.value.is_ipv4());
            network.routes_v6 |= any_unread || gateways.known.iter().any(|r| r.value.is_ipv6());
        }
        (!network.owned.is_empty() || !network.unread.is_empty()).then_some(network)
    }

    /// Whether a port owns `address`.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.owned.iter().any(|owned| owned.addr == address)
    }

    /// Whether a port owns `address`, or an address that could not be read and looks like it.
    pub(super) fn may_own(&self, address: IpAddr) -> bool {
        let text = address.to_string();
        let resembles = |unread: &String| {
            let written = unread.split('/').next().unwrap_or_default();
            // One slip of the hand, and the digit that it may have moved.
            strsim::damerau_levenshtein(written, &text) <= 2
        };
        self.owns(address) || self.unread.iter().any(resembles)
    }

    /// Whether a port owns an address of the family of `address`, as far as that is known.
    pub(super) fn may_have_family(&self, address: IpAddr) -> bool {
        let same_family = |owned: &Cidr| owned.addr.is_ipv4() == address.is_ipv4();
        !self.unread.is_empty() || self.owned.iter().any(same_family)
    }

    /// Whether a datagram to `address` has a way, as far as that is known: its network is
    /// connected, or a router is known.
    pub(super) fn may_reach(&self, address: IpAddr) -> bool {
        let routed = if address.is_ipv4() {
            self.routes_v4
        } else {
            self.routes_v6
        };
        let connected = self.owned.iter().any(|owned| owned.contains(address));
        routed
            || connected
            || self
                .unread
                .iter()
                .any(|unread| may_contain(unread, address))
    }

    /// All owned addresses, for a help text.
    pub(super) fn owned_list(&self) -> String {
        let list: Vec<String> = self
            .owned
            .iter()
            .map(|owned| owned.addr.to_string())
            .collect();
        list.join(", ")
    }
}

/// Whether the network of an owned address that could not be read may contain `address`: it does if
/// they share the first byte (IPv4) or 32 bits (IPv6), or if nothing can be known of it.
fn may_contain(unread: &str, address: IpAddr) -> bool {
    let written = unread.split('/').next().unwrap_or_default();
    written.parse().map_or(true, |addr: IpAddr| {
        let prefix = if addr.is_ipv4() { 8 } else { 32 };
        Cidr { addr, prefix }.contains(address)
    })
}

/// A router stands in a network that the port is connected to, and is not the port itself.
fn check_gateways(addresses: &Items<Cidr>, gateways: &Items<IpAddr>, findings: &Findings<'_>) {
    let owned = || addresses.known.iter().map(|owned| owned.value);
    let mut of_family: [Option<IpAddr>; 2] = [None, None];
    let refuse = |span: Span, what: String, help: String| {
        findings.add(span, "port.gateways", what, help);
    };
    for gateway in &gateways.known {
        let (router, span) = (gateway.value, gateway.span);
        // RFC 4861 4.2: routers of IPv6 announce themselves by an address of the link.
        let is_on_link = is_link_local(router) && owned().any(|owned| owned.addr.is_ipv6());
        let connected = owned().any(|owned| owned.contains(router))
            || addresses
                .unread
                .iter()
                .any(|unread| may_contain(unread, router));
        let first = &mut of_family[usize::from(router.is_ipv6())];
        if owned().any(|owned| owned.addr == router) {
            let what = format!("{router} is an address of this port itself");
            refuse(span, what, "expected the address of a router".to_owned());
        } else if !is_on_link && !connected {
            let what = format!("{router} is in no network of this port");
            let help = "expected a router in the network of one of `addresses`, prefix included";
            refuse(span, what, help.to_owned());
        } else if let Some(first) = first {
            let family = if router.is_ipv4() { "IPv4" } else { "IPv6" };
            let what = format!("{router} is a second {family} router of this port");
            refuse(span, what, format!("keep this one or {first}"));
        } else {
            *first = Some(router);
        }
    }
}
