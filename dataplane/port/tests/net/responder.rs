//! A tiny host behind a port: it answers ARP, neighbour solicitations, ICMP echo, and sends UDP
//! datagrams back where they came from, checksums left to the port where it offers that.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::Duration;

use tidegate_port::{Burst, Frame, Port, TxChecksum};
use tidegate_wire::{
    Arp, ArpOp, Datagram, ETHER_TYPE_ARP, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ethernet, Icmpv6,
    Instant, Ip, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, Sum, ipv4, ipv6,
};

pub(crate) const OWN_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

const PROTOCOL_UDP: u8 = 17;

/// Ethernet and IPv6.
const HEADERS_V6: usize = 54;

/// What the host has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) arp: u32,
    pub(crate) neighbour_solicitations: u32,
    pub(crate) echo_requests: u32,
    pub(crate) udp: u32,
    /// Those whose sum was that of the pseudo-header only.
    pub(crate) udp_sum_partial: u32,
    /// UDP datagrams whose sum was wrong, which are not answered.
    pub(crate) damaged: u32,
    /// Frames for addresses that the host does not own.
    pub(crate) not_ours: u32,
}

/// Runs the host behind all `ports` until `is_done` says so, and checks their books on the way.
pub(crate) fn respond<P: Port>(ports: &mut [P], is_done: impl Fn() -> bool) -> Seen {
    let mut seen = Seen::default();
    for turn in 0_u64.. {
        let now = Instant::from_millis(turn);
        let is_last = is_done();
        let mut idle = true;
        for port in &mut *ports {
            idle &= !respond_once(port, now, &mut seen);
        }
        if is_last {
            return seen;
        }
        if idle {
            thread::sleep(Duration::from_micros(200));
        }
    }
    seen
}

/// One turn; whether there was anything to do.
fn respond_once(port: &mut impl Port, now: Instant, seen: &mut Seen) -> bool {
    let (mut rx, mut tx) = (Burst::new(), Burst::new());
    port.rx_burst(&mut rx, now);
    let has_received = !rx.is_empty();
    for mut frame in rx {
        if answer(port, &mut frame, seen).is_some() {
            tx.push(frame);
        } else {
            port.give_frame(frame);
        }
    }
    port.tx_burst(&mut tx, now);
    // What could not be sent now is dropped; the peer asks again.
    tx.into_iter().for_each(|frame| port.give_frame(frame));
    let counts = port.frame_counts();
    assert!(counts.is_exact() && counts.held == 0, "{counts:?}");
    has_received
}

/// Turns a frame into its answer; `None` when it has none.
fn answer(port: &impl Port, frame: &mut Frame, seen: &mut Seen) -> Option<()> {
    let (ethernet, body) = Ethernet::parse(frame.bytes()).ok()?;
    let start = ethernet.header_len();
    match ethernet.ether_type {
        ETHER_TYPE_ARP => {
            seen.arp += 1;
            let arp = answer_arp(port, Arp::parse(body).ok()?)?;
            arp.emit(&mut frame.bytes_mut()[start..]);
        }
        ETHER_TYPE_IPV4 | ETHER_TYPE_IPV6 => {
            let is_ipv4 = ethernet.ether_type == ETHER_TYPE_IPV4;
            let datagram = if is_ipv4 {
                ipv4::parse(body)
            } else {
                ipv6::parse(body)
            };
            let Datagram {
                ip,
                protocol,
                payload,
            } = datagram
                .ok()
                .filter(|datagram| datagram.payload.len() >= 8)?;
            let end = start + ip.header_len() + payload.len();
            let is_solicitation = protocol == PROTOCOL_ICMPV6 && payload[0] == 135;
            if is_solicitation {
                seen.neighbour_solicitations += 1;
                advertise(port, frame, ip);
            } else if ip.dst == OWN_V4 || ip.dst == OWN_V6 {
                frame.resize(end);
                answer_datagram(frame, ip, protocol, seen)?;
            } else {
                seen.not_ours += 1;
                return None;
            }
        }
        _ => return None,
    }
    let reply = Ethernet {
        dst: ethernet.src,
        src: port.facts().mac,
        ..ethernet
    };
    reply.emit(frame.bytes_mut());
    if !port.facts().offloads.tx_checksum {
        frame.finish_tx_checksum();
    }
    Some(())
}

fn answer_arp(port: &impl Port, arp: Arp) -> Option<Arp> {
    (arp.target_ip == OWN_V4 && arp.op == ArpOp::Request).then(|| Arp {
        op: ArpOp::Reply,
        sender_mac: port.facts().mac,
        sender_ip: OWN_V4,
        target_mac: arp.sender_mac,
        target_ip: arp.sender_ip,
    })
}

/// Writes a neighbour advertisement in place of the solicitation that came with `ip`.
fn advertise(port: &impl Port, frame: &mut Frame, ip: Ip) {
    let advertisement = Icmpv6::NeighbourAdvertisement {
        target: OWN_V6,
        target_mac: Some(port.facts().mac),
        router: false,
        solicited: true,
        override_: true,
    };
    let back = Ip {
        src: OWN_V6.into(),
        dst: ip.src,
        hop_limit: 255,
        traffic_class: 0,
    };
    frame.resize(HEADERS_V6 + advertisement.len());
    let datagram = &mut frame.bytes_mut()[14..];
    let len = advertisement.emit(&back, &mut datagram[40..]);
    back.emit(PROTOCOL_ICMPV6, len, datagram);
}

/// Turns an echo request or a UDP datagram into its answer.
fn answer_datagram(frame: &mut Frame, ip: Ip, protocol: u8, seen: &mut Seen) -> Option<()> {
    let start = 14 + ip.header_len();
    let payload = &mut frame.bytes_mut()[start..];
    let len = u32::try_from(payload.len()).expect("short");
    let pseudo_header = Sum::new().add_pseudo_header(ip.src, ip.dst, protocol, len);
    let offset = match (protocol, payload[0]) {
        (PROTOCOL_ICMPV4, 8) => {
            seen.echo_requests += 1;
            payload[..4].fill(0);
            2
        }
        (PROTOCOL_ICMPV6, 128) => {
            seen.echo_requests += 1;
            payload[0] = 129;
            payload[2..4].copy_from_slice(&pseudo_header.partial().to_be_bytes());
            2
        }
        (PROTOCOL_UDP, _) => {
            seen.udp += 1;
            let sum = pseudo_header.partial().to_be_bytes();
            if pseudo_header.add(payload).finish() != 0 {
                if payload[6..8] != sum {
                    seen.damaged += 1;
                    return None;
                }
                seen.udp_sum_partial += 1;
            }
            payload[..4].rotate_left(2);
            // The answer has the same two addresses, so the same pseudo-header.
            payload[6..8].copy_from_slice(&sum);
            6
        }
        _ => return None,
    };
    let back = Ip {
        src: ip.dst,
        dst: ip.src,
        hop_limit: 64,
        traffic_class: 0,
    };
    back.emit(protocol, payload.len(), &mut frame.bytes_mut()[14..]);
    let start = u16::try_from(start).expect("headers are short");
    frame.set_tx_checksum(Some(TxChecksum { start, offset }));
    Some(())
}
