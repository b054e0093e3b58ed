//! What the ports together are on the network: which addresses are owned, what can be reached.

use std::{collections::HashMap, net::IpAddr};

use crate::{
    fault::Findings, model::Cidr, schema::RawPort, source::Located, validate::check_unique,
    value::address::is_link_local,
};

/// The addresses and ways of all ports. Made only where all of them could be read, so that nothing is
/// called unknown that only could not be read.
#[derive(Debug)]
pub(super) struct Network {
    /// Owned addresses with their networks.
    owned: Vec<Cidr>,
    /// Routers of all ports.
    gateways: Vec<IpAddr>,
}

/// Checks the addresses, routers and names of all ports against each other.
pub(super) fn check(ports: &[RawPort], findings: &Findings<'_>) -> Option<Network> {
    let interfaces = ports.iter().filter_map(|port| port.interface.as_ref());
    check_unique(
        interfaces.map(|name| (&name.value, name.span)),
        findings,
        |name| {
            let what = format!("interface {name:?} is another port already");
            (
                "port.interface".to_owned(),
                what,
                "put all its addresses into one [[port]]".to_owned(),
            )
        },
    );
    let addresses = ports.iter().filter_map(|port| port.addresses.as_ref());
    let addresses = addresses.flat_map(|list| &list.value);
    check_unique(
        addresses.map(|owned| (owned.value.addr, owned.span)),
        findings,
        |address| {
            let what = format!("{address} is owned already");
            (
                "port.addresses".to_owned(),
                what,
                "name each address once".to_owned(),
            )
        },
    );
    let files = ports.iter().filter_map(|port| port.pcap.as_ref());
    let files = files.filter_map(|pcap| Some((pcap.value.as_ref()?, pcap.span)));
    check_unique(files, findings, |_| {
        let what = "another port writes to this file".to_owned();
        (
            "port.pcap".to_owned(),
            what,
            "give each port a file of its own".to_owned(),
        )
    });
    for port in ports {
        check_gateways(port, findings);
    }
    Network::new(ports, findings)
}

impl Network {
    fn new(ports: &[RawPort], findings: &Findings<'_>) -> Option<Self> {
        let mut network = Self {
            owned: Vec::new(),
            gateways: Vec::new(),
        };
        for port in ports {
            network.owned.extend(
                port.addresses
                    .as_ref()?
                    .value
                    .iter()
                    .map(|owned| owned.value),
            );
            network.gateways.extend(
                port.gateways
                    .as_ref()?
                    .value
                    .iter()
                    .map(|router| router.value),
            );
        }
        // Where part of the file was lost, a port may be in it.
        findings
            .is_whole()
            .then_some(network)
            .filter(|network| !network.owned.is_empty())
    }

    /// Whether a port owns `address`.
    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.owned.iter().any(|owned| owned.addr == address)
    }

    /// Whether a port owns an address of the family of `address`.
    pub(super) fn has_family(&self, address: IpAddr) -> bool {
        self.owned
            .iter()
            .any(|owned| owned.addr.is_ipv4() == address.is_ipv4())
    }

    /// Whether a datagram to `address` has a way: its network is connected, or a router is known.
    pub(super) fn reaches(&self, address: IpAddr) -> bool {
        let connected = self.owned.iter().any(|owned| owned.contains(address));
        connected
            || self
                .gateways
                .iter()
                .any(|router| router.is_ipv4() == address.is_ipv4())
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

/// A router stands in a network that the port is connected to, and is not the port itself.
fn check_gateways(port: &RawPort, findings: &Findings<'_>) {
    let (Some(addresses), Some(gateways)) = (&port.addresses, &port.gateways) else {
        return;
    };
    let key = || "port.gateways".to_owned();
    let mut seen: HashMap<bool, IpAddr> = HashMap::new();
    for &Located {
        value: router,
        span,
        ..
    } in &gateways.value
    {
        let mut owned = addresses.value.iter().map(|owned| owned.value);
        // RFC 4861 4.2: routers of IPv6 announce themselves by an address of the link.
        let is_near = is_link_local(router) && owned.clone().any(|owned| owned.addr.is_ipv6());
        if owned.clone().any(|owned| owned.addr == router) {
            let what = format!("{router} is an address of this port itself");
            findings.add(
                span,
                key(),
                what,
                "expected the address of a router".to_owned(),
            );
        } else if !is_near && !owned.any(|owned| owned.contains(router)) {
            let what = format!("{router} is in no network of this port");
            let help = "expected a router in the network of one of `addresses`, prefix included";
            findings.add(span, key(), what, help.to_owned());
        }
        let family = if router.is_ipv4() { "IPv4" } else { "IPv6" };
        if let Some(first) = seen.insert(router.is_ipv4(), router) {
            let what = format!("{router} is a second {family} router of this port");
            findings.add(span, key(), what, format!("keep this one or {first}"));
        }
    }
}
