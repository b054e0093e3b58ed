//! ICMP and ICMPv6: echo is answered, errors go to the flow that they quote (RFC 9293 3.9.2.2,
//! MUST-54), neighbour discovery to `ndp`.
//!
//! None of it is for groups, and nothing is forwarded. Source quench falls under the unknown types
//! (MUST-55). What an error is believed to mean is up to the flow (RFC 5927).

use tidegate_port::Port;
use tidegate_tcp::{FourTuple, IcmpError, IcmpKind, SeqNum};
use tidegate_wire::{
    Discard, Ethernet, Icmpv4, Icmpv6, Ip, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, Quoted,
};

use crate::app::App;
use crate::counters::Counter;
use crate::port_tx::PortTx;
use crate::receive::{Fate, back, back_ip};
use crate::stack::Stack;
use crate::{ndp, tell};

/// An ICMP message has come.
pub(crate) fn on_icmpv4<P: Port, A: App>(
    (port, number): (&mut PortTx<P>, u16),
    (stack, app): (&mut Stack, &mut A),
    (ethernet, ip): (&Ethernet, &Ip),
    message: &Icmpv4<'_>,
) -> Result<Fate, Discard> {
    check_destination(stack, ip)?;
    let (kind, quoted) = match *message {
        Icmpv4::EchoRequest { id, seq, text } => {
            take_echo(stack)?;
            let reply = Icmpv4::EchoReply { id, seq, text };
            let (ethernet, ip) = (back(ethernet, stack.mac(number)), back_ip(ip));
            let payload = (PROTOCOL_ICMPV4, reply.len());
            port.send_datagram((&ethernet, &ip), payload, stack.now, |bytes| {
                reply.emit(bytes);
            })?;
            stack.count(Counter::EchoReplies);
            return Ok(Fate::Answered);
        }
        Icmpv4::EchoReply { .. } => return Err(Discard::IcmpEchoReplyUnasked),
        Icmpv4::Unreachable {
            code,
            next_hop_mtu,
            quoted,
        } => (kind_v4(code, next_hop_mtu), quoted),
        Icmpv4::TimeExceeded { quoted, .. } | Icmpv4::ParameterProblem { quoted, .. } => {
            (IcmpKind::Soft, quoted)
        }
        Icmpv4::Other { .. } => return Err(Discard::IcmpTypeUnknown),
    };
    on_error((stack, app), kind, quoted)
}

/// An ICMPv6 message has come.
pub(crate) fn on_icmpv6<P: Port, A: App>(
    (port, number): (&mut PortTx<P>, u16),
    (stack, app): (&mut Stack, &mut A),
    (ethernet, ip): (&Ethernet, &Ip),
    message: &Icmpv6<'_>,
) -> Result<Fate, Discard> {
    let (kind, quoted) = match *message {
        Icmpv6::NeighbourSolicitation { target, source_mac } => {
            let asked = (target, source_mac);
            return ndp::on_solicitation((port, number), stack, (ethernet, ip), asked);
        }
        Icmpv6::NeighbourAdvertisement {
            target,
            target_mac,
            override_,
            ..
        } => {
            return ndp::on_advertisement(number, stack, ethernet, (target, target_mac, override_));
        }
        Icmpv6::EchoRequest { id, seq, text } => {
            check_destination(stack, ip)?;
            take_echo(stack)?;
            let reply = Icmpv6::EchoReply { id, seq, text };
            let (ethernet, ip) = (back(ethernet, stack.mac(number)), back_ip(ip));
            let payload = (PROTOCOL_ICMPV6, reply.len());
            port.send_datagram((&ethernet, &ip), payload, stack.now, |bytes| {
                reply.emit(&ip, bytes);
            })?;
            stack.count(Counter::EchoReplies);
            return Ok(Fate::Answered);
        }
        Icmpv6::EchoReply { .. } => return Err(Discard::IcmpEchoReplyUnasked),
        Icmpv6::PacketTooBig { mtu, quoted } => (IcmpKind::TooBig { mtu }, quoted),
        // RFC 4443 3.1: code 4 says that nobody listens on the port.
        Icmpv6::Unreachable { code: 4, quoted } => (IcmpKind::Refused, quoted),
        Icmpv6::Unreachable { quoted, .. }
        | Icmpv6::TimeExceeded { quoted, .. }
        | Icmpv6::ParameterProblem { quoted, .. } => (IcmpKind::Soft, quoted),
        Icmpv6::Other { .. } => return Err(Discard::IcmpTypeUnknown),
    };
    check_destination(stack, ip)?;
    on_error((stack, app), kind, quoted)
}

/// What an IPv4 destination unreachable means (RFC 9293 3.9.2.2, MUST-56 and SHLD-26).
const fn kind_v4(code: u8, next_hop_mtu: u16) -> IcmpKind {
    match code {
        2 => IcmpKind::Hard,
        3 => IcmpKind::Refused,
        4 => IcmpKind::TooBig {
            mtu: next_hop_mtu as u32,
        },
        _ => IcmpKind::Soft,
    }
}

/// Whether the datagram is for an address of ours alone, from somebody else.
fn check_destination(stack: &Stack, ip: &Ip) -> Result<(), Discard> {
    if stack.routes.is_owned(ip.src) {
        return Err(Discard::IpSourceIsOurs);
    }
    if stack.routes.is_owned(ip.dst) {
        return Ok(());
    }
    // RFC 1122 3.2.2.6 leaves answers to groups to us; they only help whoever forges sources.
    if ip.dst.is_multicast() || stack.routes.is_broadcast(ip.dst) {
        return Err(Discard::IcmpEchoToGroup);
    }
    Err(Discard::IpDestinationNotOurs)
}

fn take_echo(stack: &mut Stack) -> Result<(), Discard> {
    let now = stack.now;
    stack
        .echo_rate
        .take(now)
        .then_some(())
        .ok_or(Discard::IcmpRateLimited)
}

/// An error about a datagram of ours has come.
fn on_error<A: App>(
    (stack, app): (&mut Stack, &mut A),
    kind: IcmpKind,
    quoted: &[u8],
) -> Result<Fate, Discard> {
    let quoted = Quoted::parse(quoted)?;
    tell_error(stack, app, kind, &quoted)?;
    stack.count(Counter::IcmpErrors);
    Ok(Fate::Delivered)
}

/// Gives an error to the flow whose segment is quoted.
pub(crate) fn tell_error<A: App>(
    stack: &mut Stack,
    app: &mut A,
    kind: IcmpKind,
    quoted: &Quoted,
) -> Result<(), Discard> {
    let tuple = FourTuple {
        local: quoted.src,
        local_port: quoted.src_port,
        remote: quoted.dst,
        remote_port: quoted.dst_port,
    };
    let error = IcmpError {
        kind,
        seq: SeqNum::new(quoted.seq),
    };
    let Some(slot) = stack.table.find(&tuple, &stack.flows) else {
        let slot = stack.half_opens.find(&tuple);
        return stack.on_icmp_half_open(slot.ok_or(Discard::IcmpNotForAFlow)?, error);
    };
    let id = stack.flows.id(slot);
    let events = stack
        .step(id, |flow, cx| flow.tcb.on_icmp(error, cx))
        .unwrap_or(Err(Discard::IcmpNotForAFlow))?;
    tell::on_events(app, stack, id, events);
    Ok(())
}
