//! ARP (RFC 826) for our IPv4 addresses: answers, what is learnt from others, requests and
//! announcements (RFC 5227 2.3).

use core::net::{IpAddr, Ipv4Addr};

use tidegate_port::Port;
use tidegate_wire::{Arp, ArpOp, Discard, ETHER_TYPE_ARP, Ethernet, MacAddr};

use crate::counters::Counter;
use crate::neighbour::{Lesson, Question};
use crate::port_tx::PortTx;
use crate::receive::{Fate, back};
use crate::route::Way;
use crate::stack::Stack;

/// An ARP packet has come on port `number`.
pub(crate) fn on_arp<P: Port>(
    port: &mut PortTx<P>,
    number: u16,
    stack: &mut Stack,
    (ethernet, arp): (&Ethernet, &Arp),
) -> Result<Fate, Discard> {
    if stack.routes.is_owned(arp.sender_ip.into()) {
        return Err(Discard::ArpAddressConflict);
    }
    let is_for_us = stack.routes.is_owned(arp.target_ip.into());
    let is_request_for_us = arp.op == ArpOp::Request && is_for_us;
    // A station tells everybody where it lives by asking for itself (RFC 5227 3).
    let is_announcement = arp.sender_ip == arp.target_ip;
    if !is_for_us && !is_announcement {
        return Err(Discard::ArpNotForUs);
    }
    let lesson = if is_request_for_us {
        Lesson::AskedForUs
    } else {
        Lesson::Told
    };
    // A probe for a duplicate has no sender address yet (RFC 5227 1.1).
    let learnt = if arp.sender_ip.is_unspecified() {
        Ok(())
    } else {
        let way = Way {
            port: number,
            next_hop: arp.sender_ip.into(),
        };
        let place = (arp.sender_mac, ethernet.vlan);
        stack.neighbours.learn(way, place, lesson, stack.now)
    };
    if !is_request_for_us {
        return learnt.map(|()| Fate::Delivered);
    }
    // Even where the table is full the answer goes out: it needs no entry.
    let reply = Arp {
        op: ArpOp::Reply,
        sender_mac: stack.mac(number),
        sender_ip: arp.target_ip,
        target_mac: arp.sender_mac,
        target_ip: arp.sender_ip,
    };
    let header = back(ethernet, reply.sender_mac);
    send(port, stack, &header, &reply)?;
    stack.count(Counter::ArpReplies);
    Ok(Fate::Answered)
}

/// Asks for a station, or asks it whether it is still there.
pub(crate) fn ask<P: Port>(
    port: &mut PortTx<P>,
    stack: &Stack,
    question: &Question,
    target: Ipv4Addr,
) -> Result<(), Discard> {
    let way = Way {
        port: question.port,
        next_hop: question.address,
    };
    let Some(IpAddr::V4(sender_ip)) = stack.routes.source_for(way) else {
        return Err(Discard::NoRoute);
    };
    let mac = stack.mac(question.port);
    let header = header(
        mac,
        question.unicast.unwrap_or(MacAddr::BROADCAST),
        question.vlan,
    );
    let request = Arp {
        op: ArpOp::Request,
        sender_mac: mac,
        sender_ip,
        target_mac: MacAddr::ZERO,
        target_ip: target,
    };
    send(port, stack, &header, &request)?;
    stack.count(Counter::ArpRequests);
    Ok(())
}

/// Tells everybody on a port that an address is ours.
pub(crate) fn announce<P: Port>(
    port: &mut PortTx<P>,
    stack: &Stack,
    number: u16,
    address: Ipv4Addr,
) -> Result<(), Discard> {
    let mac = stack.mac(number);
    let announcement = Arp {
        op: ArpOp::Request,
        sender_mac: mac,
        sender_ip: address,
        target_mac: MacAddr::ZERO,
        target_ip: address,
    };
    send(
        port,
        stack,
        &header(mac, MacAddr::BROADCAST, None),
        &announcement,
    )?;
    stack.count(Counter::ArpRequests);
    Ok(())
}

const fn header(src: MacAddr, dst: MacAddr, vlan: Option<u16>) -> Ethernet {
    Ethernet {
        dst,
        src,
        vlan,
        ether_type: ETHER_TYPE_ARP,
    }
}

fn send<P: Port>(
    port: &mut PortTx<P>,
    stack: &Stack,
    header: &Ethernet,
    arp: &Arp,
) -> Result<(), Discard> {
    port.send(header, Arp::LEN, stack.now, |bytes| {
        arp.emit(bytes);
    })
}
