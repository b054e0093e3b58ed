//! What comes out of real frames, field by field.

use core::net::{IpAddr, Ipv4Addr};

use tidegate_wire::{
    Arp, ArpOp, Body, Discard, Icmpv4, Icmpv6, Ip, MacAddr, Packet, Quoted, RxChecksum, Tcp,
    TcpFlags, TcpOptions, Timestamps, parse,
};

use crate::frames;
use crate::mend::{IPV4_PAYLOAD, edit, mend, tag};

const ONE: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const TWO: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// Parses a frame that is in order.
fn packet(frame: &[u8]) -> Packet<'_> {
    parse(frame, RxChecksum::Verify).unwrap()
}

/// The three parts of a frame with a segment.
fn segment(frame: &[u8]) -> (Ip, Tcp, &[u8]) {
    let Body::Tcp(ip, tcp, text) = packet(frame).body else {
        panic!("not a segment: {frame:02x?}");
    };
    (ip, tcp, text)
}

#[test]
fn every_frame_is_taken() {
    for (name, frame) in frames::ALL {
        let taken = parse(frame, RxChecksum::Verify);
        assert!(taken.is_ok(), "{name}: {taken:?}");
    }
}

#[test]
fn syn_of_linux() {
    let Packet { ethernet, body } = packet(frames::SYN);
    assert_eq!(
        (ethernet.src, ethernet.dst, ethernet.vlan),
        (ONE, TWO, None)
    );
    let ip = Ip {
        src: "10.0.0.1".parse().unwrap(),
        dst: "10.0.0.2".parse().unwrap(),
        hop_limit: 64,
        traffic_class: 0,
    };
    let tcp = Tcp {
        src_port: 42120,
        dst_port: 8080,
        seq: 949_299_159,
        ack: 0,
        flags: TcpFlags::SYN,
        wnd: 64240,
        urgent: 0,
        options: TcpOptions {
            mss: Some(1460),
            wnd_shift: Some(10),
            sack_permitted: true,
            timestamps: Some(Timestamps {
                value: 1_112_581_868,
                echo: 0,
            }),
            ..TcpOptions::default()
        },
    };
    assert_eq!(body, Body::Tcp(ip, tcp, b""));
}

#[test]
fn emit_writes_the_options_of_linux_byte_for_byte() {
    for frame in [
        frames::SYN,
        frames::SYN_ACK,
        frames::TEXT,
        frames::SACK,
        frames::RST,
    ] {
        let (_, tcp, text) = segment(frame);
        let mut out = [0xaa; 60];
        let header_len = tcp.emit(&mut out);
        assert_eq!(header_len, tcp.header_len());
        // The checksum is not the header's to write.
        let sent = &frame[IPV4_PAYLOAD..frame.len() - text.len()];
        assert_eq!(out[..header_len], edit(sent, Tcp::CHECKSUM_AT, &[0, 0]));
    }
}

#[test]
fn text_is_what_the_total_length_says_and_padding_is_not() {
    let (_, tcp, text) = segment(frames::TEXT);
    assert_eq!(text, b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(tcp.flags, TcpFlags::PSH | TcpFlags::ACK);
    let padded = [frames::TEXT, &[0; 7]].concat();
    assert_eq!(segment(&padded).2, text);

    let padded = [frames::RST, &[0; 6]].concat();
    let (_, tcp, text) = segment(&padded);
    assert_eq!((tcp.flags, text), (TcpFlags::RST | TcpFlags::ACK, &b""[..]));
    assert!(tcp.options.is_empty());

    let padded = [frames::SYN_V6, &[0; 6]].concat();
    assert_eq!(packet(&padded), packet(frames::SYN_V6));
}

#[test]
fn sack_blocks_come_in_their_order() {
    let (_, tcp, _) = segment(frames::SACK);
    let blocks = [(949_301_160, 949_302_608), (949_304_056, 949_305_504)];
    assert_eq!(tcp.options.sack.as_slice(), blocks);
    assert_eq!(tcp.options.timestamps.unwrap().echo, 1_112_581_868);
}

#[test]
fn extension_headers_are_passed_over() {
    let (ip, tcp, text) = segment(frames::SYN_V6_EXTENSIONS);
    assert_eq!(ip.src, "fd00::1".parse::<IpAddr>().unwrap());
    assert_eq!((tcp.src_port, tcp.dst_port, text), (33632, 8080, &b""[..]));
    assert_eq!(tcp.options.mss, Some(1440));
}

#[test]
fn ipv6_fragment_that_is_a_whole_datagram_is_taken() {
    // RFC 6946: offset 0, no more fragments.
    let mut frame = frames::SYN_V6.to_vec();
    frame[14 + 6] = 44;
    frame[14 + 5] += 8;
    frame.splice(54..54, [6, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(segment(&frame), segment(frames::SYN_V6));
}

#[test]
fn vlan_is_told_and_a_mere_priority_is_none() {
    let tagged = tag(frames::SYN, 0xe005);
    let taken = packet(&tagged);
    assert_eq!(taken.ethernet.vlan, Some(5));
    assert_eq!(taken.ethernet.header_len(), 18);
    assert_eq!(taken.body, packet(frames::SYN).body);
    let priority = tag(frames::SYN, 0xe000);
    assert_eq!(packet(&priority), packet(frames::SYN));
}

#[test]
fn ipv4_options_are_skipped() {
    let Body::Icmpv4(ip, Icmpv4::EchoRequest { id, seq, text }) =
        packet(frames::ECHO_RECORD_ROUTE).body
    else {
        panic!("not an echo request");
    };
    assert_eq!((id, seq, text.len()), (16867, 1, 8));
    assert_eq!(ip.dst, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)));
}

#[test]
fn partial_checksum_is_taken_only_where_it_is_trusted() {
    // The sum of the pseudo-header alone: addresses, protocol 6, 40 bytes.
    let partial = 0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 6 + 40_u16;
    let frame = edit(
        frames::SYN,
        IPV4_PAYLOAD + Tcp::CHECKSUM_AT,
        &partial.to_be_bytes(),
    );
    assert_eq!(parse(&frame, RxChecksum::Verify), Err(Discard::TcpChecksum));
    let expected = parse(frames::SYN, RxChecksum::Verify);
    assert_eq!(parse(&frame, RxChecksum::TrustPartial), expected);
    assert_eq!(parse(frames::SYN, RxChecksum::TrustPartial), expected);

    let wrong = edit(frames::SYN, IPV4_PAYLOAD + Tcp::CHECKSUM_AT, &[0x12, 0x34]);
    assert_eq!(
        parse(&wrong, RxChecksum::TrustPartial),
        Err(Discard::TcpChecksum)
    );
    assert_eq!(parse(&wrong, RxChecksum::Trust), expected);
}

#[test]
fn arp_question_and_answer() {
    let request = Arp {
        op: ArpOp::Request,
        sender_mac: ONE,
        sender_ip: Ipv4Addr::new(10, 0, 0, 1),
        target_mac: MacAddr::ZERO,
        target_ip: Ipv4Addr::new(10, 0, 0, 2),
    };
    assert_eq!(packet(frames::ARP_REQUEST).body, Body::Arp(request));
    let reply = Arp {
        op: ArpOp::Reply,
        sender_mac: TWO,
        sender_ip: request.target_ip,
        target_mac: ONE,
        target_ip: request.sender_ip,
    };
    assert_eq!(packet(frames::ARP_REPLY).body, Body::Arp(reply));
}

#[test]
fn neighbours_ask_answer_and_probe() {
    let message = |frame| {
        let Body::Icmpv6(_, message) = packet(frame).body else {
            panic!("not a message: {frame:02x?}");
        };
        message
    };
    let target = "fd00::2".parse().unwrap();
    assert_eq!(
        message(frames::SOLICITATION),
        Icmpv6::NeighbourSolicitation {
            target,
            source_mac: Some(ONE)
        }
    );
    assert_eq!(
        message(frames::ADVERTISEMENT),
        Icmpv6::NeighbourAdvertisement {
            target,
            target_mac: Some(TWO),
            router: false,
            solicited: true,
            override_: true,
        }
    );
    // Linux puts a nonce into its probe (RFC 7527), an option that is passed over.
    let target = "fe80::ff:fe00:2".parse().unwrap();
    assert_eq!(
        message(frames::SOLICITATION_PROBE),
        Icmpv6::NeighbourSolicitation {
            target,
            source_mac: None
        }
    );
}

#[test]
fn icmp_errors_tell_which_segment_they_are_about() {
    let Body::Icmpv4(
        _,
        Icmpv4::Unreachable {
            code,
            next_hop_mtu,
            quoted,
        },
    ) = packet(frames::NEED_TO_FRAG).body
    else {
        panic!("not unreachable");
    };
    assert_eq!((code, next_hop_mtu), (4, 1400));
    let (ip, tcp, _) = segment(frames::SYN);
    let expected = |ip: Ip, tcp: Tcp| Quoted {
        src: ip.src,
        dst: ip.dst,
        src_port: tcp.src_port,
        dst_port: tcp.dst_port,
        seq: tcp.seq,
    };
    assert_eq!(Quoted::parse(quoted), Ok(expected(ip, tcp)));

    let Body::Icmpv6(_, Icmpv6::PacketTooBig { mtu, quoted }) = packet(frames::PACKET_TOO_BIG).body
    else {
        panic!("not packet too big");
    };
    assert_eq!(mtu, 1280);
    let (ip, tcp, _) = segment(frames::SYN_V6);
    assert_eq!(Quoted::parse(quoted), Ok(expected(ip, tcp)));
}

#[test]
fn quotes_that_name_no_segment_are_told_apart() {
    let quoted = &frames::SYN[14..];
    // RFC 792 has eight bytes of the segment quoted; they reach the sequence number.
    assert!(Quoted::parse(&quoted[..28]).is_ok());
    assert_eq!(
        Quoted::parse(&quoted[..27]),
        Err(Discard::IcmpQuoteTruncated)
    );
    assert_eq!(Quoted::parse(&[]), Err(Discard::IcmpQuoteTruncated));
    let later_fragment = edit(quoted, 6, &[0x00, 0x20]);
    assert_eq!(
        Quoted::parse(&later_fragment),
        Err(Discard::IcmpQuoteTruncated)
    );
    let first_fragment = edit(quoted, 6, &[0x20, 0x00]);
    assert!(Quoted::parse(&first_fragment).is_ok());

    let Body::Icmpv4(
        _,
        Icmpv4::Unreachable {
            code: 3, quoted, ..
        },
    ) = packet(frames::UNREACHABLE_UDP).body
    else {
        panic!("not unreachable");
    };
    assert_eq!(Quoted::parse(quoted), Err(Discard::IcmpNotForAFlow));
}

#[test]
fn other_icmp_messages_are_passed_on_as_they_are() {
    let frame = mend(&edit(frames::ECHO, IPV4_PAYLOAD, &[13, 7]));
    let Body::Icmpv4(
        _,
        Icmpv4::Other {
            kind: 13,
            code: 7,
            body,
        },
    ) = packet(&frame).body
    else {
        panic!("not another message");
    };
    assert_eq!(body, &frames::ECHO[IPV4_PAYLOAD + 4..]);
}
