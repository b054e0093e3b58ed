//! Addresses: of ports, routers, listeners and backends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::text::{Parsed, Refusal};
use crate::model::{Cidr, ListenAddress};

/// An address that a port owns, with the length of its network's prefix.
pub(crate) const OWNED: Parsed<Cidr> = Parsed {
    expects: "an address with its prefix, like \"10.0.0.2/24\"",
    parse: parse_owned,
};

/// The address of one host.
pub(crate) const HOST: Parsed<IpAddr> = Parsed {
    expects: "an IP address, like \"10.0.0.1\" or \"fd00::1\"",
    parse: parse_host,
};

/// Where a listener listens.
pub(crate) const LISTEN: Parsed<ListenAddress> = Parsed {
    expects: "\"address:port\", \"[v6 address]:port\" or \"*:port\"",
    parse: parse_listen,
};

/// Where a backend listens.
pub(crate) const BACKEND: Parsed<SocketAddr> = Parsed {
    expects: "\"address:port\" or \"[v6 address]:port\"",
    parse: parse_backend,
};

/// Whether this is an IPv6 address that names a host only together with a link (RFC 4291 2.5.6).
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn parse_owned(text: &str) -> Result<Cidr, Refusal> {
    let Some((address, prefix)) = text.split_once('/') else {
        let addr = parse_host(text)?;
        let usual = if addr.is_ipv4() { 24 } else { 64 };
        let help =
            format!("add the prefix of its network: \"{text}/{usual}\" if that has {usual} bits");
        return Err(Refusal::with_help(format!("{text:?} has no prefix"), help));
    };
    let addr = parse_host(address)?;
    let bits: u8 = if addr.is_ipv4() { 32 } else { 128 };
    let in_range = |prefix: &u8| (1..=bits).contains(prefix);
    let Some(prefix) = prefix.parse::<u8>().ok().filter(in_range) else {
        let what = format!("{prefix:?} is not the length of a prefix");
        return Err(Refusal::with_help(
            what,
            format!("expected a number from 1 to {bits} after \"/\""),
        ));
    };
    if let IpAddr::V4(v4) = addr {
        check_host_bits(v4, prefix)?;
    }
    Ok(Cidr { addr, prefix })
}

/// RFC 1122 3.2.1.3: all zeros name the network, all ones everyone in it. RFC 3021: not with 31
/// bits.
fn check_host_bits(address: Ipv4Addr, prefix: u8) -> Result<(), Refusal> {
    let host_mask = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    let host = address.to_bits() & host_mask;
    let what = match host {
        _ if prefix >= 31 => return Ok(()),
        0 => format!("{address}/{prefix} is the network itself"),
        _ if host == host_mask => format!("{address} is the broadcast address of its network"),
        _ => return Ok(()),
    };
    let first = Ipv4Addr::from_bits((address.to_bits() & !host_mask) | 1);
    let last = Ipv4Addr::from_bits((address.to_bits() | host_mask) - 1);
    Err(Refusal::with_help(
        what,
        format!("expected an address from {first} to {last}"),
    ))
}

fn parse_host(text: &str) -> Result<IpAddr, Refusal> {
    let not_an_address = || Refusal::new(format!("{text:?} is not an IP address"));
    let address: IpAddr = text.parse().map_err(|_| not_an_address())?;
    let kind = match address {
        IpAddr::V4(v4) if v4.octets()[0] == 0 => "no address of a host",
        IpAddr::V4(v4) if v4.is_broadcast() => "the broadcast address",
        IpAddr::V4(v4) if v4.octets()[0] >= 240 => "reserved",
        IpAddr::V6(v6) if v6.is_unspecified() => "no address of a host",
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => "an IPv4 address written as one of IPv6",
        _ if address.is_multicast() => "a multicast address",
        _ if address.is_loopback() => "a loopback address, which never leaves the kernel",
        IpAddr::V4(_) | IpAddr::V6(_) => return Ok(address),
    };
    Err(Refusal::with_help(
        format!("{text} is {kind}"),
        "expected the address of one host, as others on the network reach it",
    ))
}

fn parse_listen(text: &str) -> Result<ListenAddress, Refusal> {
    let (address, port) = split_port(text)?;
    if address == "*" {
        return Ok(ListenAddress {
            address: None,
            port,
        });
    }
    let unspecified = [
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    ];
    if address
        .parse()
        .is_ok_and(|address| unspecified.contains(&address))
    {
        let what = format!("{text:?} is not how every address is written");
        return Err(Refusal::with_help(
            what,
            format!("write \"*:{port}\" for every owned address"),
        ));
    }
    Ok(ListenAddress {
        address: Some(parse_host(address)?),
        port,
    })
}

fn parse_backend(text: &str) -> Result<SocketAddr, Refusal> {
    let (address, port) = split_port(text)?;
    let address = parse_host(address).map_err(|refusal| {
        let is_name = address
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
        if is_name && address.contains(|c: char| c.is_ascii_alphabetic()) {
            let help = "names are not looked up: write the address";
            return Refusal::with_help(refusal.what, help);
        }
        refusal
    })?;
    if is_link_local(address) {
        let what = format!("{address} names a host only together with a link");
        return Err(Refusal::with_help(
            what,
            "expected an address that is valid beyond the link",
        ));
    }
    Ok(SocketAddr::new(address, port))
}

/// `text` in its address, without brackets, and its port.
fn split_port(text: &str) -> Result<(&str, u16), Refusal> {
    if text.parse::<Ipv6Addr>().is_ok() {
        let what = format!("{text:?} is an IPv6 address without a port");
        let help = match text.rsplit_once(':') {
            // The last group may have been meant as the port.
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => {
                format!("write \"[{address}]:{port}\" if {port} is the port")
            }
            _ => format!("write \"[{text}]:80\" with your port"),
        };
        return Err(Refusal::with_help(what, help));
    }
    let Some((address, port)) = text.rsplit_once(':') else {
        let what = format!("{text:?} has no port");
        return Err(Refusal::with_help(
            what,
            format!("write \"{text}:80\" with your port"),
        ));
    };
    let Some(port) = port.parse::<u16>().ok().filter(|port| *port != 0) else {
        let what = format!("{port:?} is not a port");
        return Err(Refusal::with_help(
            what,
            "expected a number from 1 to 65535 after the last \":\"",
        ));
    };
    match address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => Ok((inner, port)),
        Some(inner) => Err(Refusal::with_help(
            format!("{inner:?} is not an IPv6 address"),
            "brackets stand around an IPv6 address only",
        )),
        None if address.contains(':') => Err(Refusal::with_help(
            format!("{text:?}: an IPv6 address before a port needs brackets"),
            format!("write \"[{address}]:{port}\""),
        )),
        None => Ok((address, port)),
    }
}
