//! From a received frame to a [`Packet`] or a [`Discard`].
//!
//! Every check here needs the frame alone. Whether the MAC and IP addresses are ours, and whether
//! the VLAN is, only the worker knows.

use core::net::IpAddr;

use crate::ip::check_source;
use crate::{
    Arp, Datagram, Discard, ETHER_TYPE_ARP, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ethernet, Icmpv4,
    Icmpv6, Ip, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_TCP, Sum, Tcp, ipv4, ipv6,
};

/// What is done about the checksum of a received segment. The checksums of IPv4 headers and of
/// ICMP messages are always verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RxChecksum {
    /// It has to be right (RFC 9293 3.1, MUST-3).
    #[default]
    Verify,
    /// It has to be right, or to be the sum of the pseudo-header alone. A kernel on the same
    /// machine sends the latter over a veth or TAP and trusts the wire in between; whoever can put
    /// frames on that wire can skip the checksum.
    TrustPartial,
    /// Something before us has verified it.
    Trust,
}

/// A received frame taken apart. The text is still in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header of the frame.
    pub ethernet: Ethernet,
    /// What the frame carries.
    pub body: Body<'a>,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// ARP.
    Arp(Arp),
    /// ICMP in IPv4.
    Icmpv4(Ip, Icmpv4<'a>),
    /// ICMP in IPv6, neighbour discovery included.
    Icmpv6(Ip, Icmpv6<'a>),
    /// A TCP segment: headers and text.
    Tcp(Ip, Tcp, &'a [u8]),
}

/// Takes a received frame apart.
///
/// # Errors
/// The first rule that the frame breaks, from the outside in.
#[inline]
pub fn parse(frame: &[u8], checksum: RxChecksum) -> Result<Packet<'_>, Discard> {
    let (ethernet, payload) = Ethernet::parse(frame)?;
    match ethernet.ether_type {
        ETHER_TYPE_IPV4 => parse_payload(ethernet, ipv4::parse(payload)?, checksum),
        ETHER_TYPE_IPV6 => parse_payload(ethernet, ipv6::parse(payload)?, checksum),
        ETHER_TYPE_ARP => {
            let body = Body::Arp(Arp::parse(payload)?);
            Ok(Packet { ethernet, body })
        }
        _ => Err(Discard::EthernetTypeUnknown),
    }
}

/// What a datagram carries. Each version of IP gets its own copy of this, down to the segment: so
/// the addresses stay in registers, where one variable for both versions sends the headers through
/// memory three times more, at half again the cost of a frame.
#[inline(always)]
fn parse_payload<'a>(
    ethernet: Ethernet,
    datagram: Datagram<'a>,
    checksum: RxChecksum,
) -> Result<Packet<'a>, Discard> {
    match (datagram.protocol, datagram.ip.dst) {
        (PROTOCOL_TCP, _) => parse_tcp(ethernet, datagram, checksum),
        (PROTOCOL_ICMPV4, IpAddr::V4(_)) => parse_icmpv4(ethernet, &datagram),
        (PROTOCOL_ICMPV6, IpAddr::V6(_)) => parse_icmpv6(ethernet, &datagram),
        _ => Err(Discard::IpProtocolUnknown),
    }
}

/// A TCP segment.
#[inline(always)]
fn parse_tcp<'a>(
    ethernet: Ethernet,
    Datagram { ip, payload, .. }: Datagram<'a>,
    checksum: RxChecksum,
) -> Result<Packet<'a>, Discard> {
    // RFC 9293 3.9.2.3, MUST-63.
    check_source(ip.src)?;
    // RFC 9293 3.9.2.3, MUST-57, and RFC 1122 3.3.6: a segment has one receiver.
    if ethernet.dst.is_multicast() || is_group(ip.dst) {
        return Err(Discard::TcpToGroup);
    }
    let (tcp, text) = Tcp::parse(payload)?;
    check_tcp_sum(&ip, payload, checksum)?;
    Ok(Packet {
        ethernet,
        body: Body::Tcp(ip, tcp, text),
    })
}

/// RFC 9293 3.1, MUST-3: the checksum of a `segment`, whose header is whole.
#[inline]
fn check_tcp_sum(ip: &Ip, segment: &[u8], checksum: RxChecksum) -> Result<(), Discard> {
    if checksum == RxChecksum::Trust {
        return Ok(());
    }
    let len = u32::try_from(segment.len()).map_err(|_| Discard::TcpChecksum)?;
    let pseudo_header = Sum::new().add_pseudo_header(ip.src, ip.dst, PROTOCOL_TCP, len);
    let stored = u16::from_be_bytes([segment[Tcp::CHECKSUM_AT], segment[Tcp::CHECKSUM_AT + 1]]);
    if checksum == RxChecksum::TrustPartial && stored == pseudo_header.partial() {
        return Ok(());
    }
    if pseudo_header.add(segment).partial() == 0xffff {
        Ok(())
    } else {
        Err(Discard::TcpChecksum)
    }
}

/// An ICMP message in IPv4. RFC 1122 3.2.2: none is sent to a source that is not one station, so
/// none from there is answered or believed.
fn parse_icmpv4<'a>(ethernet: Ethernet, datagram: &Datagram<'a>) -> Result<Packet<'a>, Discard> {
    check_source(datagram.ip.src)?;
    let message = Icmpv4::parse(datagram.payload)?;
    Ok(Packet {
        ethernet,
        body: Body::Icmpv4(datagram.ip, message),
    })
}

/// An ICMP message in IPv6. Who tests its own address has no source yet (RFC 4861 4.3), nor has
/// who looks for routers or joins a group, which comes out as another type.
fn parse_icmpv6<'a>(ethernet: Ethernet, datagram: &Datagram<'a>) -> Result<Packet<'a>, Discard> {
    let message = Icmpv6::parse(datagram.payload, &datagram.ip)?;
    let needs_no_source = matches!(
        message,
        Icmpv6::NeighbourSolicitation { .. } | Icmpv6::Other { .. }
    );
    if !(needs_no_source && datagram.ip.src.is_unspecified()) {
        check_source(datagram.ip.src)?;
    }
    Ok(Packet {
        ethernet,
        body: Body::Icmpv6(datagram.ip, message),
    })
}

/// Whether `address` is multicast or broadcast.
#[inline]
const fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}
