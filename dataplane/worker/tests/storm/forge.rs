//! Frames made by hand: segments and ICMP errors of somebody who is not the one they say.

use core::net::IpAddr;

use tidegate_wire::{
    ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ethernet, Icmpv4, Icmpv6, Ip, MacAddr, PROTOCOL_ICMPV4,
    PROTOCOL_ICMPV6, PROTOCOL_TCP, Sum, Tcp, TcpFlags, TcpOptions,
};

/// The hardware address of whoever forges, and of the router.
pub(crate) const STRANGER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x66]);

/// A datagram whose payload of `len` bytes is written by `write`.
fn datagram(
    (src, dst): (MacAddr, MacAddr),
    ip: &Ip,
    (protocol, len): (u8, usize),
    write: impl FnOnce(&mut [u8]),
) -> Vec<u8> {
    let is_ipv4 = ip.dst.is_ipv4();
    let header = Ethernet {
        dst,
        src,
        vlan: None,
        ether_type: if is_ipv4 {
            ETHER_TYPE_IPV4
        } else {
            ETHER_TYPE_IPV6
        },
    };
    let mut frame = vec![0; header.header_len() + ip.header_len() + len];
    let at = header.emit(&mut frame);
    let at = at + ip.emit(protocol, len, &mut frame[at..]);
    write(&mut frame[at..]);
    frame
}

const fn ip(src: IpAddr, dst: IpAddr) -> Ip {
    Ip {
        src,
        dst,
        hop_limit: 64,
        traffic_class: 0,
    }
}

/// A segment from one station and address to another.
pub(crate) fn segment(
    stations: (MacAddr, MacAddr),
    (src, dst): (IpAddr, IpAddr),
    tcp: &Tcp,
    text: &[u8],
) -> Vec<u8> {
    let ip = ip(src, dst);
    let len = tcp.header_len() + text.len();
    datagram(stations, &ip, (PROTOCOL_TCP, len), |bytes| {
        let at = tcp.emit(bytes);
        bytes[at..].copy_from_slice(text);
        let len = u32::try_from(len).expect("short");
        let sum = Sum::new().add_pseudo_header(src, dst, PROTOCOL_TCP, len);
        let sum = sum.add(bytes).finish();
        bytes[Tcp::CHECKSUM_AT..][..2].copy_from_slice(&sum.to_be_bytes());
    })
}

/// A header without options.
pub(crate) fn header(ports: (u16, u16), (seq, ack): (u32, u32), flags: TcpFlags, wnd: u16) -> Tcp {
    Tcp {
        src_port: ports.0,
        dst_port: ports.1,
        seq,
        ack,
        flags,
        wnd,
        urgent: 0,
        options: TcpOptions::default(),
    }
}

/// What an ICMP error says, in terms of both versions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Complaint {
    PortUnreachable,
    HostUnreachable,
    TooBig(u16),
}

/// An ICMP error about the datagram `quoted`, to whom that was from.
pub(crate) fn icmp(
    to: MacAddr,
    (router, dst): (IpAddr, IpAddr),
    complaint: Complaint,
    quoted: &[u8],
) -> Vec<u8> {
    let quoted = &quoted[..quoted.len().min(100)];
    let ip = ip(router, dst);
    if dst.is_ipv4() {
        let (code, next_hop_mtu) = match complaint {
            Complaint::PortUnreachable => (3, 0),
            Complaint::HostUnreachable => (1, 0),
            Complaint::TooBig(mtu) => (4, mtu),
        };
        let message = Icmpv4::Unreachable {
            code,
            next_hop_mtu,
            quoted,
        };
        return datagram(
            (STRANGER, to),
            &ip,
            (PROTOCOL_ICMPV4, message.len()),
            |bytes| {
                message.emit(bytes);
            },
        );
    }
    let message = match complaint {
        Complaint::PortUnreachable => Icmpv6::Unreachable { code: 4, quoted },
        Complaint::HostUnreachable => Icmpv6::Unreachable { code: 3, quoted },
        Complaint::TooBig(mtu) => Icmpv6::PacketTooBig {
            mtu: mtu.into(),
            quoted,
        },
    };
    datagram(
        (STRANGER, to),
        &ip,
        (PROTOCOL_ICMPV6, message.len()),
        |bytes| {
            message.emit(&ip, bytes);
        },
    )
}
