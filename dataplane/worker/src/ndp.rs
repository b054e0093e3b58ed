//! Neighbour discovery (RFC 4861) for our IPv6 addresses: answers, what is learnt from others,
//! solicitations and announcements.
//!
//! Routers are configured, not discovered; redirects and router advertisements are not acted on.

use core::net::{IpAddr, Ipv6Addr};

use tidegate_port::Port;
use tidegate_wire::icmpv6::solicited_node;
use tidegate_wire::{Discard, ETHER_TYPE_IPV6, Ethernet, Icmpv6, Ip, MacAddr, PROTOCOL_ICMPV6};

use crate::counters::Counter;
use crate::neighbour::{Lesson, Question};
use crate::port_tx::PortTx;
use crate::receive::{Fate, back};
use crate::route::Way;
use crate::stack::Stack;

/// All nodes of a link (RFC 4291 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Neighbour discovery stays on its link (RFC 4861 7.1).
const HOP_LIMIT: u8 = 255;

/// Somebody on port `number` asks for `target`.
pub(crate) fn on_solicitation<P: Port>(
    (port, number): (&mut PortTx<P>, u16),
    stack: &mut Stack,
    (ethernet, ip): (&Ethernet, &Ip),
    (target, source_mac): (Ipv6Addr, Option<MacAddr>),
) -> Result<Fate, Discard> {
    if !stack.routes.is_owned(target.into()) {
        return Err(Discard::NdpNotForUs);
    }
    if stack.routes.is_owned(ip.src) {
        return Err(Discard::IpSourceIsOurs);
    }
    // RFC 4861 7.2.4: who tests an address has none yet, and everybody is told that it is taken.
    let is_test = ip.src.is_unspecified();
    if let (false, Some(mac)) = (is_test, source_mac) {
        let way = Way {
            port: number,
            next_hop: ip.src,
        };
        let place = (mac, ethernet.vlan);
        // Where the table is full, the answer goes out all the same.
        let _ = stack
            .neighbours
            .learn(way, place, Lesson::AskedForUs, stack.now);
    }
    let mac = stack.mac(number);
    let mut header = back(ethernet, mac);
    let mut dst = ip.src;
    if is_test {
        header.dst = MacAddr::for_ipv6_multicast(ALL_NODES);
        dst = ALL_NODES.into();
    }
    let advertisement = Icmpv6::NeighbourAdvertisement {
        target,
        target_mac: Some(mac),
        router: false,
        solicited: !is_test,
        override_: true,
    };
    send(port, stack, (&header, target.into(), dst), &advertisement)?;
    stack.count(Counter::Advertisements);
    Ok(Fate::Answered)
}

/// Somebody on port `number` tells where `target` lives.
pub(crate) fn on_advertisement(
    number: u16,
    stack: &mut Stack,
    ethernet: &Ethernet,
    (target, target_mac, override_): (Ipv6Addr, Option<MacAddr>, bool),
) -> Result<Fate, Discard> {
    if stack.routes.is_owned(target.into()) {
        return Err(Discard::NdpAddressConflict);
    }
    let way = Way {
        port: number,
        next_hop: target.into(),
    };
    // RFC 4861 4.4: an answer to one station may leave the address out; the frame has it.
    let mac = target_mac.unwrap_or(ethernet.src);
    let lesson = if override_ {
        Lesson::Told
    } else {
        Lesson::ToldSoftly
    };
    let place = (mac, ethernet.vlan);
    stack.neighbours.learn(way, place, lesson, stack.now)?;
    Ok(Fate::Delivered)
}

/// Asks for a station, or asks it whether it is still there.
pub(crate) fn ask<P: Port>(
    port: &mut PortTx<P>,
    stack: &Stack,
    question: &Question,
    target: Ipv6Addr,
) -> Result<(), Discard> {
    let way = Way {
        port: question.port,
        next_hop: question.address,
    };
    let src = stack.routes.source_for(way).ok_or(Discard::NoRoute)?;
    let group = solicited_node(target);
    let (mac, dst) = match question.unicast {
        Some(mac) => (mac, IpAddr::V6(target)),
        None => (MacAddr::for_ipv6_multicast(group), IpAddr::V6(group)),
    };
    let own = stack.mac(question.port);
    let header = Ethernet {
        dst: mac,
        src: own,
        vlan: question.vlan,
        ether_type: ETHER_TYPE_IPV6,
    };
    let solicitation = Icmpv6::NeighbourSolicitation {
        target,
        source_mac: Some(own),
    };
    send(port, stack, (&header, src, dst), &solicitation)?;
    stack.count(Counter::Solicitations);
    Ok(())
}

/// Tells everybody on a port that an address is ours (RFC 4861 7.2.6).
pub(crate) fn announce<P: Port>(
    port: &mut PortTx<P>,
    stack: &Stack,
    number: u16,
    address: Ipv6Addr,
) -> Result<(), Discard> {
    let mac = stack.mac(number);
    let header = Ethernet {
        dst: MacAddr::for_ipv6_multicast(ALL_NODES),
        src: mac,
        vlan: None,
        ether_type: ETHER_TYPE_IPV6,
    };
    let advertisement = Icmpv6::NeighbourAdvertisement {
        target: address,
        target_mac: Some(mac),
        router: false,
        solicited: false,
        override_: true,
    };
    send(
        port,
        stack,
        (&header, address.into(), ALL_NODES.into()),
        &advertisement,
    )?;
    stack.count(Counter::Advertisements);
    Ok(())
}

fn send<P: Port>(
    port: &mut PortTx<P>,
    stack: &Stack,
    (header, src, dst): (&Ethernet, IpAddr, IpAddr),
    message: &Icmpv6<'_>,
) -> Result<(), Discard> {
    let ip = Ip {
        src,
        dst,
        hop_limit: HOP_LIMIT,
        traffic_class: 0,
    };
    let payload = (PROTOCOL_ICMPV6, message.len());
    port.send_datagram((header, &ip), payload, stack.now, |bytes| {
        message.emit(&ip, bytes);
    })
}
