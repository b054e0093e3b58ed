//! What `emit` writes is what `parse` reads, for every header and for whole frames.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use tidegate_wire::{
    Arp, ArpOp, Body, Discard, ETHER_TYPE_ARP, ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, Ethernet, Icmpv4,
    Icmpv6, Ip, MacAddr, PROTOCOL_ICMPV4, PROTOCOL_ICMPV6, PROTOCOL_TCP, Packet, RxChecksum, Sum,
    Tcp, TcpFlags, TcpOptions, Timestamps, parse,
};

use crate::mend::mend;

/// The address of one station.
fn station() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 6]>().prop_map(|[first, rest @ ..]| {
        let [b, c, d, e, f] = rest;
        MacAddr([first & !1, b, c, d, e, f])
    })
}

/// Source and destination of one version, both of one host.
fn ip() -> impl Strategy<Value = Ip> {
    any::<(bool, [u128; 2], u8, u8)>().prop_map(|(is_v4, pair, hop_limit, traffic_class)| {
        let [src, dst] = pair.map(|bits| match bits.to_be_bytes() {
            [_, b, c, d, ..] if is_v4 => IpAddr::V4(Ipv4Addr::new(10, b, c, d)),
            _ => IpAddr::V6(Ipv6Addr::from_bits(bits >> 8 | 0xfd << 120)),
        });
        Ip {
            src,
            dst,
            hop_limit,
            traffic_class,
        }
    })
}

/// The same with addresses of the version that `is_v4` says.
fn ip_of(is_v4: bool) -> impl Strategy<Value = Ip> {
    ip().prop_filter("of the other version", move |ip| ip.dst.is_ipv4() == is_v4)
}

/// Any options, with as many SACK blocks as fit.
fn options() -> impl Strategy<Value = TcpOptions> {
    let timestamps = any::<(u32, u32)>().prop_map(|(value, echo)| Timestamps { value, echo });
    let sack = vec(any::<(u32, u32)>(), 0..=4);
    (
        of(any::<u16>()),
        of(any::<u8>()),
        any::<bool>(),
        of(timestamps),
        sack,
    )
        .prop_map(|(mss, wnd_shift, sack_permitted, timestamps, blocks)| {
            let mut options = TcpOptions {
                mss,
                wnd_shift,
                sack_permitted,
                timestamps,
                ..TcpOptions::default()
            };
            let room = (40 - options.len()).saturating_sub(4) / 8;
            for (left, right) in blocks.into_iter().take(room) {
                assert!(options.sack.push(left, right));
            }
            options
        })
}

prop_compose! {
    fn tcp()(
        (src_port, dst_port, seq, ack) in any::<(u16, u16, u32, u32)>(),
        (flags, wnd, urgent) in any::<(u8, u16, u16)>(),
        options in options(),
    ) -> Tcp {
        let flags = TcpFlags::from_bits_retain(flags);
        Tcp { src_port, dst_port, seq, ack, flags, wnd, urgent, options }
    }
}

prop_compose! {
    fn ethernet()(dst in station(), src in station(), vlan in of(1..4095_u16)) -> Ethernet {
        Ethernet { dst, src, vlan, ether_type: 0 }
    }
}

/// Writes the headers of a frame around a payload that `emit` writes.
fn frame(ethernet: Ethernet, ip: &Ip, protocol: u8, emit: impl Fn(&mut [u8]) -> usize) -> Vec<u8> {
    let ether_type = if ip.dst.is_ipv4() {
        ETHER_TYPE_IPV4
    } else {
        ETHER_TYPE_IPV6
    };
    let ethernet = Ethernet {
        ether_type,
        ..ethernet
    };
    let mut out = vec![0xaa; 2048];
    let ip_at = ethernet.emit(&mut out);
    let payload_at = ip_at + ip.header_len();
    let payload_len = emit(&mut out[payload_at..]);
    assert_eq!(
        ip.emit(protocol, payload_len, &mut out[ip_at..]),
        ip.header_len()
    );
    out.truncate(payload_at + payload_len);
    out
}

/// A segment with its checksum, the text copied and summed in one pass.
fn emit_segment(ip: &Ip, tcp: &Tcp, text: &[u8], out: &mut [u8]) -> usize {
    let header_len = tcp.emit(out);
    assert_eq!(header_len, tcp.header_len());
    let (header, rest) = out.split_at_mut(header_len);
    let len = u32::try_from(header_len + text.len()).unwrap();
    let sum = Sum::new()
        .add_pseudo_header(ip.src, ip.dst, PROTOCOL_TCP, len)
        .add(header)
        .add_copy(rest, text);
    header[Tcp::CHECKSUM_AT..][..2].copy_from_slice(&sum.finish().to_be_bytes());
    header_len + text.len()
}

proptest! {
    #[test]
    fn options_there_and_back(options in options()) {
        let mut out = [0xaa; 41];
        let len = options.emit(&mut out);
        prop_assert_eq!(len, options.len());
        prop_assert!(len.is_multiple_of(4) && len <= 40 && out[len] == 0xaa);
        prop_assert_eq!(TcpOptions::parse(&out[..len]), options);
    }

    #[test]
    fn options_shifted_by_padding_mean_the_same(options in options(), padding in 0..4_usize) {
        // RFC 9293 3.2, MUST-64: wherever they start.
        let mut out = [1; 44];
        let len = options.emit(&mut out[padding..]);
        prop_assert_eq!(TcpOptions::parse(&out[..padding + len]), options);
    }

    #[test]
    fn segments_there_and_back(
        ethernet in ethernet(),
        ip in ip(),
        tcp in tcp(),
        text in vec(any::<u8>(), 0..1461),
        padding in 0..64_usize,
    ) {
        let mut frame =
            frame(ethernet, &ip, PROTOCOL_TCP, |out| emit_segment(&ip, &tcp, &text, out));
        if ethernet.vlan.is_none() {
            prop_assert_eq!(&mend(&frame), &frame, "the sums are those of a plain reading");
        }
        frame.resize(frame.len() + padding, 0xee);
        let packet = parse(&frame, RxChecksum::Verify).unwrap();
        prop_assert_eq!(packet.body, Body::Tcp(ip, tcp, &text));
        let ether_type = packet.ethernet.ether_type;
        prop_assert_eq!(packet.ethernet, Ethernet { ether_type, ..ethernet });
    }

    #[test]
    fn one_flipped_bit_in_a_segment_is_always_noticed(
        ethernet in ethernet(),
        ip in ip(),
        tcp in tcp(),
        text in vec(any::<u8>(), 0..100),
        (at, bit) in (any::<prop::sample::Index>(), 0..8_u8),
    ) {
        let mut frame =
            frame(ethernet, &ip, PROTOCOL_TCP, |out| emit_segment(&ip, &tcp, &text, out));
        let segment_at = ethernet.header_len() + ip.header_len();
        let at = segment_at + at.index(frame.len() - segment_at);
        frame[at] ^= 1 << bit;
        let discard = parse(&frame, RxChecksum::Verify).unwrap_err();
        prop_assert!(matches!(discard, Discard::TcpChecksum | Discard::TcpDataOffset));
    }

    #[test]
    fn arp_there_and_back(
        ethernet in ethernet(),
        (sender_mac, target_mac) in (station(), station()),
        (sender_ip, target_ip) in (0..0xe000_0000_u32, any::<u32>()),
        is_request in any::<bool>(),
    ) {
        let op = if is_request { ArpOp::Request } else { ArpOp::Reply };
        let (sender_ip, target_ip) = (sender_ip.into(), target_ip.into());
        let arp = Arp { op, sender_mac, sender_ip, target_mac, target_ip };
        let ethernet = Ethernet { ether_type: ETHER_TYPE_ARP, ..ethernet };
        let mut out = [0; 60];
        let at = ethernet.emit(&mut out);
        prop_assert_eq!(arp.emit(&mut out[at..]), Arp::LEN);
        let packet = Packet { ethernet, body: Body::Arp(arp) };
        prop_assert_eq!(parse(&out, RxChecksum::Verify), Ok(packet));
    }

    #[test]
    fn icmpv4_there_and_back(
        ethernet in ethernet(),
        ip in ip_of(true),
        (which, code, pointer) in any::<(u8, u8, u8)>(),
        (id, seq) in any::<(u16, u16)>(),
        text in vec(any::<u8>(), 0..600),
    ) {
        let text = &text[..];
        let message = match which % 6 {
            0 => Icmpv4::EchoRequest { id, seq, text },
            1 => Icmpv4::EchoReply { id, seq, text },
            2 => Icmpv4::Unreachable { code, next_hop_mtu: seq, quoted: text },
            3 => Icmpv4::TimeExceeded { code, quoted: text },
            4 => Icmpv4::ParameterProblem { code, pointer, quoted: text },
            _ => Icmpv4::Other { kind: 13, code, body: text },
        };
        let frame = frame(ethernet, &ip, PROTOCOL_ICMPV4, |out| message.emit(out));
        prop_assert_eq!(
            frame.len() - ethernet.header_len() - ip.header_len(),
            message.len()
        );
        let body = parse(&frame, RxChecksum::Trust).unwrap().body;
        prop_assert_eq!(body, Body::Icmpv4(ip, message));
    }

    #[test]
    fn icmpv6_there_and_back(
        ethernet in ethernet(),
        ip in ip_of(false),
        (which, code, word) in any::<(u8, u8, u32)>(),
        (id, seq) in any::<(u16, u16)>(),
        (target, mac) in (any::<u128>(), of(station())),
        text in vec(any::<u8>(), 0..600),
    ) {
        let ip = Ip { hop_limit: 255, ..ip };
        let (text, target) = (&text[..], Ipv6Addr::from_bits(target >> 8));
        let message = match which % 9 {
            0 => Icmpv6::EchoRequest { id, seq, text },
            1 => Icmpv6::EchoReply { id, seq, text },
            2 => Icmpv6::Unreachable { code, quoted: text },
            3 => Icmpv6::TimeExceeded { code, quoted: text },
            4 => Icmpv6::ParameterProblem { code, pointer: word, quoted: text },
            5 => Icmpv6::PacketTooBig { mtu: word, quoted: text },
            6 => Icmpv6::NeighbourSolicitation { target, source_mac: mac },
            7 => Icmpv6::NeighbourAdvertisement {
                target,
                target_mac: mac,
                router: code & 1 != 0,
                solicited: code & 2 != 0,
                override_: code & 4 != 0,
            },
            _ => Icmpv6::Other { kind: 133, code, body: text },
        };
        let frame = frame(ethernet, &ip, PROTOCOL_ICMPV6, |out| message.emit(&ip, out));
        prop_assert_eq!(
            frame.len() - ethernet.header_len() - ip.header_len(),
            message.len()
        );
        let body = parse(&frame, RxChecksum::Trust).unwrap().body;
        prop_assert_eq!(body, Body::Icmpv6(ip, message));
    }
}

#[test]
fn sack_blocks_that_do_not_fit_are_left_out_from_the_end() {
    let mut options = TcpOptions {
        timestamps: Some(Timestamps::default()),
        ..TcpOptions::default()
    };
    for block in 1..=4 {
        assert!(options.sack.push(block * 10, block * 10 + 5));
    }
    assert!(!options.sack.push(50, 55));
    let mut out = [0; 40];
    assert_eq!(options.emit(&mut out), 40);
    let received = TcpOptions::parse(&out);
    assert_eq!(received.sack.as_slice(), [(10, 15), (20, 25), (30, 35)]);
}
